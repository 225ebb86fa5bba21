"""Convert Soft-tissue-Sarcoma as TCIA ships it: CT, FDG-PET, on request T1 MR; label: lung metastasis in follow-up.

Layout of the source folder, as TCIA's download makes it (any nesting will do; PatientID decides)::

    STS_001/STUDY/SERIES/1-001.dcm     CT and PET of one PET/CT; MR T1 and T2 (fat-saturated or STIR) of another day
    STS_001/STUDY/SERIES/1-1.dcm       RTSTRUCT with GTV_Mass and GTV_Edema, one for each image series
    INFOclinical_STS.xlsx              columns "Patient ID" (= PatientID) and "Outcome (recurrence, mets)"

A patient whose outcome mentions the lungs had lung metastases, any other outcome means none, an empty one is ungraded.
GTV_Mass becomes the region tumour, GTV_Edema the region oedema; the contours drawn on the CT are taken. PET becomes SUV
by body weight.

``--mr`` adds a channel T1. In this collection the MR lies in a frame of reference of its own: such a series is refused
until it has been registered to the CT, or left out of its case with ``--skip_bad_channels``.

Public source: TCIA collection Soft-tissue-Sarcoma (Vallières et al. 2015, doi 10.7937/K9/TCIA.2015.7GO2GSKS,
CC BY 3.0), 51 patients. `reactkd_convert_sts` converts NIfTI crops of the same patients.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reactkd_auto.dataset import Channel, Dataset
from reactkd_auto.dataset_conversion.clinical_tables import read_column
from reactkd_auto.dataset_conversion.cohort import Conversion, cohort_parser, run_converter
from reactkd_auto.dataset_conversion.copying import safe_case
from reactkd_auto.dataset_conversion.dicom.case_writing import CaseWriter
from reactkd_auto.dataset_conversion.dicom.choices import ANY, Choices, channel_choices, region_choices
from reactkd_auto.dataset_conversion.dicom.convert import write_studies
from reactkd_auto.dataset_conversion.dicom.label_table import LabelRow
from reactkd_auto.dataset_conversion.opening import open_cohort
from reactkd_auto.imageio.dicom_tree import scan_tree

NAME = "STS_TCIA"
TABLE = "INFOclinical_STS.xlsx"
PATIENT, OUTCOME = "Patient ID", "Outcome (recurrence, mets)"
CLASSES = ("no_lung_metastasis", "lung_metastasis")
REGIONS = region_choices([], ["oedema=*edema*"], ["tumour=*mass*"])


def convert_sts_tcia(
    source: Path,
    *,
    clinical: Path | None = None,
    mr: bool = False,
    skip_bad_channels: bool = False,
    workspace: Path | None = None,
    id: int | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Conversion:
    """Convert the collection; a bad case is reported, the others are finished, finished ones are kept.

    Args:
        source: Folder as in the module's description.
        clinical: The clinical table (``.xlsx`` or ``.csv``); None: the one in ``source``, by its official name.
        mr: Whether T1 MR is a channel.
        skip_bad_channels: Keep a case without a PET or MR that can't be used, instead of refusing the case.
        workspace: Workspace folder.
        id: Dataset number.
        workers: Processes; None: as many as cores and free memory allow.
        quiet: No progress bar.

    Raises:
        UserError: No table, a missing column, a folder with cases made with other options.
    """
    source = Path(source)
    table = Path(clinical) if clinical else source / TABLE
    outcomes = read_column(table, PATIENT, OUTCOME)
    channels = channel_choices(["FDG=*"], ["T1=*T1*"] if mr else [])
    dataset = Dataset(
        name=NAME,
        channels=(Channel("CT", "ct"), *(Channel(c.name, c.role) for c in channels)),
        classes=CLASSES,
        regions=tuple(c.region for c in REGIONS),
        left_right_symmetric=True,
        description="Soft-tissue sarcoma, whole-body CT and FDG-PET.",
        source="TCIA Soft-tissue-Sarcoma, doi 10.7937/K9/TCIA.2015.7GO2GSKS",
        licence="CC BY 3.0",
    )
    options = {"clinical": table.resolve(), "mr": mr}
    folder = open_cohort(workspace, NAME, id, {"source": source.resolve(), **options})
    patients = [_labelled(table, patient, outcome) for patient, outcome in outcomes.items()]
    return write_studies(
        folder,
        dataset,
        patients,
        scan_tree(source, quiet=quiet),
        CaseWriter(folder, dataset, Choices(ANY, channels, REGIONS), skip_bad_channels),
        options={**options, "skip_bad_channels": skip_bad_channels},
        workers=workers,
        quiet=quiet,
    )


def _labelled(table: Path, patient: str, outcome: str) -> LabelRow:
    label = CLASSES["lung" in outcome.lower()] if outcome else ""
    return LabelRow(safe_case(table, patient), patient, patient, "", label, f"{table}, patient {patient}")


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_convert_sts_tcia``."""
    parser = cohort_parser("reactkd_convert_sts_tcia", __doc__ or "")
    clinical_help = f"the clinical table, .xlsx or .csv; default: {TABLE} in SOURCE"
    parser.add_argument("--clinical", type=Path, metavar="TABLE", help=clinical_help)
    parser.add_argument("--mr", action="store_true", help="add a channel T1")
    skip_help = "keep a case without a PET or MR that can't be used, instead of refusing the case"
    parser.add_argument("--skip_bad_channels", action="store_true", help=skip_help)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_convert_sts_tcia``."""
    return run_converter(convert_sts_tcia, build_parser(), argv)
