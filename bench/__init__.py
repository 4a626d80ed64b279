"""Measurements of the platform, run by hand and by `make bench`."""

import trunkline_router  # noqa: F401  # before any module imports numpy: it says how many threads that may use
