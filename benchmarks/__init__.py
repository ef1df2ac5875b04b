"""Side-by-side measurements against peers: `make bench`."""
