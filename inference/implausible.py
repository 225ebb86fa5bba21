"""Whether a CT, and what was found in it, is like anything that the model was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.dataset import Dataset
from reactkd_auto.dose.evidence import noise_level
from reactkd_auto.dose.volumes import axial_stack
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import array_spacing
from reactkd_auto.inference.domain import SIZE_MARGIN, Domain, Range, at_levels
from reactkd_auto.plan import TripleMm
from reactkd_auto.preprocessing.supervoxels import body_mask
from reactkd_auto.regions.intensities import measure_intensities
from reactkd_auto.regions.lesions import lesion_components, whole_organ
from reactkd_auto.regions.lookup import mask_of

BODY_STEP_MM = 4.0
SHARE_IN_BODY = 0.5
CUT_BELOW_HU = -900.0
CUT_ABOVE_HU = 1000.0
CUT_SHARES = (0.01, 0.003)
"""Shares of voxels at exactly the lowest and the highest value that a window leaves and a scanner does not."""
MOST_BODY_VOXELS = 2**23
"""Of more, every n-th slice tells how the HU of a body are distributed."""

Labels = NDArray[np.uint8]
NoisePlace = Literal["below", "inside", "above"]


def strange_intensities(image: sitk.Image, regions: sitk.Image | None, domain: Domain, dataset: Dataset) -> str:
    """Why the intensities of a CT are unlike those of the training cohort; empty where they are not.

    Args:
        image: Base image in canonical orientation.
        regions: Region map on its grid, or None.
        domain: Of the model.
        dataset: Of the model.
    """
    if dataset.base.role != "ct":
        return ""
    if window := _window(image, domain):
        return f"The CT is cut to a window of {window[0]:.0f} to {window[1]:.0f} HU, expected the whole range."
    seen = image if regions is not None else image[:, :, :: math.ceil(image.GetNumberOfPixels() / MOST_BODY_VOXELS)]
    found = at_levels(measure_intensities(seen, regions, dataset, "ct").quantiles)
    distance = domain.distance_hu(found)
    if distance <= domain.limit_hu:
        return ""
    where = "regions" if regions is not None else "body"
    return (
        f"HU in the {where} (median {found[len(found) // 2]:.0f}) differ by {distance:.0f} on average from the most "
        f"similar training case, expected at most {domain.limit_hu:.0f}."
    )


def strange_regions(image: sitk.Image, regions: sitk.Image, domain: Domain, dataset: Dataset) -> list[str]:
    """Why regions lie or measure as in no training case; empty where all is plausible.

    Args:
        image: Base image in canonical orientation.
        regions: Region map on its grid with at least one organ or lesion voxel.
        domain: Of the model.
        dataset: Of the model.
    """
    labels = sitk.GetArrayViewFromImage(regions)
    return [*_organ(labels, array_spacing(image), domain, dataset), *_position(image, labels, domain, dataset)]


def measured_noise(image: sitk.Image) -> float | None:
    """Noise of a CT in HU, as in the fingerprint; None where no soft tissue is homogeneous, or slices lie oblique."""
    try:
        return noise_level(axial_stack(image))
    except UserError:
        return None


def place_of_noise(noise: float | None, trained: Range | None) -> NoisePlace | None:
    """Where a CT's noise lies, seen from the range that training saw; None where there is nothing to compare."""
    if noise is None or trained is None:
        return None
    return "below" if noise < trained[0] else "above" if noise > trained[1] else "inside"


def strange_noise(noise: float | None, trained: Range | None) -> str:
    """The warning about a CT's noise; empty where there is nothing to warn of, or nothing to compare with."""
    place = place_of_noise(noise, trained)
    if trained is None or place == "inside":
        return ""
    if noise is None:
        return (
            "Noise can't be measured: no soft tissue is homogeneous, or there is very much noise (training saw "
            f"{trained[0]:.0f} to {trained[1]:.0f} HU)."
        )
    what = "less" if place == "below" else "more"
    return (
        f"Noise of {noise:.0f} HU is {what} than training saw ({trained[0]:.0f} to {trained[1]:.0f} HU): "
        "the answer may be off."
    )


def _window(image: sitk.Image, domain: Domain) -> Range | None:
    """Lowest and highest HU of a CT that was cut to a window, unless the cohort's were too."""
    hu = sitk.GetArrayViewFromImage(image)
    low, high = float(hu.min()), float(hu.max())
    if domain.highest_hu is not None and domain.highest_hu <= high + 1:
        return None
    below = low > CUT_BELOW_HU and float(np.mean(hu == low)) > CUT_SHARES[0]
    above = high < CUT_ABOVE_HU and float(np.mean(hu == high)) > CUT_SHARES[1]
    return (low, high) if below or above else None


def _organ(labels: Labels, spacing: TripleMm, domain: Domain, dataset: Dataset) -> Iterator[str]:
    """What is wrong with the organ's volume, lesions in it included."""
    if domain.organ_mm3 is None:
        return
    (box,) = ndimage.find_objects((labels > 0).view(np.uint8)) or [(slice(0, 1),) * 3]
    part = np.ascontiguousarray(labels[box])
    components, _ = lesion_components(part, dataset)
    volume = float(whole_organ(part, components, dataset).sum()) * math.prod(spacing)
    low, high = domain.organ_mm3
    if not volume and domain.organ_always:
        yield "No organ was found, and every training case had one."
    elif volume and not low <= volume <= high:
        yield (
            f"An organ of {volume / 1000:.0f} ml was found, expected {low / 1000:.0f} to {high / 1000:.0f} ml "
            f"(training cases, and a factor of {SIZE_MARGIN:g})."
        )


def _position(image: sitk.Image, labels: Labels, domain: Domain, dataset: Dataset) -> Iterator[str]:
    """What is wrong with where lesions (or, without any, organs) lie."""
    if domain.extent_mm is not None:
        extent = _extent_mm(mask_of(labels, dataset.region_values("organ") + dataset.region_values("lesion")), image)
        if (extent > domain.extent_mm).any():
            axis = int(np.argmax(extent / domain.extent_mm))
            yield (
                f"Regions reach over {extent[axis]:.0f} mm along {'zyx'[axis]}, expected at most "
                f"{domain.extent_mm[axis]:.0f} mm (training cases, and a factor of {SIZE_MARGIN:g})."
            )
    if dataset.base.role == "ct" and (share := _share_in_body(image, labels, dataset)) < SHARE_IN_BODY:
        yield f"Only {share:.0%} of the lesions lies in the body."


def _extent_mm(mask: NDArray[np.bool_], image: sitk.Image) -> NDArray[np.float64]:
    """Edges (z, y, x) of the box round a mask; 0 where it is empty."""
    (box,) = ndimage.find_objects(mask.view(np.uint8)) or [(slice(0, 0),) * 3]
    return np.array([s.stop - s.start for s in box]) * np.array(array_spacing(image))


def _share_in_body(image: sitk.Image, labels: Labels, dataset: Dataset) -> float:
    """Of the lesions' voxels, 1 without any; on a grid of about 4 mm."""
    spacing = array_spacing(image)
    steps = tuple(slice(None, None, max(1, round(BODY_STEP_MM / s))) for s in spacing)
    coarse = [s * step.step for s, step in zip(spacing, steps, strict=True)]
    lesions = mask_of(labels[steps], dataset.region_values("lesion"))
    if not lesions.any():
        return 1.0
    hu = sitk.GetArrayViewFromImage(image)[steps].astype(np.float32)
    return float(body_mask(hu, (coarse[0], coarse[1], coarse[2]))[lesions].mean())
