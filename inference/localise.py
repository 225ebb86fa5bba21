"""Finding the regions on a whole CT with the model's localisers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset, Region
from reactkd_auto.networks import Localiser

SMALLEST_ORGAN_SHARE = 0.2
"""A component of an organ or context region smaller than this share of its largest one is dropped: of paired organs
both stay, specks go."""
THRESHOLD = 0.5


def average_probabilities(localisers: Sequence[Localiser], image: torch.Tensor) -> NDArray[np.float32]:
    """Softmax of every localiser, averaged.

    Args:
        localisers: At least one.
        image: Normalised base image [1, 1, z, y, x] at the localiser's spacing, on their device.

    Returns:
        (regions + 1, z, y, x), background first.
    """
    with torch.no_grad():
        total = sum(torch.softmax(network(image).float(), dim=1) for network in localisers)
    assert isinstance(total, torch.Tensor)
    return np.asarray((total[0] / len(localisers)).cpu().numpy(), dtype=np.float32)


def plausible_masks(
    probabilities: NDArray[np.float32],
    dataset: Dataset,
    *,
    voxel_mm3: float,
    smallest_lesion_mm3: float,
) -> dict[int, NDArray[np.bool_]]:
    """Where each region plausibly is: most probable class, p ≥ 0.5, and components of a plausible size.

    Lesion components smaller than the smallest that the plan keeps are dropped; of organs and context regions the
    largest component stays, and others that are not much smaller.

    Args:
        probabilities: (regions + 1, z, y, x), background first.
        dataset: For the regions.
        voxel_mm3: Volume of a voxel of this grid.
        smallest_lesion_mm3: Of the plan.

    Returns:
        A mask for each region value that was found anywhere.
    """
    winner = probabilities.argmax(axis=0)
    found = {}
    for index, region in enumerate(dataset.regions, start=1):
        mask = (winner == index) & (probabilities[index] >= THRESHOLD)
        kept = _plausible_components(mask, region, voxel_mm3, smallest_lesion_mm3)
        if kept.any():
            found[region.value] = kept
    return found


def _plausible_components(
    mask: NDArray[np.bool_], region: Region, voxel_mm3: float, smallest_lesion_mm3: float
) -> NDArray[np.bool_]:
    import cc3d

    labels, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())[1:]
    floor = smallest_lesion_mm3 / voxel_mm3 if region.role == "lesion" else SMALLEST_ORGAN_SHARE * sizes.max()
    keep = np.concatenate([[False], sizes >= floor])
    return np.asarray(keep[labels])
