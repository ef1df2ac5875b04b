"""The words that physiologists have for a filter."""

FAST = 0.085  # s; filters that peak later are slow
BIPHASIC = 0.3  # index from which a filter is called biphasic


def in_words(polarity: int, time_to_peak: float, biphasic_index: float) -> str:
    """Return the three words of a filter, such as ``OFF, slow, monophasic``."""
    return ", ".join(
        (
            "ON" if polarity > 0 else "OFF",
            "fast" if time_to_peak <= FAST else "slow",
            "biphasic" if biphasic_index >= BIPHASIC else "monophasic",
        )
    )
