"""`reactkd_convert_dicom`: a folder tree of DICOM studies and a table of labels, as a raw dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

from reactkd_auto.commandline import run
from reactkd_auto.dataset_conversion.cohort import cohort_parser, report

DESCRIPTION = """Convert DICOM studies, in folders of any nesting, and a table of labels to a raw dataset.

CT becomes HU and PET becomes SUV by body weight, from the headers; RTSTRUCT and SEG become region maps. A channel must
lie in the CT's frame of reference. Missing or duplicated slices, gantry tilt, mixed series, PET without attenuation
correction, weight or dose are refused by name; nothing is interpolated over.

Cases are called case_0001, case_0002 … and patients patient_0001 … by the rows of the table, or by its column "case".
No name, birth date or identifier of a patient is written: your table is the only key, keep it where it belongs.

A case that can't be made is reported and the others are finished (exit code 3). Given again, the command keeps finished
cases whose files did not change."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_convert_dicom``."""
    parser = cohort_parser("reactkd_convert_dicom", DESCRIPTION)
    parser.add_argument(
        "-l",
        "--labels",
        type=Path,
        required=True,
        metavar="CSV",
        help="columns patient (PatientID), label; where wanted study (StudyInstanceUID or StudyDate) and case",
    )
    parser.add_argument("--name", required=True, help="name of the dataset")
    parser.add_argument(
        "--classes", nargs="+", metavar="CLASS", help="lowest grade first; default: the table's, sorted"
    )
    parser.add_argument("--ordered", action="store_true", help="the classes are grades")
    parser.add_argument("--left_right_symmetric", action="store_true", help="a mirrored body is a plausible one")
    series = parser.add_argument_group("which series (patterns with * and ? for description, number or tracer)")
    series.add_argument("--ct", metavar="PATTERN", default="*", help="the CT, where a study has several")
    pet_help = "a PET channel; may be repeated; default: one channel PET if there is any"
    series.add_argument("--pet", action="append", metavar="NAME=PATTERN", help=pet_help)
    series.add_argument("--mr", action="append", metavar="NAME=PATTERN", help="an MR channel, likewise")
    skip_help = "keep a case without a PET or MR that can't be used, instead of refusing the case"
    series.add_argument("--skip_bad_channels", action="store_true", help=skip_help)
    regions = parser.add_argument_group("which structures (patterns for their names; may be repeated)")
    for role in ("organ", "context", "lesion"):
        regions.add_argument(f"--{role}", action="append", metavar="NAME=PATTERN", help=f"a region of role {role}")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_convert_dicom``."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    from reactkd_auto.dataset_conversion.dicom.convert import convert_dicom

    outcome = convert_dicom(
        arguments.input,
        arguments.labels,
        arguments.name,
        workspace=arguments.workspace,
        id=arguments.id,
        classes=arguments.classes,
        ordered=arguments.ordered,
        left_right_symmetric=arguments.left_right_symmetric,
        ct=arguments.ct,
        pet=arguments.pet,
        mr=arguments.mr or (),
        organ=arguments.organ or (),
        context=arguments.context or (),
        lesion=arguments.lesion or (),
        skip_bad_channels=arguments.skip_bad_channels,
        workers=arguments.workers,
        quiet=arguments.quiet,
    )
    return report(outcome)
