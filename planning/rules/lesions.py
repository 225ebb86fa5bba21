"""Which lesion components count, and how large they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reactkd_auto.plan import TripleMm
from reactkd_auto.planning.cohort import Cohort

SMALLEST_LESION_MM3 = 65.0
SMALLEST_LESION_VOXELS = 8
TYPICAL_PERCENTILE = 25


def smallest_lesion(spacing: TripleMm) -> float:
    """Smallest lesion volume in mm³ that becomes a node (METHOD.md section 2)."""
    return max(SMALLEST_LESION_MM3, SMALLEST_LESION_VOXELS * math.prod(spacing))


def kept_lesions(cohort: Cohort, smallest_mm3: float) -> list[list[float]]:
    """Volumes of the components that count, case by case: the largest always, the others from a smallest volume on."""
    return [[case[0], *(v for v in case[1:] if v >= smallest_mm3)] for case in cohort.lesion_volumes_mm3]


def typical_diameter(cohort: Cohort, spacing: TripleMm) -> float | None:
    """25th percentile of the diameters (of spheres of equal volume) of all lesions that count; None without lesions."""
    return _percentile([v for case in kept_lesions(cohort, smallest_lesion(spacing)) for v in case])


def _percentile(volumes: Sequence[float]) -> float | None:
    if not volumes:
        return None
    return float(np.percentile([diameter(v) for v in volumes], TYPICAL_PERCENTILE))


def diameter(volume_mm3: float) -> float:
    """Diameter in mm of the sphere of this volume."""
    return float((6 * volume_mm3 / math.pi) ** (1 / 3))
