"""One module per stage: pure functions from datasets and settings to a dataset. They know no paths."""
