"""Times, peak memory and the machine they were taken on."""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import torch

from reactkd_auto.progress import track

Work = Callable[[], object]


class Preparation(Protocol):
    """Something that can be sent to another process and made into work there."""

    def prepare(self) -> Work:
        """Everything that is done once; the work itself is what is measured."""
        ...


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat of one piece of work.

    Attributes:
        cpu: Of all threads of this process; what others compute beside it disturbs it least.
        wall: By the clock; on CUDA between two events of the stream.
    """

    cpu: tuple[float, ...]
    wall: tuple[float, ...]


@dataclass(frozen=True)
class Spread:
    """Median and range of n values."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def scaled(self, factor: float) -> Spread:
        """Of the values times a positive factor."""
        return Spread(self.median * factor, self.low * factor, self.high * factor, self.n)

    def __str__(self) -> str:
        return f"{_short(self.median)} ({_short(self.low)}–{_short(self.high)})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def time_side_by_side(
    works: Sequence[Work], repeats: Sequence[int], device: torch.device, *, quiet: bool = True
) -> list[Timing]:
    """Time each piece of work once a round, so that a busy machine disturbs all of them alike.

    Args:
        works: What to do, the next one while the one before may still run on the device.
        repeats: Of each; the first rounds hold all of them. Each is done once before, untimed.
        device: On CUDA wall times are between events.
        quiet: No progress bar.
    """
    for work in track(works, what="once untimed", quiet=quiet):
        work()
    stopwatch = _event_seconds if device.type == "cuda" else _clock_seconds
    measured: list[list[tuple[float, Callable[[], float]]]] = [[] for _ in works]
    for round_ in track(range(max(repeats)), what="rounds", quiet=quiet):
        for work, wanted, times in zip(works, repeats, measured, strict=True):
            if round_ < wanted:
                times.append(stopwatch(work))
    return [Timing(tuple(cpu for cpu, _ in times), tuple(wall() for _, wall in times)) for times in measured]


def _clock_seconds(work: Work) -> tuple[float, Callable[[], float]]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu, lambda: wall


def _event_seconds(work: Work) -> tuple[float, Callable[[], float]]:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    cpu = time.process_time()
    start.record()
    work()
    end.record()
    cpu = time.process_time() - cpu

    def wall() -> float:
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    return cpu, wall


def copy_bytes_per_second(device: torch.device, rounds: int = 9) -> Spread:
    """Bytes read and written per second while a large tensor is copied: the bandwidth within reach."""
    size = 2**30 if device.type == "cuda" else 2**26
    source = torch.zeros(size // 4, device=device)
    target = torch.empty_like(source)
    (timing,) = time_side_by_side([lambda: target.copy_(source)], [rounds], device)
    return Spread.of([2 * size / s for s in timing.wall])


def peak_memory_mb(preparation: Preparation, device: torch.device, threads: int) -> float:
    """Megabytes (10⁶ bytes) that preparing and doing the work once takes at most.

    On CUDA the allocator's peak. Otherwise in a process of its own, by the peak of its resident memory above what the
    imported libraries take: trackers of Python's memory don't see torch's.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        preparation.prepare()()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_report_peak, args=(there, preparation, threads))
    process.start()
    there.close()
    try:
        return float(here.recv())
    finally:
        process.join()


def _report_peak(answer: Connection, preparation: Preparation, threads: int) -> None:
    torch.set_num_threads(threads)
    before = _peak_resident_mb()
    preparation.prepare()()
    answer.send(_peak_resident_mb() - before)


def _peak_resident_mb() -> float:
    """Peak resident memory of this process, 10⁶ bytes.

    Linux's own figure of the program that runs; that of `resource` includes the parent's before the child started.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (t for t in status.read_text(encoding="ascii").splitlines() if t.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if platform.system() == "Darwin" else peak * 1024 / 1e6


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Processor, cores, load of the last minute (of others, too) and device."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
