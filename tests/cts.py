"""Small CTs: a trunk of water with lungs and a spine, noise on top, in any format and orientation."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

SPACING = (1.7, 1.7, 4.0)
"""(x, y, z) mm: too coarse for a calibration, which keeps the tests fast."""


def trunk(slices: int = 5, size: int = 128, *, pixel: float = SPACING[0], noise: float = 12.0) -> np.ndarray:
    """(slices, size, size) int16 HU."""
    mm = (np.arange(size) - (size - 1) / 2) * pixel
    y, x = np.meshgrid(mm, mm, indexing="ij")
    hu = np.full((size, size), -1000.0)
    hu[(y / 75) ** 2 + (x / 100) ** 2 < 1] = 40
    for side in (-50, 50):
        hu[(y / 30) ** 2 + ((x - side) / 18) ** 2 < 1] = -820
    hu[(y - 45) ** 2 + x**2 < 15**2] = 700
    rng = np.random.default_rng(0)
    return (hu + rng.normal(0, noise, (slices, size, size)) * (hu > -900)).round().clip(-1023, 3000).astype(np.int16)


def image_of(array: np.ndarray, **geometry: Any) -> sitk.Image:
    """An image; spacing, origin and direction may be given."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.get("spacing", SPACING))
    image.SetOrigin(geometry.get("origin", (-120.0, -110.0, 35.0)))
    image.SetDirection(geometry.get("direction", (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    return image


def write_ct(path: Path, array: np.ndarray | None = None, **geometry: Any) -> Path:
    """Write a CT, by default the trunk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image_of(trunk() if array is None else array, **geometry), str(path), useCompression=True)
    return path


def read_hu(path: Path) -> np.ndarray:
    """(z, y, x) as stored."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
