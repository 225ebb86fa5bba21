"""`reactkd_benchmark inference`: what a whole CT costs from file to answer, part by part."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reactkd_auto.commandline import add_workspace_options
from reactkd_auto.device import choose_device
from reactkd_auto.inference.model import LoadedModel, choose_model, load_model
from reactkd_auto.jsonio import write_json
from reactkd_auto.provenance import write_run

from .inference_work import CaseWork, PeakOfCase, network_works, run_through, write_phantom
from .measuring import Spread, Timing, describe_machine, peak_memory_mb, time_side_by_side

DESCRIPTION = """\
A whole CT from file to answer, part by part, against reading and resampling it alone and the paper's student.
A phantom of 512 x 512 x 400 voxels with a region map is written, read, searched by the model's localiser, checked,
preprocessed, classified (one fold, mirror images) and explained. "Alone" is SimpleITK's: reading the same file as
float32 and resampling it whole onto the model's spacing, by cubic B-splines as nnU-Net does, or linearly. One pass of
the student is timed beside the paper's student (MONAI's SegResNet with its dense layer) on the same patch, in turns; on
a CPU both convolve by oneDNN.
"in a row" are several CTs, reading and writing overlapping with the network. Prints a table, writes inference.json.

example: reactkd_benchmark inference -o out -m models/liver"""
TARGET_NETWORK, TARGET_TOTAL = 5.0, 2.0
SIZE = (400, 512, 512)
ALONE = ("read", "resample by B-splines", "resample linearly")


@dataclass(frozen=True)
class Comparison:
    """What is set against the targets.

    Attributes:
        network: How many times one pass of the paper's student costs one of ours.
        total, total_linear: How many times all of a case costs reading and resampling (B-splines; linearly) alone.
    """

    network: Spread
    total: Spread
    total_linear: Spread


@dataclass(frozen=True)
class Result:
    """Everything that was measured.

    Attributes:
        parts: Seconds a case by part, processor time.
        parts_wall: By the clock.
        alone: Of SimpleITK's parts, processor time.
        network_ms: One pass of our student and of the paper's: processor time, on CUDA the device's.
        comparison: Against the targets.
        overlapped_s: Wall seconds a case of several in a row, overlapping.
        sequential_s: The same, one after the other.
        memory_mb: Peak of a case; None where it was not measured.
    """

    parts: Mapping[str, Spread]
    parts_wall: Mapping[str, Spread]
    alone: Mapping[str, Spread]
    network_ms: Mapping[str, Spread]
    comparison: Comparison
    overlapped_s: float
    sequential_s: float
    memory_mb: float | None


def benchmark_inference(
    output: Path,
    *,
    model: Path | None = None,
    dataset: str | None = None,
    workspace: Path | None = None,
    size: tuple[int, int, int] = SIZE,
    rounds: int = 3,
    in_a_row: int = 4,
    memory: bool = True,
    device: str = "auto",
    seed: int = 0,
    quiet: bool = False,
) -> Result:
    """Measure, print a table, write ``inference.json`` and ``run.json``.

    Args:
        output: Folder.
        model: Model folder; None: the dataset's newest finished one.
        dataset, workspace: Where to look for it.
        size: Of the CT, (z, y, x).
        rounds: Repeats.
        in_a_row: CTs of the test of overlap.
        memory: Measure peak memory, in a process of its own.
        device: Where to compute.
        seed: Of the phantom's noise.
        quiet: No progress bar.

    Raises:
        UserError: There is no such model or device.
    """
    chosen = choose_device(device)
    folder = choose_model(model, dataset=dataset, workspace=workspace)
    loaded = load_model(folder, folds=folder.finished_folds()[:1], device=chosen)
    scratch = Path(tempfile.mkdtemp(prefix="reactkd_benchmark_"))
    try:
        write_phantom(scratch, loaded, size, seed=seed)
        result = _measure(loaded, scratch, rounds, in_a_row, memory=memory, quiet=quiet)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    machine = describe_machine(chosen) | {"threads": torch.get_num_threads()}
    sys.stdout.write(table(result, size, machine))
    write_json(output / "inference.json", {"machine": machine, "size": list(size), "result": result})
    options = {"model": folder.path, "size": list(size), "rounds": rounds, "in_a_row": in_a_row}
    write_run(output, seed=seed, plan_hash=loaded.plan.hash, options=options)
    return result


def _measure(model: LoadedModel, scratch: Path, rounds: int, in_a_row: int, *, memory: bool, quiet: bool) -> Result:
    case = CaseWork(model, scratch)
    device = torch.device("cpu")  # by the clock: the parts wait for the device themselves
    works = {**case.parts(), **case.alone()}
    timings = dict(
        zip(works, time_side_by_side(list(works.values()), [rounds] * len(works), device, quiet=quiet), strict=True)
    )
    networks = network_works(model, case.batch)
    passes = dict(
        zip(
            networks,
            time_side_by_side(list(networks.values()), [2 * rounds] * 2, model.device, quiet=quiet),
            strict=True,
        )
    )
    own = [timings[name] for name in case.parts()]
    read, spline, linear = (timings[name] for name in ALONE)
    seconds = {name: t.wall if model.device.type == "cuda" else t.cpu for name, t in passes.items()}
    comparison = Comparison(
        Spread.of([b / a for a, b in zip(seconds["student"], seconds["paper's student"], strict=True)]),
        _times(own, [read, spline]),
        _times(own, [read, linear]),
    )
    return Result(
        parts={name: Spread.of(timings[name].cpu) for name in case.parts()},
        parts_wall={name: Spread.of(timings[name].wall) for name in case.parts()},
        alone={name: Spread.of(timings[name].cpu) for name in ALONE},
        network_ms={name: Spread.of(s).scaled(1e3) for name, s in seconds.items()},
        comparison=comparison,
        overlapped_s=run_through(model, scratch, in_a_row, overlap=True),
        sequential_s=run_through(model, scratch, in_a_row, overlap=False),
        memory_mb=_memory(model, scratch) if memory else None,
    )


def _times(ours: list[Timing], alone: list[Timing]) -> Spread:
    """Processor time of all parts of a round over that of the reference in the same round."""
    return Spread.of(
        [
            sum(a) / sum(b)
            for a, b in zip(
                zip(*(t.cpu for t in ours), strict=True), zip(*(t.cpu for t in alone), strict=True), strict=True
            )
        ]
    )


def _memory(model: LoadedModel, scratch: Path) -> float:
    wanted = PeakOfCase(model.path, model.device.type, scratch)
    return peak_memory_mb(wanted, model.device, torch.get_num_threads())


def table(result: Result, size: tuple[int, int, int], machine: Mapping[str, Any]) -> str:
    """The figures as text; medians with the range in brackets."""
    n = result.comparison.total.n
    lines = [
        f"a CT of {' x '.join(map(str, size))}, n = {n} rounds",
        f"{'part':<24}{'CPU s a case':>24}{'wall s a case':>24}",
    ]
    lines += [f"{name:<24}{s!s:>24}{result.parts_wall[name]!s:>24}" for name, s in result.parts.items()]
    lines.append(f"{'all':<24}{sum(s.median for s in result.parts.values()):>24.3g}")
    lines += ["", "alone (SimpleITK), CPU s: " + ", ".join(f"{name} {s}" for name, s in result.alone.items())]
    lines.append("one pass, ms: " + ", ".join(f"{name} {ms}" for name, ms in result.network_ms.items()))
    c = result.comparison
    lines += [
        f"network: {c.network} times faster than the paper's student; target ≥ {TARGET_NETWORK:g}: "
        f"{_verdict(c.network.median >= TARGET_NETWORK)}",
        f"all of a case: {c.total} times reading + resampling by B-splines; target ≤ {TARGET_TOTAL:g}: "
        f"{_verdict(c.total.median <= TARGET_TOTAL)}",
        f"all of a case: {c.total_linear} times reading + resampling linearly",
        f"in a row: {result.overlapped_s:.3g} s a case overlapping, {result.sequential_s:.3g} s one after the other",
    ]
    if result.memory_mb is not None:
        lines.append(f"peak memory of a case: {result.memory_mb:.0f} MB")
    return "\n".join([*lines, "", ", ".join(f"{k}: {v}" for k, v in machine.items())]) + "\n"


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this subject."""
    parser.add_argument("-m", "--model", type=Path, help="model folder; else the dataset's newest finished one")
    add_workspace_options(parser)
    parser.add_argument("--size", type=int, nargs=3, default=SIZE, metavar=("Z", "Y", "X"), help="voxels of the CT")
    parser.add_argument("--rounds", type=int, default=3, help="repeats")
    parser.add_argument("--in_a_row", type=int, default=4, help="CTs of the test of overlap")
    parser.add_argument("--no_memory", dest="memory", action="store_false", help="don't measure peak memory")


def program(**options: Any) -> int:
    """What the command does with its options."""
    z, y, x = options.pop("size")
    benchmark_inference(size=(z, y, x), **options)
    return 0
