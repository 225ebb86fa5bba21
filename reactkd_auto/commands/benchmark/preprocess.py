"""`reactkd_benchmark preprocess`: measuring and preprocessing against plain SimpleITK on the same cases."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from reactkd_auto.commandline import add_workspace_options, from_one
from reactkd_auto.dataset import LabelledCase, read_dataset, read_labels
from reactkd_auto.errors import UserError
from reactkd_auto.execution import CaseFailure, Execution, map_cases, single_threaded
from reactkd_auto.jsonio import write_json
from reactkd_auto.plan import read_plan
from reactkd_auto.progress import track
from reactkd_auto.provenance import write_run
from reactkd_auto.workspace import open_workspace

from .measuring import Spread, describe_machine
from .preprocess_work import Measured, Source, measure, preprocess_only

DESCRIPTION = """\
Measuring and preprocessing of a planned dataset against plain SimpleITK, single thread, by processor time.
Ours is all that reactkd_plan_and_preprocess does with a case, its dose apart: hashing, reading with checks,
fingerprint, resampling, regions, writing. The reference is what one would do with SimpleITK alone: it reads the same
files, resamples each channel by cubic B-splines and the region map by nearest neighbours to the planned spacing over
the whole CT, and writes .nii.gz; nothing is checked, measured or cropped. Prints a table, writes preprocess.json and
run.json.

