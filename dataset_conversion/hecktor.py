"""Convert HECKTOR: CT and FDG-PET of head and neck; regions: primary tumour and nodes; label: relapse, or HPV status.

Layout of the source folder, as the challenge ships it, of 2022 or of 2025::

    hecktor2022_training/                           hecktor2025_training/Task 1/
        imagesTr/CHUM-001__CT.nii.gz   CT in HU         CHUM-001/CHUM-001__CT.nii.gz
        imagesTr/CHUM-001__PT.nii.gz   PET in SUV       CHUM-001/CHUM-001__PT.nii.gz
        labelsTr/CHUM-001.nii.gz       on the CT's grid CHUM-001/CHUM-001.nii.gz
        hecktor2022_endpoint_training.csv               HECKTOR_2025_Training_Task_1.csv

Masks: 1 primary tumour (GTVp), 2 lymph nodes (GTVn). CT and PET keep their own grids. Labels come from the table with
columns PatientID and Relapse, or with ``--label hpv`` HPV status (0, 1 or empty: ungraded); patients without a row are
ungraded. A patient whose follow-up ended before a relapse counts as free of it.
In 2025 the folders of the other tasks have no masks; give that of Task 1, with ``--labels`` another task's table.

Public source: HECKTOR, hecktor.grand-challenge.org (Oreiller et al. 2022, doi 10.1016/j.media.2021.102336); access is
given by the organisers after an agreement has been signed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Literal

from reactkd_auto.dataset import Channel, Dataset, Region
from reactkd_auto.dataset_conversion.clinical_tables import binary_label, find_table, read_column
from reactkd_auto.dataset_conversion.cohort import Conversion, cohort_parser, run_converter
from reactkd_auto.dataset_conversion.nifti_cohort import NiftiCase, convert_nifti

DATASET = Dataset(
    name="HECKTOR",
    channels=(Channel("CT", "ct"), Channel("FDG", "pet_suv")),
    classes=("no_relapse", "relapse"),
    regions=(Region("primary", 1, "lesion"), Region("nodes", 2, "lesion")),
    left_right_symmetric=True,
    description="Head and neck tumours, CT and FDG-PET.",
    source="HECKTOR, doi 10.1016/j.media.2021.102336",
    licence="the challenge's data agreement",
)
CLASSES = {"relapse": DATASET.classes, "hpv": ("hpv_negative", "hpv_positive")}
COLUMNS = {"relapse": "Relapse", "hpv": "HPV status"}
PATIENT = "PatientID"
_CT = "__CT.nii.gz"


def convert_hecktor(
    source: Path,
    *,
    label: Literal["relapse", "hpv"] = "relapse",
    labels: Path | None = None,
    workspace: Path | None = None,
    id: int | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Conversion:
    """Convert the cohort; a bad case is reported, the others are finished, finished ones are kept.

    Args:
        source: Folder as in the module's description.
        label: What the classes are.
        labels: The table; None: the one CSV file in ``source`` that has the columns.
        workspace: Workspace folder.
        id: Dataset number.
        workers: Processes; None: as many as cores and free memory allow.
        quiet: No progress bar.

    Raises:
        UserError: No cases, no table or several, a label other than 0 or 1, a case twice, a folder made with other
            options.
    """
    source, column = Path(source), COLUMNS[label]
    table = Path(labels) if labels else find_table(source, PATIENT, column)
    texts = read_column(table, PATIENT, column)
    graded = {patient: binary_label(table, patient, column, text) for patient, text in texts.items()}
    return convert_nifti(
        source,
        replace(DATASET, classes=CLASSES[label]),
        [_case(path, graded) for path in sorted(source.rglob(f"*{_CT}"))],
        expected=f"files CASE{_CT}, in a folder imagesTr or in one folder a patient",
        workspace=workspace,
        id=id,
        options={"label": label, "labels": table.resolve()},
        workers=workers,
        quiet=quiet,
    )


def _case(ct: Path, graded: dict[str, int | None]) -> NiftiCase:
    case = ct.name.removesuffix(_CT)
    masks = ct.parent.parent / "labelsTr" if ct.parent.name == "imagesTr" else ct.parent
    images = {0: ct, 1: ct.with_name(f"{case}__PT.nii.gz")}
    return NiftiCase(case, case, graded.get(case), images, masks / f"{case}.nii.gz")


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_convert_hecktor``."""
    parser = cohort_parser("reactkd_convert_hecktor", __doc__ or "")
    parser.add_argument("--label", choices=list(CLASSES), default="relapse", help="what the classes are")
    labels_help = "the table; default: the one CSV file in SOURCE that has the columns"
    parser.add_argument("-l", "--labels", type=Path, metavar="CSV", help=labels_help)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_convert_hecktor``."""
    return run_converter(convert_hecktor, build_parser(), argv)
