"""From retinal recordings to mechanisms.

One direction of flow: recording -> model -> probe responses -> attributions -> reduction -> circuit -> report. Each arrow is
a stage in :mod:`retmech.stages`: a pure function from datasets and settings to a dataset.
"""

__version__ = "0.1.0"
