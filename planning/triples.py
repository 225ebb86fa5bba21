"""Three values, one an axis (z, y, x), with their type kept."""

from __future__ import annotations

import math
from collections.abc import Iterable

from reactkd_auto.plan import Triple, TripleMm


def triple(values: Iterable[int]) -> Triple:
    """Exactly three whole numbers."""
    z, y, x = (int(v) for v in values)
    return z, y, x


def triple_mm(values: Iterable[float]) -> TripleMm:
    """Exactly three lengths, to a micrometre."""
    z, y, x = (round(float(v), 6) for v in values)
    return z, y, x


def mean_mm(values: TripleMm) -> float:
    """Geometric mean: the edge of the cube of equal volume."""
    return math.prod(values) ** (1 / 3)


def millimetres(values: TripleMm, digits: int = 2) -> str:
    """``z × y × x`` for a person."""
    return " × ".join(f"{v:.{digits}f}" for v in values)
