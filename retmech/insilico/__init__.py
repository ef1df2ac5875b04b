"""A simulated retina whose mechanism is known: scenes, pathways, spikes."""
