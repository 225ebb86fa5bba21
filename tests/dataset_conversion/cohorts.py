"""A small clean raw dataset on disk, for tests to spoil."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset import Channel, Dataset, LabelledCase, Region, write_dataset, write_labels
from reactkd_auto.imageio import write_image

DATASET = Dataset(
    name="Small",
    channels=(Channel("CT", "ct"), Channel("FDG", "pet_suv")),
    classes=("low", "high"),
    regions=(Region("organ", 1, "organ"), Region("lesion", 2, "lesion")),
)
SHAPE = (6, 8, 8)


def as_image(array: np.ndarray, *, spacing: float = 2.0, shift: float = 0.0) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((spacing,) * 3)
    image.SetOrigin((shift,) * 3)
    return image


def ct(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = 40 + 20 * rng.normal(size=SHAPE)
    values[:, :2] = -1000
    return values.astype(np.int16)


def pet(seed: int) -> np.ndarray:
    return np.random.default_rng(seed + 1000).uniform(0, 5, (3, 4, 4)).astype(np.float32)


def regions() -> np.ndarray:
    values = np.zeros(SHAPE, np.uint8)
    values[1:5, 3:7, 2:6] = 1
    values[2:4, 4:6, 3:5] = 2
    return values


def write_cohort(folder: Path, *, cases: int = 4, tests: int = 2) -> Path:
    """Cases a0…, labels alternate; the last training case is ungraded and has neither PET nor region map."""
    write_dataset(folder, DATASET)
    for part, prefix, count in (("Tr", "a", cases), ("Ts", "t", tests)):
        rows = []
        for i in range(count):
            case, last = f"{prefix}{i}", part == "Tr" and i == count - 1
            seed = i if part == "Tr" else 100 + i
            write_image(folder / f"images{part}" / f"{case}_0000.nii.gz", as_image(ct(seed)))
            if not last:
                write_image(folder / f"images{part}" / f"{case}_0001.nii.gz", as_image(pet(seed), spacing=4, shift=1))
                write_image(folder / f"regions{part}" / f"{case}.nii.gz", as_image(regions()))
            rows.append(LabelledCase(case, f"patient_{case}", None if last else i % 2))
        if count:
            write_labels(folder / f"labels{part}.csv", rows, DATASET.classes)
    return folder
