"""The router: admits requests, picks agents, writes tasks."""

import os

from trunkline_router.blas import kernels_of_this_machine

# Before numpy is loaded. A decision is a row of small products: a second thread would wait more than it works.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251
if _kernels := kernels_of_this_machine():
    os.environ.setdefault("OPENBLAS_CORETYPE", _kernels)  # noqa: TID251
