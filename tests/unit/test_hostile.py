"""Broken and hostile raw files: `python -m tests.hostile READER COUNT` tries many more."""

import pytest

from tests.hostile import MUTATIONS, SETTINGS, campaign


@pytest.mark.parametrize("reader", sorted(SETTINGS))
def test_a_broken_file_is_read_or_refused(reader: str) -> None:
    kinds, wrong = campaign(reader, 3 * len(MUTATIONS))
    assert wrong == {}
    assert kinds["refused"] > kinds["read"] > 0
