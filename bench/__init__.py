"""Measurements of the platform, run by hand and by `make bench`."""
