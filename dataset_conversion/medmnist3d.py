"""Convert a shape data set of MedMNIST v2 (AdrenalMNIST3D, VesselMNIST3D): binary masks without HU.

The source is one file, ``adrenalmnist3d.npz`` (28×28×28) or ``adrenalmnist3d_64.npz`` (64×64×64), as published at
doi 10.5281/zenodo.10519652 (Yang et al. 2023, Scientific Data 10:41, CC BY 4.0), with arrays ``train_images``,
``train_labels``, ``val_images`` … ``test_labels``.

* The official training and validation parts go to imagesTr as cases ``train_0000`` … and ``val_0000`` …: folds are made
  over both, nothing is selected on the validation part. The official test part goes to imagesTs with labelsTs.csv.
* The base channel is the mask itself (role `binary_mask`: no dose degradation). The region map is the mask as well, as
  a `lesion`: the shape in question must be a node of the graph, and it is what the class is about.
* Spacing is 64 mm / size for the adrenal gland (its box is 64 mm wide by the publication), else nominally 1 mm.
* The file does not say which two glands are one patient's; each case stands for a patient of its own.

Data sets of MedMNIST with grey values 0…255 are refused: those values are not HU.
"""

from __future__ import annotations

import argparse
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.commandline import run
from reactkd_auto.dataset import (
    Channel,
    Dataset,
    LabelledCase,
    Region,
    channel_path,
    region_path,
    write_labels,
)
from reactkd_auto.dataset_conversion.copying import close_dataset, converter_parser
from reactkd_auto.dataset_conversion.opening import open_cohort
from reactkd_auto.errors import UserError
from reactkd_auto.progress import track

PARTS = ("train", "val", "test")
SOURCE = "MedMNIST v2, doi 10.5281/zenodo.10519652"


@dataclass(frozen=True)
class Shapes:
    """What the publication says about one data set: name, classes by label, structure, width of its box in mm."""

    name: str
    classes: tuple[str, str]
    structure: str
    box_mm: float | None


SHAPES = {
    "adrenalmnist3d": Shapes("AdrenalMNIST3D", ("normal", "hyperplasia"), "adrenal", 64.0),
    "vesselmnist3d": Shapes("VesselMNIST3D", ("vessel", "aneurysm"), "vessel", None),
}


def convert_medmnist3d(
    source: Path, *, workspace: Path | None = None, id: int | None = None, quiet: bool = False
) -> Path:
    """Convert one npz file and return the dataset folder; cases that are already there are kept.

    Raises:
        UserError: The file is missing, damaged, or not a shape data set of MedMNIST.
    """
    source = Path(source)
    key, _, size = source.stem.partition("_")
    if key not in SHAPES or size not in ("", "64"):
        known = ", ".join(f"{k}.npz or {k}_64.npz" for k in SHAPES)
        raise UserError(f"{source}: not a known file, expected {known} with its published name.")
    shapes, arrays = SHAPES[key], _read_arrays(source)
    folder = open_cohort(workspace, shapes.name + size, id, {"source": source.resolve()})
    for part in PARTS:
        _write_part(folder, part, arrays[f"{part}_images"], shapes, quiet=quiet)
    dataset = _dataset(shapes, size)
    write_labels(folder / "labelsTs.csv", _labels("test", arrays), dataset.classes)
    return close_dataset(folder, dataset, [*_labels("train", arrays), *_labels("val", arrays)])


def _dataset(shapes: Shapes, size: str) -> Dataset:
    return Dataset(
        name=shapes.name + size,
        channels=(Channel("shape", "binary_mask"),),
        classes=shapes.classes,
        regions=(Region(shapes.structure, 1, "lesion"),),
        left_right_symmetric=True,
        description=f"{shapes.name}: shape masks; official test part in imagesTs.",
        source=SOURCE,
        licence="CC BY 4.0",
    )


def _read_arrays(source: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(source) as file:
            arrays = {f"{p}_{w}": file[f"{p}_{w}"] for p in PARTS for w in ("images", "labels")}
    except FileNotFoundError:
        raise UserError(f"{source}: no such file, expected a MedMNIST npz file.") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{source}: not a complete MedMNIST npz file ({error}).") from None
    for name, array in arrays.items():
        if name.endswith("images") and (array.ndim != 4 or not np.isin(array, (0, 1, 255)).all()):
            raise UserError(f"{source}: {name} are no 3D masks of 0 and 255, expected a shape data set.")
        if name.endswith("labels") and not np.isin(array, (0, 1)).all():
            raise UserError(f"{source}: {name} has values other than 0 and 1, expected two classes.")
    return arrays


def _labels(part: str, arrays: dict[str, NDArray[Any]]) -> list[LabelledCase]:
    names = [_case(part, i) for i in range(len(arrays[f"{part}_images"]))]
    return [LabelledCase(n, n, int(v)) for n, v in zip(names, arrays[f"{part}_labels"].ravel(), strict=True)]


def _case(part: str, index: int) -> str:
    return f"{part}_{index:04d}"


def _write_part(folder: Path, part: str, images: NDArray[Any], shapes: Shapes, *, quiet: bool) -> None:
    import SimpleITK as sitk

    from reactkd_auto.imageio import write_image

    end = "Ts" if part == "test" else "Tr"
    spacing = (shapes.box_mm or images.shape[-1]) / images.shape[-1]
    for index, mask in enumerate(track(images, what=f"writing {part}", total=len(images), quiet=quiet)):
        image = sitk.GetImageFromArray((mask > 0).astype(np.uint8))
        image.SetSpacing((spacing,) * 3)
        for path in (
            region_path(folder / f"regions{end}", _case(part, index), ".nii.gz"),
            channel_path(folder / f"images{end}", _case(part, index), 0, ".nii.gz"),
        ):
            if not path.exists():
                write_image(path, image)


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_convert_medmnist3d``."""
    return converter_parser("reactkd_convert_medmnist3d", __doc__ or "")


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_convert_medmnist3d``."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    convert_medmnist3d(arguments.input, workspace=arguments.workspace, id=arguments.id, quiet=arguments.quiet)
    return 0
