"""Finding the regions on a whole CT with the model's localisers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset
from reactkd_auto.imageio import RawCase, array_spacing
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.localisation import region_probabilities
from reactkd_auto.preprocessing import Grid, coarse_case, coarse_grid
from reactkd_auto.preprocessing.labels import resample_labels
from reactkd_auto.regions.plausible import LESION_MARGIN, LesionLimits, lesion_limits, lesion_sizes, plausible_labels


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
    grid = coarse_grid(Grid.of(image), plan)
    base = coarse_case(RawCase("", {0: image}, None), plan, dataset)[0]
    probabilities = region_probabilities(model.localisers, base, plan=plan, dataset=dataset, device=model.device)
    limits = lesion_limits(plan, model.fingerprint)
    labels = plausible_labels(probabilities, dataset, voxel_mm3=grid.voxel_mm3, limits=limits)
    lesions = np.isin(labels, dataset.region_values("lesion")).any()
    sizes = [] if lesions else lesion_sizes(probabilities, dataset, voxel_mm3=grid.voxel_mm3)
    return Found(_on_image(labels, grid, image, dataset) if labels.any() else None, _in_words(sizes, limits))


def _in_words(sizes: Sequence[float], limits: LesionLimits) -> str:
    if not sizes:
        return ""
    most = f"{limits.largest_mm3 / 1000:.3g} ml" if math.isfinite(limits.largest_mm3) else "any volume"
    return (
        f"The largest of what it found has {max(sizes) / 1000:.3g} ml, expected {limits.smallest_mm3 / 1000:.3g} ml to "
        f"{most} (training cases, and a factor of {LESION_MARGIN:g})."
    )


def _on_image(coarse: NDArray[np.uint8], grid: Grid, image: sitk.Image, dataset: Dataset) -> sitk.Image:
    """Region values (z, y, x) of the coarse grid, some not 0, as a region map on the image's grid."""
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
    places = grid.positions(np.array(corners, float))
    points = np.array([image.TransformPhysicalPointToContinuousIndex(p) for p in places.tolist()])
    top = np.array(image.GetSize()) - 1
    low = np.clip(np.floor(points.min(axis=0)), 0, top).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)), 0, top).astype(int)
    x, y, z = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    size = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
    origin = image.TransformIndexToPhysicalPoint(low.tolist())
    return (z, y, x), Grid(size, array_spacing(image), origin, image.GetDirection())
