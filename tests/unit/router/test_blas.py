"""Which kernels numpy computes with: never such as the processor does not have."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trunkline_router.blas import kernels

WIDE = "avx avx2 avx512f avx512dq avx512cd avx512bw avx512vl"
CHOICE = "import trunkline_router, os, numpy as n; n.ones((9, 9), n.float32) @ n.ones((9, 9), n.float32); print({})"


def cpuinfo(vendor: str, *flags: str) -> str:
    cores = (f"processor\t: {i}\nvendor_id\t: {vendor}\nflags\t\t: {each}\n" for i, each in enumerate(flags))
    return "\n".join(cores)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        (cpuinfo("AuthenticAMD", WIDE, WIDE), "SkylakeX"),
        (cpuinfo("AuthenticAMD", "avx avx2", WIDE), ""),
        (cpuinfo("AuthenticAMD", WIDE.replace(" avx512vl", "")), ""),
        (cpuinfo("GenuineIntel", WIDE), ""),  # OpenBLAS knows those by what they can do
        ("Processor: ARMv8\nFeatures : fp asimd\n", ""),
        ("", ""),
    ],
)
def test_wide_kernels_are_for_amd_with_all_of_avx512(text: str, chosen: str) -> None:
    assert kernels(text) == chosen


@pytest.mark.parametrize("operators_choice", ["Haswell", None])
def test_it_is_chosen_before_numpy_is_there_unless_the_operator_chose(operators_choice: str | None) -> None:
    given = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    if operators_choice:
        given["OPENBLAS_CORETYPE"] = operators_choice
    code = CHOICE.format("os.environ.get('OPENBLAS_CORETYPE', '') == (trunkline_router.kernels_of_this_machine())")
    said = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(operators_choice is None)
