"""Four patients with CT, PET and structures in folders of different nesting, for tests to spoil and convert."""

from pathlib import Path

import numpy as np

from reactkd_auto.dataset_conversion.cohort import Conversion
from reactkd_auto.dataset_conversion.dicom.convert import convert_dicom
from tests.dicom_structures import write_structures
from tests.dicom_writing import DOSE_BQ, WEIGHT_KG, activity, hounsfield, make_series, write_series

PATIENTS = ("MRN-771", "MRN-772", "MRN-773", "MRN-774")
PET_SPACING, PET_ORIGIN = (3.0, 3.0, 3.0), (-9.0, -19.0, 30.0)
SUV = 2 * 1000 * WEIGHT_KG / DOSE_BQ
Options = dict[str, object]


def values(seed: int) -> np.ndarray:
    return hounsfield(seed=seed)


def ct_of(patient: str, seed: int = 0, **changes: object) -> list:
    return make_series(values(seed), patient=patient, series="CT body", **changes)


def pet_of(patient: str, seed: int = 0, **changes: object) -> list:
    made = {"series": "PET AC", "spacing": PET_SPACING, "origin": PET_ORIGIN, "SeriesNumber": 4, **changes}
    return make_series(activity(6, (5, 5), seed), "PT", patient=patient, **made)


def square(z: float, half: float = 4.0) -> np.ndarray:
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    return np.array([(-3.0 + x, -12.0 + y, z) for x, y in corners])


def write_tree(root: Path) -> Path:
    """Four patients in folders of different nesting, with what lies in real studies besides."""
    for seed, patient in enumerate(PATIENTS):
        study = root / f"disc{seed % 2}" / f"A{seed}"
        ct, pet = ct_of(patient, seed), pet_of(patient, seed)
        write_series(study / "deep" / "er" / "S1", ct)
        write_series(study / "S2", pet)
        drawn = {"GTV_1": [square(33.0), square(36.0)], "Liver": [square(z, 6.0) for z in (33.0, 36.0, 39.0)]}
        write_structures(study / "RS" / "rs.dcm", ct[0], drawn)
        scout = make_series(values(9), patient=patient, series="scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
        write_series(study / "S0", scout)
    (root / "readme.txt").write_text("no image")
    return root


def write_labels(path: Path, rows: dict[str, str], header: str = "patient,label") -> Path:
    path.write_text("\n".join([header, *(f"{p},{label}" for p, label in rows.items())]) + "\n")
    return path


def convert(tree: Path, labels: Path, **options: object) -> Conversion:
    chosen: Options = {"lesion": ["GTV*"], "organ": ["liver"], "workers": 1, "quiet": True, **options}
    return convert_dicom(tree, labels, "Cohort", workspace=tree.parent / "w", id=3, **chosen)  # type: ignore[arg-type]
