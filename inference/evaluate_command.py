"""`reactkd_evaluate`: how good are these predictions?"""

from __future__ import annotations

import argparse
from pathlib import Path

from reactkd_auto.commandline import add_run_options, new_parser, run

DESCRIPTION = """\
Compare predictions with labels: AUC with 95 % intervals, balanced accuracy, F1, kappa,
calibration, ROC and decision curves, confusion matrix, subgroups; as evaluation.html, metrics.json and metrics.csv.

predictions.csv  case, status (classified | not classified), predicted_class, p_<class> for each class
labels.csv       case, label (class name; empty: ungraded, in no score), patient (left out: the case);
                 any other column (sex, age, site, ...) defines subgroups

example: reactkd_evaluate -p out/predictions.csv -l labelsTs.csv -o out/evaluation"""


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_evaluate", DESCRIPTION)
    parser.add_argument("-p", "--predictions", type=Path, required=True, help="table of predictions (CSV)")
    parser.add_argument("-l", "--labels", type=Path, required=True, help="table of labels (CSV)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for page, numbers and pictures")
    parser.add_argument(
        "--dataset_json",
        type=Path,
        help="dataset.json that says the classes and whether they are ordered; else the p_ columns name them",
    )
    parser.add_argument("--against", type=Path, help="predictions of another model of the same cases, to compare with")
    add_run_options(parser, device=False)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    from reactkd_auto.evaluation.run import evaluate

    evaluate(
        arguments.predictions,
        arguments.labels,
        arguments.output,
        dataset_json=arguments.dataset_json,
        against=arguments.against,
        seed=arguments.seed,
    )
    return 0
