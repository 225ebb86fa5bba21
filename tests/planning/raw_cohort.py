"""A tiny raw dataset on disk: a ball, as a shape (no dose: fast) or in a CT, and PET on a grid of its own."""

import dataclasses
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset import Channel, Dataset, LabelledCase, Region, write_dataset, write_labels

DATASET = Dataset(
    name="Tiny",
    channels=(Channel("shape", "binary_mask"), Channel("FDG", "pet_suv")),
    classes=("low", "high"),
    regions=(Region("lesion", 1, "lesion"),),
    left_right_symmetric=True,
)
WITH_CT = dataclasses.replace(DATASET, channels=(Channel("CT", "ct"), Channel("FDG", "pet_suv")))
FOLDER = "Dataset001_Tiny"
SIZE, SPACING = (16, 24, 24), (2.0, 1.5, 1.5)


def make_raw(workspace: Path, count: int = 6, *, first: int = 0, dataset: Dataset = DATASET) -> Path:
    """Write cases ``first … first + count − 1`` and a label table of all cases up to there."""
    raw = workspace / "raw" / FOLDER
    raw.mkdir(parents=True, exist_ok=True)
    write_dataset(raw, dataset)
    for number in range(first, first + count):
        write_case(raw, number, dataset)
    rows = [LabelledCase(f"case_{i}", f"patient_{i}", i % 2) for i in range(first + count)]
    write_labels(raw / "labelsTr.csv", rows, dataset.classes)
    return raw


def write_case(raw: Path, number: int, dataset: Dataset = DATASET) -> None:
    rng = np.random.default_rng(number)
    lesion = ball((8.0, 12.0, 12.0), 5.0 + number % 3)
    base = lesion.astype(np.int16)
    if dataset.base.role == "ct":
        base = np.round(np.where(lesion, 60.0, 20.0) + rng.normal(0, 12, SIZE)).astype(np.int16)
        base[:, :3] = -1000
    pet = np.abs(rng.normal(1 + 5 * (number % 2), 0.3, (10, 12, 12)))
    write_image(raw / "imagesTr" / f"case_{number}_0000.nii.gz", base, SPACING)
    write_image(raw / "imagesTr" / f"case_{number}_0001.nii.gz", pet.astype(np.float32), (3.2, 3.0, 3.0))
    write_image(raw / "regionsTr" / f"case_{number}.nii.gz", lesion.astype(np.uint8), SPACING)


def ball(centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    """Voxels within ``radius_mm`` of a voxel position."""
    grid = np.indices(SIZE).T - np.array(centre)
    return (np.linalg.norm(grid * np.array(SPACING), axis=-1) <= radius_mm).T


def write_image(path: Path, array: np.ndarray, spacing: tuple[float, float, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    sitk.WriteImage(image, str(path))
