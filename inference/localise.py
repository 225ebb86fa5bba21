"""Finding the regions on a whole CT with the model's localisers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset
from reactkd_auto.imageio import RawCase, array_spacing
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.networks import Localiser
from reactkd_auto.preprocessing import Grid, coarse_case, coarse_grid
from reactkd_auto.preprocessing.labels import resample_labels
from reactkd_auto.preprocessing.normalise import normalise

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


@dataclass(frozen=True)
class Found:
    """What the localisers see in an image.

    Attributes:
        regions: uint8 region map on the image's grid, or None where nothing plausible was found.
        implausible: What was left out, in words, where no lesion stays; else empty.
    """

    regions: sitk.Image | None
    implausible: str = ""


def find_regions(image: sitk.Image, model: LoadedModel) -> Found:
    """Regions that the model's localisers see in a whole image.

    Args:
        image: Base image in canonical orientation.
        model: With at least one localiser.
    """
    dataset, plan = model.dataset, model.plan
    grid = coarse_grid(image, plan)
    stored = coarse_case(RawCase("", {0: image}, None), plan, dataset)[0].astype(np.float32)
    real = torch.from_numpy(stored * plan.normalisation[dataset.base.name].storage_scale)[None, None]
    normalised = normalise(real.to(model.device), dataset, plan, channels=(dataset.base.name,))
    probabilities, limits = average_probabilities(model.localisers, normalised), lesion_limits(model)
    voxel_mm3 = float(np.prod(grid.spacing_mm))
    masks = plausible_masks(probabilities, dataset, voxel_mm3=voxel_mm3, limits=limits)
    lesions = set(dataset.region_values("lesion"))
    sizes = [] if lesions & set(masks) else lesion_sizes(probabilities, dataset, voxel_mm3=voxel_mm3)
    return Found(label_image(masks, grid, image, dataset) if masks else None, _in_words(sizes, limits))


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


def lesion_sizes(probabilities: NDArray[np.float32], dataset: Dataset, *, voxel_mm3: float) -> list[float]:
    """Volumes in mm³ of everything that the localisers call a lesion, plausible or not; as in `plausible_masks`."""
    anything = LesionLimits(smallest_mm3=0.0)
    masks = plausible_masks(probabilities, dataset, voxel_mm3=voxel_mm3, limits=anything)
    sizes: list[float] = []
    for value in set(dataset.region_values("lesion")) & set(masks):
        labels = cc3d.connected_components(masks[value], connectivity=26)
        sizes += (np.bincount(labels.ravel())[1:] * voxel_mm3).tolist()
    return sizes


def _in_words(sizes: Sequence[float], limits: LesionLimits) -> str:
    if not sizes:
        return ""
    most = f"{limits.largest_mm3 / 1000:.3g} ml" if math.isfinite(limits.largest_mm3) else "any volume"
    return (
        f"The largest of what it found has {max(sizes) / 1000:.3g} ml, expected {limits.smallest_mm3 / 1000:.3g} ml to "
        f"{most} (training cases, and a factor of {LESION_MARGIN:g})."
    )


def lesion_limits(model: LoadedModel) -> LesionLimits:
    """What lesions of the training cohort were like, with a margin; the plan's smallest lesion where it is unknown."""
    smallest = model.plan.graph.smallest_lesion_mm3
    cases = () if model.fingerprint is None else model.fingerprint.cases
    volumes = [c.lesion_volumes_mm3 for c in cases if c.lesion_volumes_mm3]
    if not volumes:
        return LesionLimits(smallest)
    return LesionLimits(
        smallest_mm3=max(smallest, min(min(v) for v in volumes) / LESION_MARGIN),
        largest_mm3=LESION_MARGIN * max(max(v) for v in volumes),
        most=max(len(v) for v in volumes),
    )


def plausible_masks(
    probabilities: NDArray[np.float32], dataset: Dataset, *, voxel_mm3: float, limits: LesionLimits
) -> dict[int, NDArray[np.bool_]]:
    """Where each region plausibly is: most probable class, p ≥ 0.5, and components of a plausible size.

    Lesion components of sizes that no training lesion had are dropped, and of too many the largest are kept; of organs
    and context regions the largest component stays, and others that are not much smaller.

    Args:
        probabilities: (regions + 1, z, y, x), background first.
        dataset: For the regions.
        voxel_mm3: Volume of a voxel of this grid.
        limits: Of lesion components.

    Returns:
        A mask for each region value that was found anywhere.
    """
    winner = probabilities.argmax(axis=0)
    found = {}
    for index, region in enumerate(dataset.regions, start=1):
        labels, count = cc3d.connected_components(
            (winner == index) & (probabilities[index] >= THRESHOLD), connectivity=26, return_N=True
        )
        if not count:
            continue
        sizes = np.bincount(labels.ravel())[1:] * voxel_mm3
        keep = _plausible_lesions(sizes, limits) if region.role == "lesion" else sizes >= ORGAN_SHARE * sizes.max()
        if keep.any():
            found[region.value] = np.concatenate([[False], keep])[labels]
    return found


def _plausible_lesions(volumes: NDArray[np.floating], limits: LesionLimits) -> NDArray[np.bool_]:
    """Which components may be lesions, by their volumes in mm³."""
    keep = (volumes >= limits.smallest_mm3) & (volumes <= limits.largest_mm3)
    order = np.argsort(-np.where(keep, volumes, 0.0), kind="stable")
    if limits.most is not None:
        keep[order[limits.most :]] = False
    return keep


def label_image(masks: Mapping[int, NDArray[np.bool_]], grid: Grid, image: sitk.Image, dataset: Dataset) -> sitk.Image:
    """Masks of the coarse grid as one region map on the image's grid.

    Args:
        masks: For each region value that was found, (z, y, x) on the coarse grid; they do not overlap.
        grid: The coarse grid.
        image: Gives the fine one.
        dataset: For the regions' roles.
    """
    coarse = np.zeros(grid.size, np.uint8)
    for value, mask in masks.items():
        coarse[mask] = value
    window, fine = _part(coarse > 0, grid, image)
    labels = np.zeros(image.GetSize()[::-1], np.uint8)
    labels[window] = resample_labels(grid.image(coarse), fine, dataset)
    result = sitk.GetImageFromArray(labels)
    result.CopyInformation(image)
    return result


def _part(mask: NDArray[np.bool_], grid: Grid, image: sitk.Image) -> tuple[tuple[slice, slice, slice], Grid]:
    """The box of the image that holds a mask of the coarse grid: a whole-body CT is long, a lesion is not."""
    voxels = np.argwhere(mask)
    corners = list(itertools.product(*zip(voxels.min(axis=0) - 1, voxels.max(axis=0) + 1, strict=True)))
    direction = np.array(grid.direction).reshape(3, 3)
    places = np.array(grid.origin_mm) + (np.array(corners) * grid.spacing_mm)[:, ::-1] @ direction.T
    points = np.array([image.TransformPhysicalPointToContinuousIndex(p) for p in places.tolist()])
    top = np.array(image.GetSize()) - 1
    low = np.clip(np.floor(points.min(axis=0)), 0, top).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)), 0, top).astype(int)
    x, y, z = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    size = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
    origin = image.TransformIndexToPhysicalPoint(low.tolist())
    return (z, y, x), Grid(size, array_spacing(image), origin, image.GetDirection())
