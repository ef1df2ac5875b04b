"""What makes `snakemake --logger retmech` find :mod:`retmech.terminal`: Snakemake knows its plugins by the name of a package."""

from retmech.terminal import LogHandler

__all__ = ["LogHandler"]
