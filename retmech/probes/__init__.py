"""One file per probe: its settings, stimulus, symmetry and readout, and what physiology found."""
