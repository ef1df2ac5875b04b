"""Reduced models, how faithful they are, and the description of a unit in a physiologist's terms."""
