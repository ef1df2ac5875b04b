"""Whether settings fit the recordings that they are for, by what the heads of files say, before anything runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from retmech import registry
from retmech.config import retina_of
from retmech.errors import ConfigError, RetmechError
from retmech.geometry import Geometry
from retmech.readers._raw import Header


@dataclass(frozen=True)
class Session:
    """What is known of a recording before it is read."""

    geometry: Geometry
    cells: int | None
    frames: Mapping[str, tuple[int, int | None]]  # by stimulus class, of the training and the test movie


def check_recordings(config: Mapping[str, Any]) -> None:
    """Refuse settings that cannot fit a recording: kernels, cells, histories, probes that need space.

    Raises
    ------
    ConfigError
        Naming each setting and the recording that it does not fit.
    """
    problems: list[str] = []
    for recording in config["recordings"]:
        try:
            session = _session(config, recording)
        except RetmechError as error:
            problems.append(str(error))
            continue
        if session is not None:
            problems += [f"{problem} (recording {recording})" for problem in _problems(config, recording, session)]
    if problems:
        raise ConfigError("\n".join(f"config.yaml: {problem}" for problem in dict.fromkeys(problems)))


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
        return None
    first = next(iter(heads.values()))
    geometry = Geometry(first.shape, settings.get("frame_rate") or first.frame_rate, settings["pixel_size"])
    return Session(geometry, first.cells, {name: (header.train, header.test) for name, header in heads.items()})


def _problems(config: Mapping[str, Any], recording: str, session: Session) -> Iterator[str]:
    chosen = config["ingest"][recording]["cells"]
    wrong = [i for i in chosen or [] if session.cells is not None and i >= session.cells]
    if wrong:
        yield f"ingest.{recording}.cells = {wrong}: there are only cells 0 to {session.cells - 1 if session.cells else 0}"
    for name, settings in config["train"].items():
        try:
            _build(settings["architecture"], _frozen(settings), session.geometry)
        except ConfigError as error:
            yield f"train.{name}: {error}"
        yield from _short(config["ingest"][recording], name, settings, session)
    for name, settings in config["synthesize"].items():
        probe = registry.load("probe", settings["probe"])
        if hasattr(probe, "stimulus"):
            try:
                probe.stimulus(probe.Config.model_validate(settings), session.geometry)
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
def _build(architecture: str, settings: tuple[tuple[str, Any], ...], geometry: Geometry) -> None:
    """Build a network without its weights."""
    module = registry.load("architecture", architecture)
    with torch.device("meta"):
        module.build(module.Config.model_validate(dict(settings)), geometry, 1)


def _frozen(settings: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list) else value

    return tuple((key, frozen(value)) for key, value in settings.items())
