"""`reactkd_predict`: CTs in, classified and explained."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reactkd_auto.commandline import (
    EXIT_SOME_CASES_FAILED,
    add_run_options,
    add_workspace_options,
    from_one,
    new_parser,
    refuse_given,
    refuse_workspace,
    run,
)
from reactkd_auto.execution import ENGINES
from reactkd_auto.execution.parts import add_part_options, chosen_part

DESCRIPTION = """\
Classify CTs with a trained model, and explain each answer. Research use only.

input   a folder of any nesting, one image or a zip: CASE_0000.nii.gz or CASE.nii.gz (.nii, .nrrd and .mha too) and
        DICOM series; each CT series is a case, named by a hash of its UID. Other channels (CASE_0001, a DICOM PET of
        the same frame of reference) are used if the model takes them, and are not needed
output  report.html        open this: every case with its answer, picture and region table
        predictions.csv    case, status, predicted_class, p_<class>, prediction_set, reason and more (also .json)
        lesions.csv        one row a lesion: volume, place, grade with probabilities, attention, importance
        regions.csv        one row a region: volume, attention, importance, lesion grade
        explanation/       explanation, uncertainty, attention and regions in each CT's own geometry
        pictures/          three planes through the most important lesion, and the region graph
        viewer/            the small volumes that the report's viewer shows
        explanation_checks.json  with --check_explanations: energy in lesions, deletion curve, randomisation
        dicom/             with --dicom: structured report, regions and explanation; they bear the patient's name

A CT in which the model finds no region, or that is unlike its cohort, is "not classified", with the reason. A CT that
cannot be read is "failed", the others are finished, and the exit code is 3. Run again, finished cases are kept.

Many CTs: --engine ray, or --num_parts N --part_id K, one process a part, side by side into one folder; at the end the
same command without a part makes tables and report, and predicts what a killed part left out.

example: reactkd_predict -i ct_dir -o out -m reactkd_workspace/results/Dataset001_NAME/auto/auto_seed0"""


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_predict", DESCRIPTION)
    parser.add_argument("-i", "--input", type=Path, required=True, help="folder, image or zip of CTs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("-m", "--model", type=Path, help="model folder; else the dataset's newest finished one")
    add_workspace_options(parser)
    parser.add_argument("-f", "--folds", type=int, nargs="+", help="folds to average; else every finished one")
    parser.add_argument(
        "-r", "--regions", type=Path, help="folder of region maps CASE, instead of the model's localiser"
    )
    parser.add_argument(
        "-c", "--covariates", type=Path, help="table of clinical covariates by case, for models that take them"
    )
    parser.add_argument("--no_explanation", action="store_true", help="only answers: faster, no images or pictures")
    parser.add_argument("--no_flips", action="store_true", help="don't average mirror images: faster")
    parser.add_argument("--workers", type=from_one, help="cases at a time, in processes; else one process")
    parser.add_argument(
        "--engine", choices=ENGINES, default="local", help="this machine, or a Ray cluster: one model a device"
    )
    add_part_options(parser)
    parser.add_argument(
        "--backend",
        choices=("torch", "onnx", "openvino"),
        default="torch",
        help="what runs the students; others than torch after reactkd_export_onnx, on the processor",
    )
    parser.add_argument(
        "--check_explanations",
        action="store_true",
        help="afterwards, judge the explanations by numbers: answers every case again",
    )
    parser.add_argument("--dicom", action="store_true", help="also write DICOM objects, of CTs that came as DICOM")
    add_run_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of the console script."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    from reactkd_auto.inference.api import predict

    options = vars(arguments)
    if arguments.model is not None:
        refuse_workspace(arguments, "says where to look for a model, expected without -m")
    if arguments.no_explanation:
        judged = {"check_explanations": arguments.check_explanations}
        refuse_given(judged, "judges explanations, expected without --no_explanation")
    explanation, flips = not options.pop("no_explanation"), not options.pop("no_flips")
    part = chosen_part(options.pop("num_parts"), options.pop("part_id"))
    predictions = predict(
        options.pop("input"), options.pop("output"), explanation=explanation, flips=flips, part=part, **options
    )
    failed = predictions.count("failed")
    report = predictions.report or "the report of the same command without --num_parts, once all parts are done"
    sys.stdout.write(
        f"{predictions.count('classified')} classified, {predictions.count('not classified')} not classified, "
        f"{failed} failed. Look at {report}\n"
    )
    return EXIT_SOME_CASES_FAILED if failed else 0
