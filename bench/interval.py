"""How far a share that was counted in a sample may be from the true one."""

from __future__ import annotations

import math

CONFIDENCE, Z = 0.95, 1.96
"""Of the interval, and its quantile of the normal distribution."""


def interval(hits: int, of: int) -> tuple[float, float]:
    """In which the share lies with CONFIDENCE, by Wilson's score, which holds for shares near 0 too; 0 to 1 of nothing.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if not of:
        return 0.0, 1.0
    share, weight = hits / of, Z * Z / of
    middle = (share + weight / 2) / (1 + weight)
    spread = Z * math.sqrt(share * (1 - share) / of + weight / (4 * of)) / (1 + weight)
    return max(0.0, middle - spread) if hits else 0.0, min(1.0, middle + spread) if hits < of else 1.0
