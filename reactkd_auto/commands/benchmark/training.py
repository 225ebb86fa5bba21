"""`reactkd_benchmark training`: a training step in its parts, against the networks of the paper."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reactkd_auto.commandline import add_workspace_options
from reactkd_auto.device import choose_device
from reactkd_auto.jsonio import write_json
from reactkd_auto.networks import describe
from reactkd_auto.networks.counting import Counting
from reactkd_auto.provenance import write_run
from reactkd_auto.training.loader import case_feed, stream
from reactkd_auto.training.run import Run
from reactkd_auto.training.schedule import Schedule
from reactkd_auto.workspace import open_workspace

from .learners import PAPER_INPUT, Scene, Step, StepOf, Who
from .measuring import Spread, Timing, describe_machine, peak_memory_mb, time_side_by_side

DESCRIPTION = """\
A training step in its parts, against the networks that the paper names.
Teachers and student of this package on random samples of the planned patch and of the paper's input (32 x 96 x 96), the
paper's own networks on the latter, and the loading of real cases. Prints a table, writes training.json and run.json.
Needs a preprocessed dataset.

example: reactkd_benchmark training -o out"""
TARGET_SPEED, TARGET_FLOPS, TARGET_PARAMETERS, TARGET_REAL = 3.0, 5.0, 2e6, 0.9
OWN: tuple[Who, ...] = ("teachers", "student")
PAPER: tuple[Who, ...] = ("paper's teachers", "paper's student")


@dataclass(frozen=True)
class Row:
    """One learner on one input.

    Attributes:
        who: Learner.
        input: (z, y, x).
        samples: In a batch.
        parts_ms: Milliseconds of a step by part; those ``of it`` are inside ``forward``.
        step_ms: Of the whole step.
        memory_mb: At most, set-up included; None where it isn't measured.
        parameters: Of what learns.
        flops: Of one forward pass of one sample, a multiply-add as two.
    """

    who: Who
    input: tuple[int, int, int]
    samples: int
    parts_ms: dict[str, Spread]
    step_ms: Spread
    memory_mb: float | None
    parameters: int
    flops: int

    @property
    def samples_per_second(self) -> float:
        """Of the median step."""
        return self.samples / self.step_ms.median * 1e3


@dataclass(frozen=True)
class Verdict:
    """A figure beside its target."""

    what: str
    value: float
    target: str
    met: bool


def benchmark_training(
    output: Path,
    *,
    dataset: str | None = None,
    workspace: Path | None = None,
    plan: str = "auto",
    batch: int = 2,
    rounds: int = 5,
    memory: bool = True,
    device: str = "auto",
    seed: int = 0,
    quiet: bool = False,
) -> list[Row]:
    """Measure, print a table, write ``training.json`` and ``run.json``.

    Args:
        output: Folder.
        dataset, workspace, plan: Of a preprocessed cohort.
        batch: Samples a step at the paper's input; at the planned patch it is the plan's.
        rounds: Repeats.
        memory: Measure peak memory, each learner in a process of its own.
        device: Where to compute.
        seed: Of weights and samples.
        quiet: No progress bar.

    Returns:
        The rows of the table.

    Raises:
        UserError: There is no such preprocessed dataset or device.
    """
    chosen = choose_device(device)
    root = open_workspace(workspace).root
    planned = Scene(root, dataset, plan, None, None, chosen.type, seed)
    paper = replace(planned, patch=PAPER_INPUT, batch=batch)
    wanted = [StepOf(who, planned) for who in OWN] + [StepOf(who, paper) for who in (*OWN, *PAPER)]
    rows = _measure(wanted, rounds, chosen, memory=memory, quiet=quiet)
    run = planned.run()
    loading = _loading(run, rounds)
    verdicts = _verdicts(rows, loading, chosen)
    machine = describe_machine(chosen) | {"threads": torch.get_num_threads()}
    sys.stdout.write(_table(rows, loading, verdicts, machine))
    facts = {"machine": machine, "rows": rows, "loading_ms": loading, "verdicts": verdicts}
    write_json(output / "training.json", facts)
    options = {"dataset": run.plan.dataset, "batch": batch, "rounds": rounds}
    write_run(output, seed=seed, plan_hash=run.plan.hash, options=options)
    return rows


def _measure(wanted: Sequence[StepOf], rounds: int, device: torch.device, *, memory: bool, quiet: bool) -> list[Row]:
    steps = [one.prepare() for one in wanted]
    works = [work for step in steps for work in step.phases.values()]
    timings = iter(time_side_by_side(works, [rounds] * len(works), device, quiet=quiet))
    rows = []
    for one, step in zip(wanted, steps, strict=True):
        parts = {name: next(timings) for name in step.phases}
        run = one.scene.run()
        rows.append(
            Row(
                one.who,
                run.plan.patch_size,
                step.samples,
                {name: _milliseconds([t]) for name, t in parts.items()},
                _milliseconds([parts["forward"], parts["backward"]]),
                peak_memory_mb(one, device, torch.get_num_threads()) if memory else None,
                *_size(one.who, step, run),
            )
        )
    return rows


def _milliseconds(timings: Sequence[Timing]) -> Spread:
    """Of the sum of parts of the same round."""
    return Spread.of([1e3 * sum(parts) for parts in zip(*(t.wall for t in timings), strict=True)])


def _size(who: Who, step: Step, run: Run) -> tuple[int, int]:
    if who in PAPER:
        return sum(p.numel() for p in step.module.parameters()), _paper_flops(who, step.module, run)
    network = step.module if who == "teachers" else step.module.student
    assert isinstance(network, nn.Module)
    size = describe(network, run.plan, run.dataset)
    return size["parameters"], size["flops"]


def _paper_flops(who: Who, module: nn.Module, run: Run) -> int:
    channels = 2 if who == "paper's teachers" else 1
    with torch.no_grad(), Counting() as counter:
        deepcopy(module).to("meta").eval()(torch.empty(1, channels, *run.plan.patch_size, device="meta"))
    return counter.flops


def _loading(run: Run, rounds: int) -> Spread:
    """Milliseconds a batch of real cases is waited for, while nothing else is done (in this process on a CPU)."""
    cases = [c for c in run.training_cases(0) if c.label is not None]
    feed = case_feed(run.case_folder, cases, run.plan, run.dataset, balanced=False)
    schedule = Schedule(1, rounds + 1, 1e-3, 0.0, 0.9)
    batches: Iterator[Any] = stream(feed, schedule, seed=run.seed, stage=0, first=0, device=run.device)
    next(batches)
    (timing,) = time_side_by_side([lambda: next(batches, None)], [rounds - 1], torch.device("cpu"))
    return Spread.of(timing.wall).scaled(1e3)


def _verdicts(rows: Sequence[Row], loading: Spread, device: torch.device) -> list[Verdict]:
    at = {row.who: row for row in rows if row.input == PAPER_INPUT}
    own, paper = (sum(at[who].step_ms.median / at[who].samples for who in both) for both in (OWN, PAPER))
    flops, parameters = at["paper's student"].flops / at["student"].flops, at["student"].parameters
    speed = paper / own
    planned = next(row for row in rows if row.who == "student")
    waited = max(0.0, loading.median - planned.step_ms.median) if device.type == "cuda" else loading.median
    real = planned.step_ms.median / (planned.step_ms.median + waited)
    return [
        Verdict("samples/s of teachers and student, times the paper's networks", speed, "≥ 3", speed >= TARGET_SPEED),
        Verdict("FLOPs of the student, times fewer than the paper's", flops, "≥ 5", flops >= TARGET_FLOPS),
        Verdict("parameters of the student", parameters, "≤ 2 M", parameters <= TARGET_PARAMETERS),
        Verdict("samples/s with loading, share of that on resident samples", real, "≥ 0.9", real >= TARGET_REAL),
    ]


def _table(rows: Sequence[Row], loading: Spread, verdicts: Sequence[Verdict], machine: dict[str, Any]) -> str:
    lines = [f"{'learner':<18}{'input':>12}{'batch':>6}{'ms a step':>24}{'samples/s':>10}"]
    lines[0] += f"{'MB':>7}{'parameters':>12}{'GFLOPs':>8}"
    for row in rows:
        size, memory = "x".join(map(str, row.input)), "" if row.memory_mb is None else f"{row.memory_mb:.0f}"
        lines.append(
            f"{row.who:<18}{size:>12}{row.samples:>6}{row.step_ms!s:>24}{row.samples_per_second:>10.3g}{memory:>7}"
            f"{row.parameters / 1e6:>10.2f} M{row.flops / 1e9:>8.2f}"
        )
        parts = ", ".join(f"{name} {ms}" for name, ms in row.parts_ms.items())
        lines.append(f"    {parts} ms")
    lines += ["", f"loading a batch of real cases: {loading} ms, n = {loading.n}", ""]
    lines += [f"{v.what}: {v.value:.3g}, target {v.target}: {'met' if v.met else 'MISSED'}" for v in verdicts]
    lines += ["", ", ".join(f"{k}: {v}" for k, v in machine.items())]
    return "\n".join(lines) + "\n"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this subject."""
    add_workspace_options(parser)
    parser.add_argument("-p", "--plan", default="auto", help="name of the plan")
    parser.add_argument("--batch", type=int, default=2, help="samples a step at the paper's input")
    parser.add_argument("--rounds", type=int, default=5, help="repeats")
    parser.add_argument("--no_memory", dest="memory", action="store_false", help="don't measure peak memory")


def program(**options: Any) -> int:
    """What the command does with its options."""
    benchmark_training(**options)
    return 0
