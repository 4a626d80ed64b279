"""The router: admits requests, picks agents, writes tasks."""

import os

# Before numpy is loaded. A decision is a row of small products: a second thread would wait more than it works.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251
