"""Nothing is lost, however a run is disturbed; `python -m tests.chaos 30` tries it more often."""

from pathlib import Path

from tests.chaos import DISTURBANCES, chaos
from tests.pipeline import results


def test_disturbed_runs_end_in_the_results_of_an_undisturbed_one(undisturbed: Path) -> None:
    told = chaos(len(DISTURBANCES), 1, results(undisturbed))
    assert told["ended"] >= 1
    assert sum(told.values()) - told["ended"] >= 4, "too few runs were disturbed"
