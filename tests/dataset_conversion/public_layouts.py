"""Small trees in exactly the layouts in which public NIfTI cohorts come."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from reactkd_auto.imageio import write_image
from tests.dataset_conversion.cohorts import as_image, ct, pet, regions


def lesion() -> np.ndarray:
    return (regions() == 2).astype(np.uint8)


def on_ct_grid(seed: int) -> np.ndarray:
    return np.random.default_rng(seed + 1000).uniform(0, 5, ct(0).shape).astype(np.float32)


def write_csv(path: Path, header: str, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def write_lits(root: Path, numbers: tuple[int, ...] = (0, 1, 28, 130)) -> Path:
    """Two training batches, and a volume of the test batch, which has no segmentation."""
    for number in numbers:
        folder = root / f"Training Batch {1 if number < 28 else 2}"
        write_image(folder / f"volume-{number}.nii", as_image(ct(number)))
        write_image(folder / f"segmentation-{number}.nii", as_image(regions()))
    write_image(root / "LITS-Challenge-Test-Data" / "test-volume-0.nii", as_image(ct(500)))
    return root


RELAPSE = {"CHUM-001": "0", "CHUM-002": "1", "MDA-001": "0", "MDA-002": "1", "USZ-001": None}


def write_hecktor_2022(root: Path, relapse: Mapping[str, str | None] = RELAPSE) -> Path:
    for seed, case in enumerate(relapse):
        write_image(root / "imagesTr" / f"{case}__CT.nii.gz", as_image(ct(seed)))
        write_image(root / "imagesTr" / f"{case}__PT.nii.gz", as_image(pet(seed), spacing=4, shift=1))
        write_image(root / "labelsTr" / f"{case}.nii.gz", as_image(regions()))
    rows = [f"{i},{case},{label},{900 + i}" for i, (case, label) in enumerate(relapse.items()) if label is not None]
    write_csv(root / "hecktor2022_endpoint_training.csv", ",PatientID,Relapse,RFS", *rows)
    clinical = [f"{case},1,M,{i % 2}.0" for i, case in enumerate(relapse)]
    write_csv(
        root / "hecktor2022_clinical_info_training.csv", 'PatientID,Task 1,Gender,"HPV status (0=-, 1=+)"', *clinical
    )
    return root


def write_hecktor_2025(root: Path, relapse: Mapping[str, str | None] = RELAPSE) -> Path:
    for seed, case in enumerate(relapse):
        write_image(root / case / f"{case}__CT.nii.gz", as_image(ct(seed)))
        write_image(root / case / f"{case}__PT.nii.gz", as_image(pet(seed), spacing=4, shift=1))
        write_image(root / case / f"{case}.nii.gz", as_image(regions()))
    rows = [f"{case},{'' if label is None else label},{900}" for case, label in relapse.items()]
    write_csv(root / "HECKTOR_2025_Training_Task_1.csv", "PatientID,Relapse,RFS", *rows)
    return root


STUDIES = {
    "0011f3deaf_03-23-2003-NA-PET-CT Ganzkoerper  primaer mit KM-10445": "LUNG_CANCER",
    "01140d52d8_08-13-2005-NA-PET-CT Ganzkoerper  primaer mit KM-56839": "NEGATIVE",
    "0b57b247b6_05-02-2002-NA-PET-CT Ganzkoerper  primaer mit KM-42966": "LUNG_CANCER",
    "0b57b247b6_09-09-2004-NA-Unspecified CT ABDOMEN-93772": "NEGATIVE",
}
FDG_CASES = ["fdg_0011f3deaf_10445", "fdg_01140d52d8_56839", "fdg_0b57b247b6_42966", "fdg_0b57b247b6_93772"]
PSMA_CASES = ["psma_95b833d65be26f28_2018-05-01", "psma_95b833d65be26f28_2019-02-11"]


def mask_of(diagnosis: str | None) -> np.ndarray:
    return np.zeros_like(lesion()) if diagnosis == "NEGATIVE" else lesion()


def write_metadata(path: Path) -> Path:
    rows = []
    for study, diagnosis in STUDIES.items():
        place = study.replace("_", "/", 1)
        for series in ("4.000000-GK p.v.3-65472", "12.000000-PET corr.-70245", "300.000000-Segmentation-78236"):
            subject = study.split("_", maxsplit=1)[0]
            rows.append(f"PETCT_{subject},./FDG-PET-CT-Lesions/PETCT_{place}/{series},{diagnosis},061Y,M")
    return write_csv(path, "Subject ID,File Location,diagnosis,age,sex", *rows)


def write_autopet_challenge(root: Path) -> Path:
    """As of 2024: two tracers in one folder of images."""
    studies = {f"fdg_{s}": d for s, d in STUDIES.items()} | dict.fromkeys(PSMA_CASES)
    for seed, (study, diagnosis) in enumerate(studies.items()):
        write_image(root / "imagesTr" / f"{study}_0000.nii.gz", as_image(ct(seed)))
        write_image(root / "imagesTr" / f"{study}_0001.nii.gz", as_image(on_ct_grid(seed)))
        write_image(root / "labelsTr" / f"{study}.nii.gz", as_image(mask_of(diagnosis)))
    (root / "dataset.json").write_text("{}")
    write_metadata(root / "fdg_metadata.csv")
    write_csv(
        root / "psma_metadata.csv", "Subject ID,Study Date,age,pet_radionuclide", "PSMA_95b833d65be26f28,x,70,F18"
    )
    return root


def write_autopet_tcia(root: Path) -> Path:
    """As the collection's own scripts make it: one folder a study."""
    for seed, (study, diagnosis) in enumerate(STUDIES.items()):
        folder = root / "FDG-PET-CT-Lesions" / f"PETCT_{study.replace('_', '/', 1)}"
        write_image(folder / "CTres.nii.gz", as_image(ct(seed)))
        write_image(folder / "SUV.nii.gz", as_image(on_ct_grid(seed)))
        write_image(folder / "SEG.nii.gz", as_image(mask_of(diagnosis)))
        write_image(folder / "PET.nii.gz", as_image(on_ct_grid(seed) * 1e4))
        write_image(folder / "CT.nii.gz", as_image(np.repeat(ct(seed), 2, axis=0)))
    write_metadata(root / "fdg_metadata.csv")
    return root
