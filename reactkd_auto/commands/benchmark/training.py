"""`reactkd_benchmark training`: a training step in its parts, against the networks of the paper."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reactkd_auto.commandline import add_workspace_options
from reactkd_auto.device import choose_device
from reactkd_auto.jsonio import write_json
from reactkd_auto.networks import describe
from reactkd_auto.networks.counting import Counting
from reactkd_auto.plan import Triple
from reactkd_auto.provenance import write_run
from reactkd_auto.training.run import Run
from reactkd_auto.workspace import open_workspace

from .learners import FOLD, OWN, PAPER, Step, StepOf
from .measuring import Spread, Timing, describe_machine, peak_memory_mb, time_side_by_side
from .real_training import train_on_real_cases
from .scene import Scene
from .training_rows import Result, Row, table

DESCRIPTION = """\
A training step in its parts, against the networks that the paper names.
Teachers and student of this package on random samples of the planned patch and of the paper's input (32 x 96 x 96), the
paper's own networks on the latter; then the student on real cases as they are loaded, in a loop long enough that none
loaded ahead hides a slow disk. The student learns from the default recipe's teachers, cross-fitted ones where there are
folds enough. Prints a table, writes training.json and run.json. Needs a preprocessed dataset.

example: reactkd_benchmark training -o out"""
PAPER_INPUT: Triple = (32, 96, 96)


def benchmark_training(
    output: Path,
    *,
    dataset: str | None = None,
    workspace: Path | None = None,
    plan: str = "auto",
    batch: int = 2,
    rounds: int = 5,
    memory: bool = True,
    compile: bool = False,
    device: str = "auto",
    seed: int = 0,
    quiet: bool = False,
) -> Result:
    """Measure, print a table, write ``training.json`` and ``run.json``.

    Args:
        output: Folder.
        dataset, workspace, plan: Of a preprocessed cohort.
        batch: Samples a step at the paper's input; at the planned patch it is the plan's.
        rounds: Repeats; steps on real cases are at least as many.
        memory: Measure peak memory, each learner in a process of its own. Compiled ones are left out.
        compile: Also time teachers and student with compiled encoders, at the planned patch.
        device: Where to compute.
        seed: Of weights and samples.
        quiet: No progress bar.

    Returns:
        What the table shows.

    Raises:
        UserError: There is no such preprocessed dataset or device.
    """
    chosen = choose_device(device)
    root = open_workspace(workspace).root
    planned = Scene(root, dataset, plan, None, None, chosen.type, seed)
    paper = replace(planned, patch=PAPER_INPUT, batch=batch)
    scenes = [planned, replace(planned, compile=True)] if compile else [planned]
    wanted = [StepOf(who, scene) for scene in scenes for who in OWN] + [StepOf(who, paper) for who in (*OWN, *PAPER)]
    steps = [one.make() for one in wanted]
    rows = _measure(wanted, steps, rounds, chosen, memory=memory, quiet=quiet)
    run, student = planned.run(), OWN.index("student")
    real = train_on_real_cases(steps[student].learn_from, steps[student].arrays, run, fold=FOLD, fewest=rounds)
    rows[student] = replace(rows[student], parts_ms={"load": real.load_ms, **rows[student].parts_ms})
    machine = describe_machine(chosen) | {"threads": torch.get_num_threads()}
    result = Result(_teachers(run), rows, real, machine)
    sys.stdout.write(table(result))
    facts = vars(result) | {"compiled": result.compiled, "verdicts": result.verdicts}
    write_json(output / "training.json", facts)
    options = {"dataset": run.plan.dataset, "batch": batch, "rounds": rounds, "compile": compile}
    write_run(output, seed=seed, plan_hash=run.plan.hash, options=options)
    return result


def _measure(
    wanted: Sequence[StepOf],
    steps: Sequence[Step],
    rounds: int,
    device: torch.device,
    *,
    memory: bool,
    quiet: bool,
) -> list[Row]:
    warm_ups = [_warm_up(step, device) if one.scene.compile else None for one, step in zip(wanted, steps, strict=True)]
    works = [work for step in steps for work in step.works().values()]
    timings = iter(time_side_by_side(works, [rounds] * len(works), device, quiet=quiet))
    rows = []
    for one, step, warm_up in zip(wanted, steps, warm_ups, strict=True):
        times = {name: next(timings) for name in step.works()}
        run = one.scene.run()
        rows.append(
            Row(
                one.who,
                run.plan.patch_size,
                step.samples,
                _parts(step, times),
                _milliseconds([times[name] for name in (*step.before, "forward", "backward")]),
                peak_memory_mb(one, device, torch.get_num_threads()) if memory and warm_up is None else None,
                *_size(one, step.learner.module, run),
                warm_up,
            )
        )
    return rows


def _warm_up(step: Step, device: torch.device) -> float:
    """Seconds of the first step."""
    began = time.perf_counter()
    step.learn_from(step.arrays)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def _parts(step: Step, times: dict[str, Timing]) -> dict[str, Spread]:
    """Of these, what was timed inside the forward pass is taken off it."""
    apart = [*step.inside, *step.before]
    return {
        **{name: _milliseconds([times[name]]) for name in apart},
        step.rest: _milliseconds([times["forward"]], less=[times[name] for name in step.inside]),
        "backward": _milliseconds([times["backward"]]),
    }


def _milliseconds(timings: Sequence[Timing], less: Sequence[Timing] = ()) -> Spread:
    """Of the sum of parts of the same round, ``less`` other parts of it."""
    sums = [sum(parts) for parts in zip(*(t.wall for t in timings), strict=True)]
    others = [sum(t.wall[i] for t in less) for i in range(len(sums))]
    return Spread.of([1e3 * (a - b) for a, b in zip(sums, others, strict=True)])


def _size(one: StepOf, module: nn.Module, run: Run) -> tuple[int, int]:
    """Parameters and FLOPs."""
    if one.who in PAPER:
        return sum(p.numel() for p in module.parameters()), _paper_flops(one, module, run)
    network = module if one.who == "teachers" else module.get_submodule("student")
    size = describe(network, run.plan, run.dataset)
    return size["parameters"], size["flops"]


def _paper_flops(one: StepOf, module: nn.Module, run: Run) -> int:
    channels = 2 if one.who == "paper's teachers" else 1
    with torch.no_grad(), Counting() as counter:
        deepcopy(module).to("meta").eval()(torch.empty(1, channels, *run.plan.patch_size, device="meta"))
    return counter.flops


def _teachers(run: Run) -> str:
    pairs = len(run.teacher_sets(FOLD)) - 1
    return f"{run.teachers}, its own set" + (f" and {pairs} that each left out one more fold" if pairs else "")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this subject."""
    add_workspace_options(parser)
    parser.add_argument("-p", "--plan", default="auto", help="name of the plan")
    parser.add_argument("--batch", type=int, default=2, help="samples a step at the paper's input")
    parser.add_argument("--rounds", type=int, default=5, help="repeats; steps on real cases are at least as many")
    parser.add_argument("--no_memory", dest="memory", action="store_false", help="don't measure peak memory")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="also time teachers and student with compiled encoders: does reactkd_train --compile pay on this machine?",
    )


def program(**options: Any) -> int:
    """What the command does with its options."""
    benchmark_training(**options)
    return 0
