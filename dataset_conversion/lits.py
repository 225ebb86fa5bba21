"""Convert LiTS17: abdominal CT with liver and liver tumours; no grades, so every case is ungraded.

Layout of the source folder, as the challenge ships it; the two kinds of file may lie in any sub-folders, packed
(``.nii.gz``) or not::

    Training Batch 1/volume-0.nii            CT in HU
    Training Batch 1/segmentation-0.nii      0 background, 1 liver, 2 tumour, on the CT's grid
    Training Batch 2/volume-28.nii
    …

Ungraded cases take part in distillation; a dataset of nothing else can't train a classifier. Fill in labels in
``labelsTr.csv``, or copy the cases into a graded cohort with the same channels, classes and regions.

Public source: the Liver Tumor Segmentation Benchmark (Bilic et al. 2023, doi 10.1016/j.media.2022.102680), 131 training
volumes from seven institutions, through the challenge's page.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reactkd_auto.dataset import Channel, Dataset, Region
from reactkd_auto.dataset_conversion.cohort import Conversion, cohort_parser, run_converter
from reactkd_auto.dataset_conversion.nifti_cohort import NiftiCase, convert_nifti
from reactkd_auto.errors import UserError

DATASET = Dataset(
    name="LiTS",
    channels=(Channel("CT", "ct"),),
    classes=("low_grade", "high_grade"),
    regions=(Region("liver", 1, "organ"), Region("tumour", 2, "lesion")),
    description="Liver tumours without grades; the classes are those of the cohort that the cases are to join.",
    source="LiTS17, doi 10.1016/j.media.2022.102680",
    licence="the terms of the challenge, from which you have your copy",
)
_NAME = re.compile(r"(volume|segmentation)-(\d+)\.nii(\.gz)?")


def convert_lits(
    source: Path,
    *,
    classes: Sequence[str] = DATASET.classes,
    workspace: Path | None = None,
    id: int | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Conversion:
    """Convert the training volumes; a bad case is reported, the others are finished, finished ones are kept.

    Args:
        source: Folder as in the module's description.
        classes: Of the graded cohort that the cases are to join.
        workspace: Workspace folder.
        id: Dataset number.
        workers: Processes; None: as many as cores and free memory allow.
        quiet: No progress bar.

    Raises:
        UserError: No volumes, one number twice, fewer than two classes, a folder made with other options.
    """
    source = Path(source)
    try:
        dataset = replace(DATASET, classes=tuple(classes))
    except ValueError as error:
        raise UserError(f"--classes: {error}.") from None
    return convert_nifti(
        source,
        dataset,
        _find_cases(source),
        expected="volume-0.nii and segmentation-0.nii, and so on, in any sub-folders",
        workspace=workspace,
        id=id,
        options={"classes": list(classes)},
        workers=workers,
        quiet=quiet,
    )


def _find_cases(source: Path) -> list[NiftiCase]:
    found: dict[str, dict[int, list[Path]]] = {"volume": {}, "segmentation": {}}
    for path in sorted(source.rglob("*-*.nii*")):
        if match := _NAME.fullmatch(path.name):
            found[match[1]].setdefault(int(match[2]), []).append(path)
    cases = []
    for number, volumes in sorted(found["volume"].items()):
        case = f"LiTS_{number:03d}"
        masks = found["segmentation"].get(number, [volumes[0].with_name(f"segmentation-{number}.nii")])
        cases += [NiftiCase(case, case, None, {0: volume}, masks[0]) for volume in volumes]
        if len(masks) > 1:
            raise UserError(f"{masks[1]}: segmentation {number} lies also at {masks[0]}, expected each once.")
    return cases


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_convert_lits``."""
    parser = cohort_parser("reactkd_convert_lits", __doc__ or "")
    class_help = "classes of the graded cohort that the cases are to join"
    parser.add_argument("--classes", nargs="+", metavar="CLASS", default=list(DATASET.classes), help=class_help)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_convert_lits``."""
    return run_converter(convert_lits, build_parser(), argv)
