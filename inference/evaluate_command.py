"""`reactkd_evaluate`: how good are these predictions, or this model on the dataset's test set?"""

from __future__ import annotations

import argparse
from pathlib import Path

from reactkd_auto.commandline import (
    EXIT_SOME_CASES_FAILED,
    add_run_options,
    add_workspace_options,
    new_parser,
    refuse_given,
    run,
)
from reactkd_auto.errors import UserError

DESCRIPTION = """\
Compare predictions with labels: AUC with 95 % intervals, balanced accuracy, F1, kappa,
calibration, ROC and decision curves, confusion matrix, subgroups; as evaluation.html, metrics.json and metrics.csv.

Of two tables (-p, -l):
predictions.csv  case, status (classified | not classified), predicted_class, p_<class> for each class
labels.csv       case, label (class name; empty: ungraded, in no score), patient (left out: the case);
                 any other column (sex, age, site, ...) defines subgroups

Of a dataset's test set (no -p): imagesTs (CT alone is enough), labelsTs.csv and regionsTs, if there, are predicted
with a model and evaluated; with --dose_levels at lower doses too, with --channel_subsets with fewer channels, with
--regions both with drawn and with the model's own regions: the same patients each time, differences paired. Run again,
finished predictions are kept. --check_explanations judges the explanations of its answers too.

examples: reactkd_evaluate -p out/predictions.csv -l labelsTs.csv -o out/evaluation
          reactkd_evaluate -d 1 -o out/external --regions both --dose_levels 1 0.5 0.25 0.1 0.05"""

_OF_TABLES = ("labels", "dataset_json", "against")
_OF_DATASET = (
    "dataset",
    "workspace",
    "model",
    "folds",
    "regions",
    "dose_levels",
    "channel_subsets",
    "check_explanations",
)


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_evaluate", DESCRIPTION)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for page, numbers and pictures")
    tables = parser.add_argument_group("of two tables")
    tables.add_argument("-p", "--predictions", type=Path, help="table of predictions (CSV)")
    tables.add_argument("-l", "--labels", type=Path, help="table of labels (CSV)")
    tables.add_argument(
        "--dataset_json",
        type=Path,
        help="dataset.json that says the classes and whether they are ordered; else the p_ columns name them",
    )
    tables.add_argument("--against", type=Path, help="predictions of another model of the same cases, to compare with")
    external = parser.add_argument_group("of a dataset's test set")
    add_workspace_options(external)
    external.add_argument("-m", "--model", type=Path, help="model folder; else the dataset's newest finished one")
    external.add_argument("-f", "--folds", type=int, nargs="+", help="folds to average; else every finished one")
    external.add_argument(
        "--regions",
        choices=("drawn", "automatic", "both"),
        help="drawn (default): maps of regionsTs where there are some, else the model's localiser; "
        "automatic: always the localiser; both: compare them",
    )
    external.add_argument("--dose_levels", type=float, nargs="+", help="dose fractions to compare, such as 0.5 0.1")
    external.add_argument("--channel_subsets", action="store_true", help="compare every subset of the channels")
    external.add_argument(
        "--check_explanations",
        action="store_true",
        help="judge the explanations by numbers too: answers every case again",
    )
    add_run_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    return _external(arguments) if arguments.predictions is None else _tables(arguments)


def _tables(arguments: argparse.Namespace) -> int:
    from reactkd_auto.evaluation.run import evaluate
    from reactkd_auto.inference.explanation_checks import checked_values

    refuse_given({n: getattr(arguments, n) for n in _OF_DATASET}, "is of a dataset's test set, expected without -p")
    if arguments.labels is None:
        raise UserError("-p: predictions without labels, expected -l labels.csv as well.")
    evaluate(
        arguments.predictions,
        arguments.labels,
        arguments.output,
        dataset_json=arguments.dataset_json,
        against=arguments.against,
        seed=arguments.seed,
        explanations=checked_values(arguments.predictions.parent),
    )
    return 0


def _external(arguments: argparse.Namespace) -> int:
    from reactkd_auto.inference.external.api import evaluate_external

    refuse_given(
        {n: getattr(arguments, n) for n in _OF_TABLES}, "is of a table of predictions, expected together with -p"
    )
    found = evaluate_external(
        arguments.output,
        dataset=arguments.dataset,
        workspace=arguments.workspace,
        model=arguments.model,
        folds=arguments.folds,
        regions=arguments.regions or "drawn",
        dose_levels=arguments.dose_levels or (),
        channel_subsets=arguments.channel_subsets,
        check_explanations=arguments.check_explanations,
        device=arguments.device,
        seed=arguments.seed,
        quiet=arguments.quiet,
    )
    return EXIT_SOME_CASES_FAILED if found.failed else 0
