"""Convert the soft-tissue sarcoma cohort: CT, FDG-PET and T1 MR; label: lung metastasis during follow-up.

Layout of the source folder::

    labels.csv                    columns patient, lung_metastasis (0 or 1, empty: ungraded)
    STS_001/ct.nii.gz             CT in HU
    STS_001/pet_fdg.nii.gz        FDG-PET in SUV (body weight), its own grid; optional
    STS_001/mr_t1.nii.gz          T1-weighted MR, its own grid; optional
    STS_001/gtv_on_ct.nii.gz      gross tumour volume, 0/1, on the CT grid; optional

Public source: TCIA collection Soft-tissue-Sarcoma (Vallières et al. 2015, doi 10.7937/K9/TCIA.2015.7GO2GSKS,
CC BY 3.0), as NIfTI with masks in the IBSI multi-modality data set; metastasis status is in the collection's
clinical table. To rebuild it: resample the tumour mask to the CT grid, crop all images 3 cm round the tumour, write the
table.

There is one PET tracer. The T1 MR serves as the second privileged channel, as a stand-in for a second tracer.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reactkd_auto.commandline import run
from reactkd_auto.dataset import Channel, Dataset, LabelledCase, Region, channel_path, region_path
from reactkd_auto.dataset_conversion.copying import (
    close_dataset,
    converter_parser,
    copy_once,
    safe_case,
)
from reactkd_auto.dataset_conversion.opening import open_cohort
from reactkd_auto.errors import UserError
from reactkd_auto.progress import track
from reactkd_auto.tables import read_csv

DATASET = Dataset(
    name="STS",
    channels=(Channel("CT", "ct"), Channel("FDG", "pet_suv"), Channel("T1", "mr")),
    classes=("no_lung_metastasis", "lung_metastasis"),
    regions=(Region("tumour", 1, "lesion"),),
    left_right_symmetric=True,
    description="Soft-tissue sarcoma, cropped round the tumour; T1 MR stands in for a second tracer.",
    source="TCIA Soft-tissue-Sarcoma, doi 10.7937/K9/TCIA.2015.7GO2GSKS",
    licence="CC BY 3.0",
)
FILES = ("ct.nii.gz", "pet_fdg.nii.gz", "mr_t1.nii.gz")
MASK = "gtv_on_ct.nii.gz"
COLUMNS = ("patient", "lung_metastasis")


def convert_sts(source: Path, *, workspace: Path | None = None, id: int | None = None, quiet: bool = False) -> Path:
    """Convert the cohort and return the dataset folder; files that are already there are kept.

    Raises:
        UserError: No table, an unknown label, a patient without CT.
    """
    rows = read_csv(Path(source) / "labels.csv", COLUMNS)
    cases = [_labelled(Path(source) / "labels.csv", row) for row in rows]
    folder = open_cohort(workspace, DATASET.name, id, {"source": Path(source).resolve()})
    for case in track(cases, what="converting", quiet=quiet):
        _copy_case(Path(source) / case.case, folder, case.case)
    return close_dataset(folder, DATASET, cases)


def _labelled(table: Path, row: dict[str, str]) -> LabelledCase:
    patient, label = safe_case(table, row["patient"]), row["lung_metastasis"]
    if label not in ("", "0", "1"):
        raise UserError(f"{table}: patient {patient} has lung_metastasis {label!r}, expected 0, 1 or empty.")
    return LabelledCase(patient, patient, int(label) if label else None)


def _copy_case(source: Path, folder: Path, case: str) -> None:
    for channel, name in enumerate(FILES):
        if channel == 0 or (source / name).exists():
            target = channel_path(folder / "imagesTr", case, channel, DATASET.file_ending)
            copy_once(source / name, target)
    if (source / MASK).exists():
        copy_once(source / MASK, region_path(folder / "regionsTr", case, DATASET.file_ending))


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_convert_sts``."""
    return converter_parser("reactkd_convert_sts", __doc__ or "")


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_convert_sts``."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    convert_sts(arguments.input, workspace=arguments.workspace, id=arguments.id, quiet=arguments.quiet)
    return 0
