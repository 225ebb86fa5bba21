"""Convert lung nodules of LIDC-IDRI: CT crops with nodule masks; label: benign against malignant by the readers.

Layout of the source folder::

    metadata.csv                  columns patient_id, Malignancy_value (1…5, the readers' rating), file
    image/FILE                    CT crop in HU
    nodule_mask/FILE              nodule, 0/1, on the crop's grid

Malignancy 1 and 2 become `benign`, 4 and 5 `malignant`; 3 (indeterminate) is left out, or kept as ungraded cases with
``--keep_indeterminate``. A patient may have several nodules: each is a case, and folds go by patient.

Public source: TCIA collection LIDC-IDRI (Armato et al. 2011, doi 10.7937/K9/TCIA.2015.LO9QL9SX, CC BY 3.0).
To rebuild it: take the consensus mask and mean ratings of each nodule with pylidc, crop CT and mask round the nodule,
round the rating.
The crops are tight in z, so their length tells the nodule's size; preprocessing must not let padding tell it.
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
    name="LIDC",
    channels=(Channel("CT", "ct"),),
    classes=("benign", "malignant"),
    regions=(Region("nodule", 1, "lesion"),),
    left_right_symmetric=True,
    description="Lung nodule crops; readers' malignancy 1-2 against 4-5.",
    source="TCIA LIDC-IDRI, doi 10.7937/K9/TCIA.2015.LO9QL9SX",
    licence="CC BY 3.0 (LIDC-IDRI); check the licence of the crops that you use",
)
COLUMNS = ("patient_id", "Malignancy_value", "file")
CLASS_OF_RATING = {"1": 0, "2": 0, "3": None, "4": 1, "5": 1}


def convert_lidc(
    source: Path,
    *,
    workspace: Path | None = None,
    id: int | None = None,
    keep_indeterminate: bool = False,
    quiet: bool = False,
) -> Path:
    """Convert the nodules and return the dataset folder; files that are already there are kept.

    Args:
        source: Folder as in the module's description.
        workspace: Workspace folder.
        id: Dataset number.
        keep_indeterminate: Keep nodules of rating 3 as ungraded cases instead of leaving them out.
        quiet: No progress bar.

    Raises:
        UserError: No table, a rating outside 1…5, a missing image.
    """
    table = Path(source) / "metadata.csv"
    rows = [(row, _label(table, row)) for row in read_csv(table, COLUMNS)]
    kept = [(row, label) for row, label in rows if label is not None or keep_indeterminate]
    settings = {"source": Path(source).resolve(), "keep_indeterminate": keep_indeterminate}
    folder = open_cohort(workspace, DATASET.name, id, settings)
    cases = []
    for row, label in track(kept, what="converting", total=len(kept), quiet=quiet):
        file = row["file"]
        case = safe_case(table, file.removesuffix(".nii.gz"))
        copy_once(source / "image" / file, channel_path(folder / "imagesTr", case, 0, DATASET.file_ending))
        copy_once(source / "nodule_mask" / file, region_path(folder / "regionsTr", case, DATASET.file_ending))
        cases.append(LabelledCase(case, row["patient_id"], label))
    return close_dataset(folder, DATASET, cases)


def _label(table: Path, row: dict[str, str]) -> int | None:
    rating = row["Malignancy_value"].removesuffix(".0")
    if rating not in CLASS_OF_RATING:
        raise UserError(f"{table}: {row['file']} has Malignancy_value {rating!r}, expected 1, 2, 3, 4 or 5.")
    return CLASS_OF_RATING[rating]


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_convert_lidc``."""
    parser = converter_parser("reactkd_convert_lidc", __doc__ or "")
    parser.add_argument("--keep_indeterminate", action="store_true", help="keep nodules of rating 3 as ungraded cases")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_convert_lidc``."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    convert_lidc(
        arguments.input,
        workspace=arguments.workspace,
        id=arguments.id,
        keep_indeterminate=arguments.keep_indeterminate,
        quiet=arguments.quiet,
    )
    return 0
