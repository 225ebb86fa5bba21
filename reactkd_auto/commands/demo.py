"""`reactkd_demo`: the whole pipeline on a synthetic dual-tracer cohort, in minutes.

Synthetic cohort → plan and preprocess → train one fold → predict CTs never seen → evaluate.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reactkd_auto.commandline import add_run_options, add_workspace_option, from_one, new_parser, run
from reactkd_auto.workspace import open_workspace

EPOCHS = 14
"""Enough to see it work: on two CPU cores the demo has to end within 12 minutes."""
TEACHERS: Literal["in_sample"] = "in_sample"
"""One set of teachers; cross-fitted ones would be five."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DemoResult:
    """Where a person should look after the demo, and the AUC on the external CTs with its interval."""

    report: Path
    evaluation: Path
    metrics: Path
    auc: str


def demo(
    *,
    workspace: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    epochs: int = EPOCHS,
    cases: int = 48,
    quiet: bool = False,
) -> DemoResult:
    """Run the pipeline on a synthetic cohort; run again, it continues where it was.

    Args:
        workspace: Folder for everything; see `open_workspace`.
        device: ``auto``, ``cuda`` or ``cpu``.
        seed: Seed of cohort, folds and training.
        epochs: Of each training stage; a plan would take more.
        cases: Graded training cases to simulate.
        quiet: No progress bars.

    Returns:
        The report, the evaluation page and the metrics, and the AUC in words.
    """
    from reactkd_auto.dataset_conversion import make_demo_dataset
    from reactkd_auto.device import choose_device
    from reactkd_auto.evaluation.run import evaluate
    from reactkd_auto.inference import predict
    from reactkd_auto.planning import plan_and_preprocess
    from reactkd_auto.training import train

    logger.info("Computing on %s.", choose_device(device))
    place = open_workspace(workspace)
    raw = make_demo_dataset(workspace=place.root, seed=seed, cases=cases)
    common: dict[str, Any] = {
        "workspace": place.root,
        "dataset": raw.name,
        "device": device,
        "seed": seed,
        "quiet": quiet,
    }
    plan_and_preprocess(**common)
    train(0, epochs=epochs, teachers=TEACHERS, **common)
    output = place.root / "predictions" / raw.name
    predict(raw / "imagesTs", output, **common)
    evaluation = output / "evaluation"
    scores = evaluate(output / "predictions.csv", raw / "labelsTs.csv", evaluation, seed=seed)
    auc = f"AUC {scores.macro_auc}, {scores.n_cases} cases"
    return DemoResult(output / "report.html", evaluation / "evaluation.html", evaluation / "metrics.json", auc)


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_demo", __doc__ or "")
    add_workspace_option(parser)
    parser.add_argument(
        "--epochs", type=from_one, default=EPOCHS, help="of each training stage; a plan would take more"
    )
    parser.add_argument("--cases", type=int, default=48, help="graded cases to simulate")
    add_run_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of the console script."""

    def program(arguments: argparse.Namespace) -> int:
        start = time.monotonic()
        result = demo(**vars(arguments))
        minutes = (time.monotonic() - start) / 60
        sys.stdout.write(
            f"\nDone in {minutes:.1f} minutes. Look at\n"
            f"  {result.report}       the predictions, explained\n"
            f"  {result.evaluation}   AUC with interval, ROC, calibration\n"
            f"  {result.metrics}      the same in numbers: {result.auc}\n"
        )
        return 0

    return run(program, build_parser(), argv)
