"""What the report's viewer shows of a case: small volumes on one upright grid, written beside the full images."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from reactkd_auto.cases import CaseProperties
from reactkd_auto.drawing.windows import Window
from reactkd_auto.inference.display import AIR_HU, DisplayGrid, display_grid, position_mm
from reactkd_auto.jsonio import atomic_path, read_document, write_json

VIEWER_SIDE = 160
"""Voxels along the longest side: a page has to hold a case in a few MB."""
HU_STEP = 2.0
"""HU are rounded to this: finer steps are noise, which does not compress."""
HIGHEST_HU = 3071.0
OVERLAYS = ("regions", "explanation", "uncertainty", "attention")
"""Layers over the base image, in the order in which they lie on it."""


@dataclass(frozen=True)
class ViewerCase:
    """Document ``viewer/CASE.json``: what lies beside it, written last.

    Attributes:
        layers: ``image`` and those of `OVERLAYS` that the case has; each is ``viewer/CASE_LAYER.nii.gz``.
        window: Name of the grey window to begin with.
        centre_mm: (x, y, z), RAS, of the place to begin with.
        step_mm: Spacing of the volumes.
    """

    layers: tuple[str, ...]
    window: str
    centre_mm: tuple[float, float, float]
    step_mm: float
    schema_version: int = 1


def layer_path(output: Path, case: str, layer: str) -> Path:
    """``output/viewer/CASE_LAYER.nii.gz``."""
    return Path(output) / "viewer" / f"{case}_{layer}.nii.gz"


def read_viewer(output: Path, case: str) -> ViewerCase:
    """The document of a case."""
    return read_document(ViewerCase, Path(output) / "viewer" / f"{case}.json")


def write_viewer(
    output: Path,
    images: Mapping[str, sitk.Image],
    *,
    properties: CaseProperties,
    grid_size: tuple[int, int, int],
    centre_voxel: tuple[int, int, int],
    window: Window,
    is_ct: bool,
) -> None:
    """Write a case's small volumes.

    Args:
        output: Folder of the run.
        images: ``image``, the base image, and overlays by name, each in its own geometry. An overlay that is 0
            everywhere is left out.
        properties: Of the preprocessed case.
        grid_size: (z, y, x) voxels of its grid.
        centre_voxel: (z, y, x) on that grid, where the planes should cross at first.
        window: Grey window to begin with.
        is_ct: Whether the base image holds HU.
    """
    grid = display_grid(images["image"], properties, grid_size, side=VIEWER_SIDE)
    written = []
    for name in ("image", *(o for o in OVERLAYS if o in images)):
        stored, slope = _stored(name, images[name], grid, is_ct=is_ct)
        if name == "image" or stored.any():
            _write(layer_path(output, properties.case, name), stored, slope, grid)
            written.append(name)
    x, y, z = (float(c) for c in position_mm(properties, centre_voxel))
    document = ViewerCase(tuple(written), window.name, (-x, -y, z), grid.step_mm)
    write_json(Path(output) / "viewer" / f"{properties.case}.json", document)


def _stored(
    name: str, image: sitk.Image, grid: DisplayGrid, *, is_ct: bool
) -> tuple[NDArray[np.int16] | NDArray[np.uint8], float]:
    """Whole numbers (z, y, x) and what one of them is worth."""
    if name == "image" and is_ct:
        hu = grid.sample(image, sitk.sitkLinear, AIR_HU).clip(AIR_HU, HIGHEST_HU)
        return np.round(hu / HU_STEP).astype(np.int16), HU_STEP
    # Regions and what is painted on them have sharp borders.
    smooth = name in ("image", "attention")
    values = grid.sample(image, sitk.sitkLinear if smooth else sitk.sitkNearestNeighbor)
    slope = 1.0 if name == "regions" else max(float(values.max()), 1e-6) / 255
    return np.round(values.clip(min=0) / slope).astype(np.uint8), slope


def _write(path: Path, stored: NDArray[np.int16] | NDArray[np.uint8], slope: float, grid: DisplayGrid) -> None:
    """NIfTI with a scale, which SimpleITK cannot write; the same values give the same bytes."""
    affine = np.diag([-grid.step_mm, -grid.step_mm, grid.step_mm, 1.0])  # LPS to RAS
    affine[:3, 3] = np.array(grid.first_mm) * (-1, -1, 1)
    image = nib.Nifti1Image(stored.transpose(2, 1, 0), affine)
    image.header.set_slope_inter(slope, 0.0)
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
