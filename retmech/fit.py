"""Whether settings fit the recordings that they are for, by what the heads of files say, before anything runs."""

from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from retmech import registry
from retmech.config import retina_of
from retmech.errors import ConfigError, RetmechError
from retmech.geometry import Geometry
from retmech.provenance import canonical_json
from retmech.readers._hdf5 import opened
from retmech.readers._raw import Header

SHOWN = 3  # names of recordings that have the same problem


@dataclass(frozen=True)
class Session:
    """What is known of a recording before it is read."""

    geometry: Geometry
    cells: int | None
    frames: Mapping[str, tuple[int, int | None]]  # by stimulus class, at the rate of the recording


def check_recordings(config: Mapping[str, Any]) -> None:
    """Refuse settings that cannot fit a recording: kernels, cells, histories, probes that need space.

    Raises
    ------
    ConfigError
        Naming each setting and the recording that it does not fit.
    """
    problems: dict[str, list[str]] = {}  # problem -> recordings
    for recording in config["recordings"]:
        try:
            session = _session(config, recording)
            found = [] if session is None else list(_problems(config, recording, session))
        except RetmechError as error:
            found = [str(error)]
        for problem in found:
            problems.setdefault(problem, []).append(recording)
    if problems:
        lines = [f"config.yaml: {problem} (recording {_some(names)})" for problem, names in problems.items()]
        raise ConfigError("\n".join(lines))


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _session(config: Mapping[str, Any], recording: str) -> Session | None:
    """The size of a recording; None where no file says it yet."""
    settings = config["ingest"][recording]
    retina = retina_of(config, recording)
    if retina is not None:
        own = config["simulate"][retina]
        return Session(Geometry((own["size"], own["size"]), own["frame_rate"], own["pixel_size"]), own["cells"], {})
    reader = registry.load("reader", settings["reader"])
    if not hasattr(reader, "header"):
        return None
    read = {
        name: reader.header(Path(path), reader.Config.model_validate(settings), name)
        for name, path in config["recordings"][recording].items()
    }
    heads: dict[str, Header] = {name: header for name, header in read.items() if header is not None}
    if not heads:
        return _read(Path(f"results/{recording}/recording.nc"))
    first = next(iter(heads.values()))
    geometry = Geometry(first.shape, settings.get("frame_rate") or first.frame_rate, settings["pixel_size"])
    frames = {}
    for name, head in heads.items():
        ratio = geometry.frame_rate / head.frame_rate
        frames[name] = round(head.train * ratio), None if head.test is None else round(head.test * ratio)
    return Session(geometry, first.cells, frames)


def _read(path: Path) -> Session | None:
    """The size of a recording that was read before; of files whose heads do not say it."""
    if not path.exists():
        return None
    with opened(path) as source:
        shape = len(source.array("y", 1)), len(source.array("x", 1))
        rate, pixel = (float(source.file[name][()]) for name in ("frame_rate", "pixel_size"))
    return Session(Geometry(shape, rate, pixel), None, {})


def _problems(config: Mapping[str, Any], recording: str, session: Session) -> Iterator[str]:
    chosen = config["ingest"][recording]["cells"]
    wrong = [i for i in chosen or [] if session.cells is not None and i >= session.cells]
    if wrong:
        yield f"ingest.{recording}.cells = {wrong}: there are only cells 0 to {session.cells - 1 if session.cells else 0}"
    for name, settings in config["train"].items():
        try:
            _build(settings["architecture"], canonical_json(settings), session.geometry)
        except ConfigError as error:
            yield f"train.{name}: {error}"
        yield from _short(config["ingest"][recording], name, settings, session)
    for name, settings in config["synthesize"].items():
        probe = registry.load("probe", settings["probe"])
        if hasattr(probe, "stimulus") and "path" not in settings:  # a user's movie would have to be read
            try:
                _drawn(settings["probe"], canonical_json(settings), session.geometry)
            except RetmechError as error:
                yield f"synthesize.{name}: {error}"


def _short(ingest: Mapping[str, Any], name: str, settings: Mapping[str, Any], session: Session) -> Iterator[str]:
    """Movies that are shorter than the history of a model."""
    history = session.geometry.frames(settings["history"])
    for stimulus in settings["stimulus"]:
        if stimulus not in session.frames:
            continue
        train, test = session.frames[stimulus]
        block = train / ingest["blocks"] - ingest["skip"] * session.geometry.frame_rate
        for part, frames in (("validation part", block * ingest["validation_fraction"]), ("test movie", test)):
            if frames is not None and frames <= history:
                asked = f"train.{name}.history = {settings['history']:g} ms, {history} frames"
                yield f"{asked}: the {part} of {stimulus} has only {max(frames, 0):.0f}"


@cache
def _build(architecture: str, settings: str, geometry: Geometry) -> None:
    """Build a network without its weights."""
    module = registry.load("architecture", architecture)
    with torch.device("meta"):
        module.build(module.Config.model_validate_json(settings), geometry, 1)


@cache
def _drawn(probe: str, settings: str, geometry: Geometry) -> None:
    """Lay a probe out without drawing its frames; what it warns of stands in the log of the job that does."""
    module = registry.load("probe", probe)
    with redirect_stderr(StringIO()):
        module.stimulus(module.Config.model_validate_json(settings), geometry)
