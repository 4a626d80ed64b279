"""Which kernels numpy's OpenBLAS should take where it would take slow ones."""

from pathlib import Path

AVX512 = frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"})
"""What OpenBLAS's SkylakeX kernels are compiled for."""


def kernels_of_this_machine() -> str:
    """A value for OPENBLAS_CORETYPE, or nothing: OpenBLAS's own choice is as good."""
    try:
        return kernels(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace"))
    except OSError:  # not Linux
        return ""


def kernels(cpuinfo: str) -> str:
    """OpenBLAS takes an AMD processor that is newer than itself for one without AVX-512: half as fast here."""
    first = cpuinfo.partition("\n\n")[0]
    known = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    able = known.get("vendor_id") == "AuthenticAMD" and set(known.get("flags", "").split()) >= AVX512
    return "SkylakeX" if able else ""
