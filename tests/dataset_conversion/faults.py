"""What can be wrong with a cohort: how to spoil a clean one (`cohorts.write_cohort`), and what must be said."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from reactkd_auto.imageio import write_image
from tests.dataset_conversion.cohorts import SHAPE, as_image, ct, pet, regions


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def save_nifti(
    path: Path, array: np.ndarray, affine: np.ndarray | None = None, *, qform: np.ndarray | None = None
) -> None:
    """With axes of any kind; ``qform`` for one that differs from the sform."""
    made = nibabel.Nifti1Image(array, np.diag([-2.0, -2.0, 2.0, 1.0]) if affine is None else affine)
    made.set_sform(made.affine, code=1)
    made.set_qform(made.affine if qform is None else qform, code=1, strip_shears=True)
    nibabel.save(made, path)


def sheared() -> np.ndarray:
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    affine[0, 1] = 0.5
    return affine


def moved() -> np.ndarray:
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    affine[:3, 3] = 10
    return affine


def save_without_forms(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(ct(0).T, None), path)


def pet_image(seed: int, *, factor: float = 1.0) -> sitk.Image:
    return as_image(pet(seed) * np.float32(factor), spacing=4, shift=1)


def normalised_pet() -> sitk.Image:
    values = pet(0) - pet(0).min()
    return as_image(values / values.max(), spacing=4, shift=1)


def colours() -> np.ndarray:
    return np.zeros(SHAPE[::-1], [("R", "u1"), ("G", "u1"), ("B", "u1")])


def scaled(array: np.ndarray, factor: float, offset: float = 0.0) -> sitk.Image:
    return as_image((array * factor + offset).astype(np.float32))


A0, A0_PET = "imagesTr/a0_0000.nii.gz", "imagesTr/a0_0001.nii.gz"
FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "unknown class": (lambda f: replace(f / "labelsTr.csv", "low", "medium"), "labelsTr.csv", "medium"),
    "duplicate case": (lambda f: replace(f / "labelsTr.csv", "a1,", "a0,"), "labelsTr.csv", "once more"),
    "unsafe case": (lambda f: replace(f / "labelsTr.csv", "a1,", "../a1,"), "labelsTr.csv", "../a1"),
    "patient in both parts": (
        lambda f: replace(f / "labelsTs.csv", "patient_t0", "patient_a0"),
        "labelsTs.csv",
        "patient_a0",
    ),
    "no labels": (lambda f: (f / "labelsTr.csv").unlink(), "labelsTr.csv", "file not found"),
    "labels without rows": (
        lambda f: (f / "labelsTr.csv").write_text("case,patient,label\n"),
        "labelsTr.csv",
        "no rows",
    ),
    "labels without column": (
        lambda f: replace(f / "labelsTr.csv", "label", "class"),
        "labelsTr.csv",
        "'label' is missing",
    ),
    "one patient of a class": (lambda f: replace(f / "labelsTr.csv", ",high", ","), "labelsTr.csv", "0 patients"),
    "missing base": (lambda f: (f / "imagesTr/a0_0000.nii.gz").unlink(), "imagesTr/a0_0000.nii.gz", "no such file"),
    "image without row": (lambda f: replace(f / "labelsTr.csv", "a2,patient_a2,low\n", ""), "a2_0000", "without a row"),
    "orphan image": (lambda f: write_image(f / "imagesTr/a0_0002.nii.gz", as_image(ct(9))), "a0_0002", "no case"),
    "orphan region map": (
        lambda f: write_image(f / "regionsTr/b.nii.gz", as_image(regions())),
        "regionsTr/b",
        "without",
    ),
    "stray file": (lambda f: (f / "imagesTr/notes.txt").write_text("x"), "notes.txt", "no case"),
    "cut off": (lambda f: cut_off(f / "imagesTr/a0_0000.nii.gz"), "a0_0000", "cut"),
    "NaN": (lambda f: write_image(f / "imagesTr/a0_0000.nii.gz", scaled(ct(0) * np.nan, 1)), "a0_0000", "NaN"),
    "unshifted CT": (
        lambda f: write_image(f / "imagesTr/a0_0000.nii.gz", scaled(ct(0), 2, 2024)),
        "a0_0000",
        "intercept",
    ),
    "Bq/ml": (lambda f: write_image(f / "imagesTr/a0_0001.nii.gz", scaled(pet(0), 5000)), "a0_0001", "Bq/ml"),
    "channel elsewhere": (
        lambda f: write_image(f / "imagesTr/a0_0001.nii.gz", as_image(pet(0), shift=900)),
        "a0_0001",
        "covers 0 %",
    ),
    "regions off the grid": (
        lambda f: write_image(f / "regionsTr/a0.nii.gz", as_image(regions(), shift=1)),
        "regionsTr/a0",
        "region map of 8×8×6",
    ),
    "unknown region": (
        lambda f: write_image(f / "regionsTr/a0.nii.gz", as_image(regions() * 4)),
        "regionsTr/a0",
        "unknown values 4, 8",
    ),
    "same voxels": (lambda f: write_image(f / "imagesTr/a1_0000.nii.gz", as_image(ct(0))), "a1_0000", "same voxels"),
    "same voxels in the test part": (
        lambda f: write_image(f / "imagesTs/t0_0000.nii.gz", as_image(ct(0))),
        "imagesTs/t0_0000",
        "same voxels",
    ),
    "same PET": (lambda f: write_image(f / "imagesTr/a1_0001.nii.gz", pet_image(0)), "a1_0001", "same voxels"),
    "same voxels, stored as other numbers on another grid": (
        lambda f: write_image(f / "imagesTs/t1_0000.nii.gz", as_image(ct(2).astype(np.float32), spacing=3)),
        "imagesTs/t1_0000",
        "same voxels as imagesTr/a2_0000.nii.gz",
    ),
    "case in both parts": (
        lambda f: write_image(f / "imagesTs/a0_0000.nii.gz", as_image(ct(300))),
        "imagesTs",
        "case 'a0', also in imagesTr",
    ),
    "patient spelt twice": (
        lambda f: replace(f / "labelsTs.csv", "patient_t0", "Patient_A0"),
        "labelsTs.csv",
        "elsewhere spelt 'patient_a0'",
    ),
    "table with semicolons": (
        lambda f: (f / "labelsTr.csv").write_text((f / "labelsTr.csv").read_text().replace(",", ";")),
        "labelsTr.csv",
        "separated by semicolons",
    ),
    "no bytes": (lambda f: (f / A0).write_bytes(b""), "a0_0000", "empty file"),
    "another ending": (lambda f: (f / A0).rename(f / "imagesTr/a0_0000.nii"), "a0_0000.nii", "no case"),
    "channel of no case": (
        lambda f: [p.unlink() for p in f.glob("imagesTr/*_0001.nii.gz")],
        "imagesTr",
        "channel FDG in no case",
    ),
    "colours": (lambda f: save_nifti(f / A0, colours()), "a0_0000", "colour"),
    "four dimensions": (
        lambda f: save_nifti(f / A0, np.stack([ct(0).T] * 3, axis=-1)),
        "a0_0000",
        "shape 8 × 8 × 6 × 3",
    ),
    "one slice": (lambda f: save_nifti(f / A0, ct(0).T[..., 0]), "a0_0000", "shape 8 × 8"),
    "sheared axes": (lambda f: save_nifti(f / A0, ct(0).T, sheared()), "a0_0000", "sheared"),
    "two geometries": (
        lambda f: save_nifti(f / A0, ct(0).T, qform=moved()),
        "a0_0000",
        "qform and sform that disagree by 17.3 mm",
    ),
    "no geometry": (lambda f: save_without_forms(f / A0), "a0_0000", "neither qform nor sform"),
    "implausible spacing": (
        lambda f: write_image(f / A0, as_image(ct(0), spacing=100)),
        "a0_0000",
        "spacing 100 × 100 × 100 mm",
    ),
    "normalised CT": (lambda f: write_image(f / A0, scaled(ct(0), 1 / 2000, 0.5)), "a0_0000", "look normalised"),
    "windowed CT": (lambda f: write_image(f / A0, scaled(ct(0).clip(-150), 0.6, 90)), "a0_0000", "windowed"),
    "PET by its body": (lambda f: write_image(f / A0_PET, pet_image(0, factor=20)), "a0_0001", "median of the body"),
    "PET normalised": (lambda f: write_image(f / A0_PET, normalised_pet()), "a0_0001", "exactly 1"),
    "CT as PET": (lambda f: write_image(f / A0_PET, as_image(ct(50))), "a0_0001", "down to -1000"),
    "sidecar without JSON": (lambda f: (f / "imagesTr/a0_0000.json").write_text("{"), "a0_0000.json", "no JSON"),
    "sidecar of another kind": (lambda f: (f / "imagesTr/a0_0000.json").write_text("[]"), "a0_0000.json", "a list"),
    "fractions in a region map": (
        lambda f: write_image(f / "regionsTr/a0.nii.gz", as_image((regions() / 2).astype(np.float32))),
        "regionsTr/a0",
        "non-integer value 0.5",
    ),
    "no dataset.json": (lambda f: (f / "dataset.json").unlink(), "dataset.json", "not found"),
    "unknown key": (lambda f: replace(f / "dataset.json", '"licence"', '"license"'), "dataset.json", "license"),
}
