"""A cohort that nobody drew on: trunks with organs of densities of their own."""

import dataclasses
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset import Channel, Dataset, LabelledCase, write_dataset, write_labels
from reactkd_auto.imageio import write_image

DATASET = Dataset("Maskless", (Channel("CT", "ct"),), ("low", "high"))
NAME = "Dataset001_Maskless"
SIZE = (12, 40, 48)
SPACING = (6.0, 4.0, 4.0)
ORGANS = {"liver": (70, 14), "spleen": (100, 36), "kidney_left": (130, 30), "kidney_right": (160, 18)}
"""Density, and the column in which it lies."""


def trunk(seed: int) -> np.ndarray:
    """HU (z, y, x)."""
    z, y, x = np.indices(SIZE)
    rng = np.random.default_rng(seed)
    dy, dx = rng.integers(-2, 3, 2)
    hu = np.where(((y - 20 - dy) / 15) ** 2 + ((x - 24 - dx) / 20) ** 2 <= 1, 20, -1000) + 0 * z
    for row, (density, column) in enumerate(ORGANS.values()):
        hu[(abs(z - 6) <= 3) & (abs(y - 14 - 4 * row - dy) <= 1) & (abs(x - column - dx) <= 3)] = density
    hu[0] = hu[0] + rng.integers(-3, 4, hu[0].shape)
    return hu.astype(np.int16)


def as_image(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((-50.0, 20.0, 300.0))
    return image


def write_cohort(workspace: Path, *, cases: int = 4, tests: int = 1, dataset: Dataset = DATASET) -> Path:
    """Cases a0 … (labels alternate) and test cases t0 …, without region maps."""
    folder = workspace / "raw" / NAME
    write_dataset(folder, dataset)
    for part, prefix, count in (("Tr", "a", cases), ("Ts", "t", tests)):
        rows = [LabelledCase(f"{prefix}{i}", f"patient_{prefix}{i}", i % 2) for i in range(count)]
        for number, row in enumerate(rows):
            seed = number if part == "Tr" else 100 + number
            path = folder / f"images{part}" / f"{row.case}_0000{dataset.file_ending}"
            write_image(path, as_image(trunk(seed)))
        if rows:
            write_labels(folder / f"labels{part}.csv", rows, dataset.classes)
    return folder


def labels_of(folder: Path, part: str, case: str, ending: str = ".nii.gz") -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"regions{part}" / f"{case}{ending}")))


def draw(folder: Path, case: str, value: int) -> Path:
    """A map that somebody drew."""
    path = folder / "regionsTr" / f"{case}.nii.gz"
    labels = np.zeros(SIZE, np.uint8)
    labels[4:8, 18:22, 20:26] = value
    write_image(path, as_image(labels))
    return path


def with_regions(folder: Path, *regions: object) -> None:
    write_dataset(folder, dataclasses.replace(DATASET, regions=regions))  # type: ignore[arg-type]
