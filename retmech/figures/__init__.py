"""Every picture of the results, as a matplotlib figure; no file is read or written here but in :mod:`retmech.figures.files`."""
