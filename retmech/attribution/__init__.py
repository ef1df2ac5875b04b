"""Path integrals from a baseline stimulus to a stimulus, and the sums that a symmetry allows."""
