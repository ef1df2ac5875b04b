"""Random numbers: what is drawn for one purpose tells nothing of what is drawn for another."""

import ast
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from retmech.streams import derived_seed, stream

PACKAGE = Path(__file__).parents[2] / "retmech"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "streams.py")
STREAMS = {"stream", "derived_seed"}
OTHER = re.compile(
    r"default_rng|SeedSequence|RandomState|seed_everything|^\s*(import|from) random\b|np\.random\.[a-z]"
    r"|manual_seed\((?!derived_seed\()|random_state=(?!random_state\()",
    re.MULTILINE,
)


def purposes() -> list[tuple[str, str]]:
    """Every purpose in the sources, with the place where it stands."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in STREAMS:
                place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                assert isinstance(node.args[1], ast.Constant), f"{place}: a purpose is a literal, so that it can be found"
                found.append((str(node.args[1].value), place))
    return found


def test_no_two_places_draw_for_the_same_purpose() -> None:
    places: dict[str, list[str]] = {}
    for purpose, place in purposes():
        places.setdefault(purpose, []).append(place)
    assert len(places) > 20
    assert not {purpose: where for purpose, where in places.items() if len(where) > 1}


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_purposes_have_streams_of_their_own(seed: int) -> None:
    names = [purpose for purpose, _ in purposes()]
    drawn = np.array([stream(seed, name).standard_normal(2000) for name in names])
    assert len({derived_seed(seed, name) for name in names}) == len(names)
    assert np.abs(np.corrcoef(drawn) - np.eye(len(names))).max() < 0.12  # five standard errors


def test_draws_for_a_purpose_have_streams_of_their_own() -> None:
    indices = [
        (),
        (0,),
        (0, 0),
        (1,),
        (0, 1),
        (1, 0),
        (10,),
        (2**32,),
        ("naturalscene", "train"),
        ("naturalscene", "test"),
        ("",),
    ]
    first = [stream(seed, "movie", *index).integers(2**63, size=4).tolist() for seed in (0, 1, 256) for index in indices]
    assert all(a != b for a, b in combinations(first, 2))
    assert first == [stream(seed, "movie", *index).integers(2**63, size=4).tolist() for seed in (0, 1, 256) for index in indices]


def test_lists_of_numbers_would_not_do() -> None:
    first, *others = (np.random.default_rng(seed).integers(2**63) for seed in ([1, 10], [1, 10, 0], [1, 10, 0, 0]))
    assert all(first == other for other in others)


def test_nothing_else_makes_random_numbers() -> None:
    found = [f"{path.relative_to(PACKAGE)}: {line[0]}" for path in SOURCES for line in OTHER.finditer(path.read_text())]
    assert not found
