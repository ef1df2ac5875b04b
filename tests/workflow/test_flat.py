"""Frames of one pixel and of one row go through every stage, the export of the circuit included."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests import formats
from tests.formats import RATE, Session
from tests.pipeline import run, workspace


def session(width: int) -> Session:
    """Cells that answer to a part of the row, 40 ms later."""
    rng = np.random.default_rng(0)
    movies = [rng.integers(0, 256, (n, 1, width)).astype(np.uint8) for n in (3000, 300)]

    def rates(movie: np.ndarray) -> np.ndarray:
        contrast = movie[:, 0].astype(float) / 128 - 1
        drive = np.stack([contrast[:, 0], -contrast[:, -1]])
        late = np.concatenate([np.zeros((2, 4)), drive[:, :-4]], axis=1)
        return 0.6 * np.clip(late, 0, None)

    trials = rng.poisson(np.broadcast_to(rates(movies[1]), (4, 2, 300)))
    return Session(movies[0], movies[1], rng.poisson(rates(movies[0])).astype(np.int32), trials.astype(np.int32))


CIRCUIT = "results/flat/bn_cnn/seed1/circuit"


@pytest.mark.parametrize(
    ("width", "kernels", "made"), [(1, [1, 1], ["results/report.html", CIRCUIT]), (8, [[1, 3], [1, 3]], [CIRCUIT])]
)
def test_a_flat_recording_goes_through_all_stages(width: int, kernels: list[Any], made: list[str], tmp_path: Path) -> None:
    folder = formats.arrays(tmp_path / "noise", session(width))
    config = {
        "recordings": {"flat": {"noise": str(folder)}},
        "ingest": {"flat": {"reader": "arrays", "history": 100, "guard_gap": 0.2}},
        "train": {"bn_cnn": {"stimulus": ["noise"], "history": 100, "kernels": kernels, "channels": [2, 2], "epochs": 4}},
        "evaluate": {"baselines": []},
        "synthesize": {"omitted_flash": {"periods": [80, 120], "contrast": -2}},
        "reduce": {"max_rank": 2, "restarts": 2, "rows": 300},
        "consensus": {"draws": 100},
        "explain": {"random_draws": 10, "movie": 1, "discriminating": 0.2, "channels": 1},
    }
    place = workspace(tmp_path / "run", config)
    run("retmech", "run", "--cores", "2", *made, cwd=place)
    assert all((place / path).exists() for path in made)
    circuit = json.loads((place / CIRCUIT / "circuit.json").read_text())
    assert circuit["frame (s)"] == pytest.approx(1 / RATE)
    assert circuit["pixel (um)"] == 50
    with xr.open_datatree(place / "results/flat/recording.nc") as recording:
        assert recording.sizes["x"] == width
        assert bool(np.isnan(recording["field_y"]).all())
        assert bool(np.isnan(recording["field_x"]).all()) == (width == 1)
        assert bool(np.isnan(recording["field_diameter"]).all()) == (width == 1)
