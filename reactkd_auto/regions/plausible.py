"""What of a localiser's probabilities may be a region: probable enough, and of a size that regions have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import Fingerprint
from reactkd_auto.plan import Plan

ORGAN_SHARE = 0.2
"""A component of an organ or context region smaller than this share of its largest one is dropped: of paired organs
both stay, specks go."""
THRESHOLD = 0.5
LESION_MARGIN = 2.0
"""How much smaller or larger than any training lesion a plausible one may be."""


@dataclass(frozen=True)
class LesionLimits:
    """Sizes (of one component, mm³) and number of lesions that are plausible; None: any number."""

    smallest_mm3: float
    largest_mm3: float = math.inf
    most: int | None = None


def lesion_limits(plan: Plan, fingerprint: Fingerprint | None) -> LesionLimits:
    """What lesions of the training cohort were like, with a margin; the plan's smallest lesion where it is unknown."""
    smallest = plan.graph.smallest_lesion_mm3
    cases = () if fingerprint is None else fingerprint.cases
    volumes = [c.lesion_volumes_mm3 for c in cases if c.lesion_volumes_mm3]
    if not volumes:
        return LesionLimits(smallest)
    return LesionLimits(
        smallest_mm3=max(smallest, min(min(v) for v in volumes) / LESION_MARGIN),
        largest_mm3=LESION_MARGIN * max(max(v) for v in volumes),
        most=max(len(v) for v in volumes),
    )


def plausible_labels(
    probabilities: NDArray[np.float32], dataset: Dataset, *, voxel_mm3: float, limits: LesionLimits
) -> NDArray[np.uint8]:
    """Where each region plausibly is: most probable class, p ≥ 0.5, and components of a plausible size.

    Lesion components of sizes that no training lesion had are dropped, and of too many the largest are kept; of organs
    and context regions the largest component stays, and others that are not much smaller.

    Args:
        probabilities: (regions + 1, z, y, x), background first.
        dataset: For the regions.
        voxel_mm3: Volume of a voxel of this grid.
        limits: Of lesion components.

    Returns:
        (z, y, x) region values, 0 where there is none.
    """
    winner = probabilities.argmax(axis=0)
    result = np.zeros(winner.shape, np.uint8)
    for index, region in enumerate(dataset.regions, start=1):
        components, count = cc3d.connected_components(
            (winner == index) & (probabilities[index] >= THRESHOLD), connectivity=26, return_N=True
        )
        if not count:
            continue
        sizes = np.bincount(components.ravel())[1:] * voxel_mm3
        keep = _plausible_lesions(sizes, limits) if region.role == "lesion" else sizes >= ORGAN_SHARE * sizes.max()
        result[np.concatenate([[False], keep])[components]] = region.value
    return result


def lesion_sizes(probabilities: NDArray[np.float32], dataset: Dataset, *, voxel_mm3: float) -> list[float]:
    """Volumes in mm³ of everything that the localisers call a lesion, plausible or not; as in `plausible_labels`."""
    labels = plausible_labels(probabilities, dataset, voxel_mm3=voxel_mm3, limits=LesionLimits(smallest_mm3=0.0))
    sizes: list[float] = []
    for value in dataset.region_values("lesion"):
        components = cc3d.connected_components(labels == value, connectivity=26)
        sizes += (np.bincount(components.ravel())[1:] * voxel_mm3).tolist()
    return sizes


def _plausible_lesions(volumes: NDArray[np.floating], limits: LesionLimits) -> NDArray[np.bool_]:
    """Which components may be lesions, by their volumes in mm³."""
    keep = (volumes >= limits.smallest_mm3) & (volumes <= limits.largest_mm3)
    order = np.argsort(-np.where(keep, volumes, 0.0), kind="stable")
    if limits.most is not None:
        keep[order[limits.most :]] = False
    return keep
