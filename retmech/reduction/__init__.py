"""From the attributions of all probes to a few factors."""
