"""What docs/extending.md adds takes part in everything, as it stands there: from a raw file to attributions."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from retmech import io, registry, schemas
from retmech.geometry import Geometry
from retmech.io import Provenance
from retmech.readers import stanford
from retmech.settings import AttributeSettings
from retmech.stages.attribute import attribute
from retmech.stages.ingest import ingest
from retmech.stages.respond import respond
from retmech.stages.synthesize import synthesize
from retmech.stages.train import train
from tests.conftest import INGEST


def test_the_guide_adds_one_of_each_kind(extended: dict[str, str]) -> None:
    assert extended == {"flicker": "retmech.probes", "npz": "retmech.readers", "subunit": "retmech.models.architectures"}
    for kind, name in (("probe", "flicker"), ("reader", "npz"), ("architecture", "subunit")):
        assert name in registry.names(kind)


def archive(path: Path, raw_file: Path) -> Path:
    """A recording of the public layout as the archive that the guide's reader takes."""
    raw = stanford.read(raw_file, INGEST)
    parts = {"train": raw.train, "test": raw.test}
    movies = {f"{part}_movie": raw_part.stimulus.frames(0, len(raw_part.stimulus)) for part, raw_part in parts.items()}
    count = {"train_count": raw.train.spike_count, "trial_count": np.rint(raw.trial_rate / raw.frame_rate).astype(int)}
    np.savez(path, frame_rate=raw.frame_rate, **movies, **count)
    return path


@pytest.mark.usefixtures("extended")
def test_a_recording_a_model_and_a_probe_of_the_guide_end_in_complete_attributions(
    raw_files: dict[str, Path], tmp_path: Path
) -> None:
    reader = registry.load("reader", "npz")
    settings = reader.Config(**INGEST.model_dump(exclude={"reader"}))
    recording = ingest({"naturalscene": reader.read(archive(tmp_path / "a.npz", raw_files["naturalscene"]), settings)}, settings)
    io.write_pieces(recording, schemas.RECORDING, tmp_path / "recording.nc", Provenance())

    architecture = registry.load("architecture", "subunit")
    config = architecture.Config(history=200, channels=3, kernel=5, epochs=2)
    model = train({"one": io.read(tmp_path / "recording.nc", schemas.RECORDING)}, config, "subunit", 1, tmp_path)["one"]
    io.write(model, schemas.MODEL, tmp_path / "model.nc", Provenance())
    loss = model["train_loss"].values
    assert len(loss) == 2
    assert loss[-1] < loss[0]
    assert model["weights/first_layer.weight"].dims == ("channel", "lag", "kernel_y", "kernel_x")

    flicker = registry.load("probe", "flicker").Config(frequencies=[4, 8], duration=600)
    probe = synthesize(Geometry((12, 12), 100.0, 50.0), flicker, "flicker").gather().to_dataset()
    answers = respond(model, probe)
    assert set(answers["verdict"].values) <= {"matches", "differs", "no response"}

    found: xr.Dataset = attribute(model, probe, AttributeSettings(compare=[]), "flicker").gather().to_dataset()
    assert found.sizes["channel"] == architecture.interneurons(config) == 3
    largest = float(abs(found["response"]).max())
    np.testing.assert_allclose(found["response"], answers["rate"].values, rtol=1e-3, atol=1e-4 * largest)
    assert float(abs(found["completeness_error"]).max()) < 2e-3 * largest
