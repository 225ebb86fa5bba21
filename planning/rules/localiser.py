"""The coarse network that finds the regions when a CT comes without them."""

from __future__ import annotations

import math

from reactkd_auto.plan import LocaliserPlan, TripleMm
from reactkd_auto.planning.cohort import Cohort
from reactkd_auto.planning.rules.hardware import Hardware
from reactkd_auto.planning.triples import triple, triple_mm

MOST_VOXELS = {"cpu": 64**3, "cuda": 96**3}
COARSER = 2.0
TINY = 32
MULTIPLE = 16
"""Strides of the localiser's encoder."""


def localiser(cohort: Cohort, hardware: Hardware, spacing: TripleMm) -> tuple[LocaliserPlan, str]:
    """A spacing at which the largest image fits whole, at least twice as coarse as the plan's."""
    extent = cohort.image_extent_mm
    coarse = COARSER * min(spacing)
    why = f"{COARSER:g} times coarser than the finest planned spacing"
    if max(extent) / coarse < TINY:
        coarse = max(max(extent) / TINY, min(spacing))
        why = f"about {TINY} voxels along the longest side, because the images are small"
    else:
        fitting = _fitting_spacing(extent, MOST_VOXELS[hardware.device])
        if fitting > coarse:
            coarse, why = fitting, f"the largest image fits into {MOST_VOXELS[hardware.device]} voxels"
    planned = triple_mm(max(coarse, s) for s in spacing)
    patch = triple(MULTIPLE * max(1, math.ceil(e / s / MULTIPLE - 1e-6)) for e, s in zip(extent, planned, strict=True))
    if not cohort.has_regions:
        return LocaliserPlan(False, planned, patch), (
            f"off: {cohort.region_share:.0%} of the cases have an organ or lesion region to learn from"
        )
    return LocaliserPlan(True, planned, patch), (
        f"on, trained on the regions of {cohort.region_share:.0%} of the cases; spacing {min(planned):.2f} mm: {why}"
    )


def _fitting_spacing(extent: TripleMm, voxels: int) -> float:
    """Isotropic spacing at which the extent, padded to the network's strides, has at most so many voxels."""
    spacing = (math.prod(extent) / voxels) ** (1 / 3)
    while math.prod(MULTIPLE * math.ceil(e / spacing / MULTIPLE) for e in extent) > voxels:
        spacing *= 1.02
    return spacing
