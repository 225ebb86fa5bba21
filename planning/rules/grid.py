"""Spacing and patch size, which decide each other under what the device affords."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from reactkd_auto.plan import Triple, TripleMm
from reactkd_auto.planning.cohort import OUTLIER_FACTOR, Cohort
from reactkd_auto.planning.rules.hardware import SMALLEST_VOXELS, Hardware
from reactkd_auto.planning.rules.lesions import typical_diameter
from reactkd_auto.planning.rules.topology import encoder_strides, stem_stride, stride_product
from reactkd_auto.planning.triples import millimetres, triple, triple_mm

MARGIN_SHARE, MARGIN_MM = 0.1, (5.0, 10.0)
"""Tissue kept round the regions on each side, as a share of their largest extent and within the widths of rings."""
SMALLEST_PATCH = 8
ANISOTROPIC = 3.0
STEP = 1.02
CHOSEN = "chosen by the user"


@dataclass(frozen=True)
class Grid:
    """A spacing with the patch and strides that follow from it."""

    spacing_mm: TripleMm
    patch_size: Triple
    strides: tuple[Triple, ...]
    stem_reason: str


TooMuch = Callable[[Grid], str]
"""Why a grid is too much for the device; empty where it is not."""


def target_spacing(cohort: Cohort) -> tuple[TripleMm, str]:
    """Median spacing; a much coarser axis gets its 10th percentile instead (nnU-Net's rule, Isensee 2021)."""
    spacing = list(cohort.median_spacing_mm)
    worst = int(np.argmax(spacing))
    others = [s for a, s in enumerate(spacing) if a != worst]
    reason = f"median of {cohort.cases} images, {millimetres(cohort.median_spacing_mm)} mm"
    if spacing[worst] > ANISOTROPIC * max(others):
        spacing[worst] = max(cohort.low_spacing_mm[worst], *others)
        reason += (
            f"; along {'zyx'[worst]} the 10th percentile {spacing[worst]:.2f} mm, because the median is over "
            f"{ANISOTROPIC:g} times the other axes"
        )
    z, y, x = spacing
    return (z, y, x), reason


def wanted_extent(cohort: Cohort) -> tuple[TripleMm, str]:
    """What the patch must cover, in mm."""
    if not cohort.has_regions:
        return cohort.extent_mm, f"the largest image, {millimetres(cohort.extent_mm, 0)} mm"
    margin = min(max(MARGIN_SHARE * max(cohort.extent_mm), MARGIN_MM[0]), MARGIN_MM[1])
    return triple_mm(e + 2 * margin for e in cohort.extent_mm), (
        f"the largest regions, {millimetres(cohort.extent_mm, 0)} mm (beyond {OUTLIER_FACTOR:g} times the 95th "
        f"percentile apart), with {margin:.0f} mm of margin on each side"
    )


def grid_at(cohort: Cohort, hardware: Hardware, spacing: TripleMm, patch: Triple | None) -> Grid:
    """Patch that covers the wanted extent at a spacing (or the given one), and the strides that divide it."""
    extent, _ = wanted_extent(cohort)
    rough = patch or triple(max(SMALLEST_PATCH, math.ceil(e / s - 1e-6)) for e, s in zip(extent, spacing, strict=True))
    if patch is None:
        rough = triple(n + n % 2 for n in rough)
    stem, reason = stem_stride(rough, spacing, typical_diameter(cohort, spacing), hardware.device)
    strides = encoder_strides(rough, spacing, stem, exact=patch is not None)
    product = stride_product(strides)
    return Grid(spacing, triple(-(-n // p) * p for n, p in zip(rough, product, strict=True)), strides, reason)


def plan_grid(
    cohort: Cohort,
    hardware: Hardware,
    too_much: TooMuch,
    *,
    spacing: TripleMm | None = None,
    patch: Triple | None = None,
) -> tuple[Grid, dict[str, str]]:
    """Finest spacing, from the target on, whose patch covers the regions and is not too much for the device.

    A spacing, or a patch of multiples of `SMALLEST_PATCH`, given by the user is kept.
    """
    target, why = target_spacing(cohort)
    extent, covering = wanted_extent(cohort)
    limit = "the patch size was chosen by the user"
    if spacing:
        grid, why = grid_at(cohort, hardware, spacing, patch), CHOSEN
    elif patch:
        grid = next(g for g in _coarser(cohort, hardware, target, patch) if _covers(g, extent))
    else:
        grid, limit = _finest(_coarser(cohort, hardware, target, None), too_much)
    if not spacing and grid.spacing_mm != target:
        why += f"; coarsened to at least {min(grid.spacing_mm):.2f} mm so that the patch covers {covering}: {limit}"
    product = " × ".join(map(str, stride_product(grid.strides)))
    covers = CHOSEN if patch else f"covers {covering}; rounded up to multiples of the network's strides, {product}"
    over = too_much(grid)
    return grid, {
        "spacing_mm": why,
        "patch_size": f"{covers}; too much, expect it to be slow or to run out of memory: {over}" if over else covers,
    }


def _coarser(cohort: Cohort, hardware: Hardware, target: TripleMm, patch: Triple | None) -> Iterator[Grid]:
    """The grid at the target spacing, then ever coarser ones.

    All finer axes are raised to one common value, so that nothing is lost along an axis that is coarse anyway.
    """
    floor = min(target)
    while True:
        yield grid_at(cohort, hardware, triple_mm(max(s, floor) for s in target), patch)
        floor *= STEP


def _finest(grids: Iterable[Grid], too_much: TooMuch) -> tuple[Grid, str]:
    """The first that is not too much, and why those before it were.

    A grid must have a smaller patch than all before it. (Rounding to strides can make a coarser one's larger.) What is
    too much then decides only how far to go, so that more memory never gives a smaller patch or a coarser spacing.
    """
    smallest, limit = math.inf, ""
    for grid in grids:
        voxels = math.prod(grid.patch_size)
        if voxels >= smallest:
            continue
        smallest = voxels
        reason = too_much(grid)
        if not reason or voxels <= SMALLEST_VOXELS:
            return grid, limit
        limit = reason
    raise AssertionError("grids get coarser without end")


def _covers(grid: Grid, extent: TripleMm) -> bool:
    return all(n * s >= e - 1e-6 for n, s, e in zip(grid.patch_size, grid.spacing_mm, extent, strict=True))
