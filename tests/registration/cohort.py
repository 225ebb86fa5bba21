"""A small cohort on disk whose second tracer comes from another session."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset import Channel, Dataset, LabelledCase, Region, Session, write_dataset, write_labels
from reactkd_auto.imageio import write_image
from tests.registration.phantoms import imaged, in_tumour, rigid, tissue, uptake

DATASET = Dataset(
    name="Sessions",
    channels=(Channel("CT", "ct"), Channel("FDG", "pet_suv"), Channel("ACE", "pet_suv")),
    classes=("low", "high"),
    regions=(Region("tumour", 1, "lesion"),),
    sessions=(Session("ACETATE", ("ACE",)),),
    left_right_symmetric=True,
)
FOLDER = "Dataset001_Sessions"
HALF_MM = (78.0, 60.0, 48.0)


def other_day(number: int) -> sitk.Euler3DTransform:
    """Where the patient lay on the day of the acetate scan: points of the base CT to points of that session."""
    return rigid((3.0 - number, 4.0, -6.0 + number), (20.0, -14.0 + 3 * number, 12.0))


def write_case(raw: Path, number: int, *, stranger: bool = False) -> None:
    """A case; a stranger's CT may lie where its own session's CT belongs."""
    case, back = f"case_{number}", other_day(number).GetInverse()
    body = {"half_mm": HALF_MM, "noise": 15, "seed": number}
    session_body = (lambda p: tissue(p * np.array([1.3, 0.8, 1.1]), 5)) if stranger else tissue
    session_ct = imaged(session_body, transform=back, **body | {"seed": 100 + number})
    region = imaged(lambda p: in_tumour(p).astype(float), half_mm=HALF_MM)
    images = {
        f"imagesTr/{case}_0000": _hu(imaged(tissue, **body)),
        f"imagesTr/{case}_0001": imaged(uptake, spacing=5.0, half_mm=HALF_MM, noise=0.02, seed=number),
        f"imagesTr/{case}_0002": imaged(uptake, spacing=5.0, half_mm=HALF_MM, transform=back, noise=0.02, seed=number),
        f"regionsTr/{case}": sitk.Cast(region > 0.5, sitk.sitkUInt8),
        f"sessionsTr/ACETATE/{case}_ct": _hu(session_ct),
    }
    for name, image in images.items():
        path = raw / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, image)


def write_cohort(workspace: Path, count: int = 4) -> Path:
    """Cases 0 … count − 1 and their table."""
    raw = workspace / "raw" / FOLDER
    raw.mkdir(parents=True)
    write_dataset(raw, DATASET)
    for number in range(count):
        write_case(raw, number)
    rows = [LabelledCase(f"case_{i}", f"patient_{i}", i % 2) for i in range(count)]
    write_labels(raw / "labelsTr.csv", rows, DATASET.classes)
    return raw


def hot_spot(image: sitk.Image) -> np.ndarray:
    """Physical centre of the tumour's uptake, mm."""
    z, y, x = (float(np.mean(i)) for i in np.nonzero(sitk.GetArrayFromImage(image) > 3))
    return np.array(image.TransformContinuousIndexToPhysicalPoint([x, y, z]))


def _hu(image: sitk.Image) -> sitk.Image:
    return sitk.Cast(sitk.Round(image), sitk.sitkInt16)
