"""``reactkd_plan_and_preprocess``."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping

from reactkd_auto import commandline
from reactkd_auto.execution import ENGINES, Execution
from reactkd_auto.execution.parts import add_part_options, chosen_part

DESCRIPTION = """\
Measure a raw dataset, plan every stage, assign folds and preprocess all cases.

Reads    <workspace>/raw/Dataset001_NAME: dataset.json, imagesTr, regionsTr, labelsTr.csv
Writes   <workspace>/preprocessed/Dataset001_NAME: fingerprint.json, plan.json (each value with its reason),
         plan.html (the cohort and the plan on one page), splits.json, cases
and ends by printing the plan. Running it again does only what is missing or out of date.

Exit code 0: all cases done; 3: some could not be used (listed at the end), all others are done; 2: nothing could.
"""
WIDEST = 160


def main(argv: list[str] | None = None) -> int:
    """Plan and preprocess; returns the exit code."""
    return commandline.run(_run, build_parser(), argv)


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = commandline.new_parser("reactkd_plan_and_preprocess", DESCRIPTION)
    commandline.add_workspace_options(parser)
    parser.add_argument("-p", "--plan", default="auto", help="name of the plan")
    commandline.add_run_options(parser)
    parser.add_argument("--folds", type=int, default=5, help="folds; fewer if the rarest class has fewer patients")
    parser.add_argument(
        "--workers", type=commandline.from_one, help="cases at a time; else as cores and free memory allow"
    )
    parser.add_argument(
        "--engine", choices=ENGINES, default="local", help="processes of this machine, or a Ray cluster"
    )
    add_part_options(parser)
    choices = parser.add_argument_group("choices that replace a rule's (noted in the plan as yours)")
    choices.add_argument("--spacing", type=float, nargs=3, metavar=("Z", "Y", "X"), help="spacing in mm")
    choices.add_argument(
        "--patch_size", type=int, nargs=3, metavar=("Z", "Y", "X"), help="patch in voxels, multiples of 8"
    )
    choices.add_argument("--batch_size", type=int, help="samples in a batch")
    choices.add_argument("--gpu_memory_gb", type=float, help="memory of the GPU to plan for; it need not be present")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from reactkd_auto.planning.api import Options, run, run_part
    from reactkd_auto.planning.plan import Overrides
    from reactkd_auto.planning.rules.training import FOLDS
    from reactkd_auto.planning.table import plan_table
    from reactkd_auto.planning.triples import triple, triple_mm

    overrides = Overrides(
        spacing_mm=triple_mm(arguments.spacing) if arguments.spacing else None,
        patch_size=triple(arguments.patch_size) if arguments.patch_size else None,
        batch_size=arguments.batch_size,
        gpu_memory_gb=arguments.gpu_memory_gb,
        folds=arguments.folds if arguments.folds != FOLDS else None,
    )
    options = Options(
        dataset=arguments.dataset,
        workspace=arguments.workspace,
        plan=arguments.plan,
        device=arguments.device,
        seed=arguments.seed,
        overrides=overrides,
        execution=Execution(arguments.engine, arguments.workers, arguments.quiet),
    )
    if part := chosen_part(arguments.num_parts, arguments.part_id):
        done = run_part(options, part)
        sys.stdout.write(f"{done.sentence}\n")
        return _report(done.failures, done.cases)
    outcome = run(options)
    width = min(WIDEST, shutil.get_terminal_size((120, 24)).columns)
    if not arguments.quiet:
        sys.stdout.write(plan_table(outcome.plan, width=max(100, width)))
        sys.stdout.write(f"Plan and preprocessed cases: {outcome.folder}\n")
    return _report(outcome.failures, outcome.cases)


def _report(failures: Mapping[str, str], cases: int) -> int:
    if not failures:
        return 0
    sys.stderr.write(f"{len(failures)} of {cases} cases could not be used and are left out:\n")
    sys.stderr.writelines(f"  {case}: {sentence}\n" for case, sentence in sorted(failures.items()))
    return commandline.EXIT_SOME_CASES_FAILED