example: reactkd_benchmark preprocess -o out -d 1"""
TARGET_RATIO = 1.5
TARGET_SCALING = 1.8


@dataclass(frozen=True)
class Scaling:
    """Wall seconds of all cases in this process and in several, whose start-up is measured apart."""

    workers: int
    one: Spread
    several: Spread
    start_up: Spread

    @property
    def times(self) -> float:
        """How many times faster the cases are done, start-up apart."""
        return self.one.median / (self.several.median - self.start_up.median)


@dataclass(frozen=True)
class Comparison:
    """Of all cases.

    Attributes:
        ours, reference: Processor seconds a case, over the cases.
        ratio: Processor time of all cases by us over that of the reference; over the rounds.
        ours_steps, reference_steps: Mean processor seconds a case of each step.
    """

    ours: Spread
    reference: Spread
    ratio: Spread
    ours_steps: dict[str, float]
    reference_steps: dict[str, float]


def benchmark_preprocess(
    output: Path,
    *,
    dataset: str | None = None,
    workspace: Path | None = None,
    plan: str = "plan",
    cases: int | None = None,
    rounds: int = 3,
    workers: int = 2,
    device: str = "cpu",
    seed: int = 0,
    quiet: bool = False,
) -> tuple[Comparison, Scaling | None]:
    """Measure, print a table, write ``preprocess.json`` and ``run.json``.

    Args:
        output: Folder.
        dataset, workspace: A dataset that has been planned.
        plan: Name of its plan's file without ``.json``.
        cases: The first so many only.
        rounds: Repeats of everything.
        workers: Processes of the test of scaling; 1 leaves it out.
        device: Preprocessing runs on the processor.
        seed: Kept in ``run.json``; nothing here is random.
        quiet: No progress bar.

    Raises:
        UserError: No such dataset, it is not planned yet, or none of its cases can be used.
    """
    source, rows = _open(dataset, workspace, plan)
    rows = rows[:cases]
    with single_threaded():
        measured = [_round(rows, source, quiet) for _ in range(rounds)]
    comparison = compare(measured)
    scaling = _scaling(rows, source, workers, rounds, quiet) if workers > 1 else None
    machine = describe_machine(torch.device("cpu"))
    sys.stdout.write(table(comparison, scaling, len(rows), machine))
    write_json(
        output / "preprocess.json",
        {"machine": machine, "cases": len(rows), "comparison": comparison, "scaling": scaling},
    )
    options = {"cases": len(rows), "rounds": rounds, "workers": workers}
    write_run(output, seed=seed, plan_hash=source.plan.hash, options=options)
    return comparison, scaling


def compare(rounds: Sequence[Sequence[Measured]]) -> Comparison:
    """Sum up rounds of the same cases."""
    flat = [m for round_ in rounds for m in round_]
    ours, reference = (
        [sum(steps.values()) for steps in of] for of in ([m.ours for m in flat], [m.reference for m in flat])
    )
    ratios = [
        sum(sum(m.ours.values()) for m in round_) / sum(sum(m.reference.values()) for m in round_) for round_ in rounds
    ]
    return Comparison(
        Spread.of(ours),
        Spread.of(reference),
        Spread.of(ratios),
        {step: sum(m.ours[step] for m in flat) / len(flat) for step in flat[0].ours},
        {step: sum(m.reference[step] for m in flat) / len(flat) for step in flat[0].reference},
    )


def table(comparison: Comparison, scaling: Scaling | None, cases: int, machine: dict[str, Any]) -> str:
    """The figures as text; medians with the range in brackets."""
    lines = [f"{cases} cases, n = {comparison.ratio.n} rounds; processor time, one thread", ""]
    for name, steps in (("ours", comparison.ours_steps), ("SimpleITK", comparison.reference_steps)):
        total = sum(steps.values())
        parts = ", ".join(f"{step} {1e3 * seconds:.0f}" for step, seconds in steps.items())
        lines.append(f"{name:<10}{1 / total:>8.3g} cases/s  {1e3 * total:>7.0f} ms a case: {parts}")
    lines.append(f"ratio     {comparison.ratio} times SimpleITK's processor time; target ≤ {TARGET_RATIO}")
    if scaling:
        lines.append(
            f"scaling   {scaling.times:.2f} times on {scaling.workers} processes (wall {scaling.one} s, then "
            f"{scaling.several} s with {scaling.start_up} s of start-up); target on 2 ≥ {TARGET_SCALING}"
        )
    return "\n".join([*lines, "", ", ".join(f"{k}: {v}" for k, v in machine.items())]) + "\n"


def _open(dataset: str | None, workspace: Path | None, plan: str) -> tuple[Source, list[LabelledCase]]:
    place = open_workspace(workspace)
    name = place.find_dataset(dataset)
    raw, file = place.raw_dataset(name), place.preprocessed(name) / f"{plan}.json"
    if not file.is_file():
        raise UserError(f"{file}: file not found, expected a plan; run reactkd_plan_and_preprocess first.")
    described = read_dataset(raw)
    return Source(raw, described, read_plan(file)), read_labels(raw / "labelsTr.csv", described.classes)


def _round(rows: Sequence[LabelledCase], source: Source, quiet: bool) -> list[Measured]:
    measured = []
    for row in track(rows, what="one by one", quiet=quiet):
        try:
            measured.append(measure(row, source))
        except UserError:  # the planning said so already
            continue
    if not measured:
        raise UserError(f"{source.raw}: none of {len(rows)} cases can be used.")
    return measured


def _scaling(rows: Sequence[LabelledCase], source: Source, workers: int, rounds: int, quiet: bool) -> Scaling:
    work = partial(preprocess_only, source=source)
    one, several, start_up = [], [], []
    for _ in range(rounds):
        one.append(_wall(work, rows, Execution(workers=1, quiet=quiet)))
        several.append(_wall(work, rows, Execution(workers=workers, quiet=quiet)))
        start_up.append(_wall(partial(_nothing, source=source), rows[:workers], Execution(workers=workers, quiet=True)))
    return Scaling(workers, Spread.of(one), Spread.of(several), Spread.of(start_up))


def _wall(work: Any, rows: Sequence[LabelledCase], execution: Execution) -> float:
    before = time.perf_counter()
    for row, result in map_cases(work, rows, execution=execution, what="all", name=lambda r: r.case):
        if isinstance(result, CaseFailure) and result.traceback:
            raise RuntimeError(f"{row.case}: {result.sentence}")
    return time.perf_counter() - before


def _nothing(row: LabelledCase, source: Source) -> None:
    """Only what a process imports to do a case."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this subject."""
    add_workspace_options(parser)
    parser.add_argument("-p", "--plan", default="plan", help="name of the plan's file without .json")
    parser.add_argument("--cases", type=int, help="the first so many cases only")
    parser.add_argument("--rounds", type=int, default=3, help="repeats of everything")
    parser.add_argument("--workers", type=from_one, default=2, help="processes of the test of scaling; 1 leaves it out")


def program(**options: Any) -> int:
    """What the command does with its options."""
    benchmark_preprocess(**options)
    return 0
