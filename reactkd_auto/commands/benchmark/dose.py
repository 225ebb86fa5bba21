"""`reactkd_benchmark dose`: dose degradation against forward projection and filtered back-projection."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reactkd_auto.device import choose_device
from reactkd_auto.dose import DoseCalibration, calibrate, degrade, noise_fields
from reactkd_auto.dose.degrade import added_noise
from reactkd_auto.dose.engine import NoiseEngine
from reactkd_auto.dose.fbp import fbp_engine
from reactkd_auto.dose.parameters import preset
from reactkd_auto.dose.synthesis import noise_model
from reactkd_auto.dose.volumes import axial_stack
from reactkd_auto.jsonio import write_json
from reactkd_auto.provenance import write_run

from .dose_references import Insertion, installed_libraries
from .measuring import (
    Preparation,
    Spread,
    Work,
    copy_bytes_per_second,
    describe_machine,
    peak_memory_mb,
    time_side_by_side,
)
from .phantom import FIELD_MM, trunk
from .rows import Ratio, Row, table
from .traffic import bytes_moved

DESCRIPTION = """\
Dose degradation against forward projection and filtered back-projection, on one core.
Slices per second and memory of the synthesis by FFTs, of the package's own filtered back-projection, and of noise
insertion with scikit-image and, where it is installed, ASTRA. Prints a table, writes dose.json and run.json.

example: reactkd_benchmark dose -o out"""
DOSES: tuple[float, ...] = (0.5, 0.25, 0.1, 0.05)
RANKS = (8, 12, 16)
"""Where a CT needs fewer directions, that many."""
_ONE_DOSE: tuple[float, ...] = (0.1,)
_SLICE_MM = 2.0
_SLICES = {"cpu": 4, "cuda": 300}
_SLOW_ROUNDS = 3
_TARGET_RATIO, _TARGET_RATIO_SHARED = 60.0, 100.0


@dataclass(frozen=True)
class Scene:
    """What is degraded: (z, y, x) HU, (z, y, x) mm and the scan."""

    volume: NDArray[Any]
    spacing: tuple[float, float, float]
    calibration: DoseCalibration


@dataclass(frozen=True)
class Synthesis:
    """One of the package's engines on slices that are on the device already; set-up is not timed.

    Attributes:
        scene, doses, device, seed: What, at which doses, where, and which random numbers.
        rank: FFTs a slice; None for filtered back-projection.
    """

    scene: Scene
    doses: tuple[float, ...]
    device: str
    seed: int
    rank: int | None

    def prepare(self) -> Work:
        """A function that draws the noise of every slice at every dose."""
        scene, device = self.scene, torch.device(self.device)
        common: dict[str, Any] = {"spacing": scene.spacing, "doses": self.doses, "device": device}
        engine: NoiseEngine = (
            fbp_engine(scene.volume, scene.calibration, **common)
            if self.rank is None
            else noise_model(scene.volume, scene.calibration, largest_rank=self.rank, **common)
        )
        on_device: Any = torch.from_numpy(scene.volume).to(device)
        engine = dataclasses.replace(engine, volume=on_device)

        def work() -> None:
            for _ in added_noise(engine, self.doses, (self.seed, "")):
                pass

        return work


@dataclass(frozen=True)
class WholeFunction:
    """`degrade` or `noise_fields` as called: set-up, transfers and rounding included."""

    scene: Scene
    doses: tuple[float, ...]
    device: str
    seed: int
    function: str

    def prepare(self) -> Work:
        """A call of the function."""
        volume, calibration = self.scene.volume, self.scene.calibration
        common: dict[str, Any] = {"spacing": self.scene.spacing, "device": self.device}
        if self.function == "degrade":
            return lambda: degrade(volume, self.doses, calibration, self.seed, **common)
        return lambda: noise_fields(volume, calibration, seed=self.seed, doses=self.doses, **common)


@dataclass(frozen=True)
class _Entry:
    method: str
    preparation: Preparation
    device: str
    slices: int
    doses: int
    slow: bool = False
    counted: bool = False


def benchmark_dose(
    output: Path,
    *,
    image: Path | None = None,
    size: int = 512,
    slices: int | None = None,
    rounds: int = 5,
    views: int = 720,
    all_cores: bool = False,
    memory: bool = True,
    device: str = "auto",
    seed: int = 0,
    quiet: bool = False,
) -> list[Row]:
    """Measure, print a table, write ``dose.json`` and ``run.json``.

    Args:
        output: Folder.
        image: CT to take slices from; else a phantom of ellipses.
        size: Rows and columns of the phantom.
        slices: A repeat; None for 4 on the processor, 300 on CUDA.
        rounds: Repeats; of the slow methods at most three, of one slice.
        views: Of the libraries' projections over π.
        all_cores: Time with all cores, too.
        memory: Measure peak memory, each method in a process of its own.
        device: Of the FFTs; filtered back-projection and the libraries always run on the processor.
        seed: Of the noise.
        quiet: No progress bar.

    Returns:
        The rows of the table.

    Raises:
        UserError: The image cannot be read, is no CT, or there is no such device.
    """
    chosen = choose_device(device)
    depth = slices or _SLICES[chosen.type]
    scene = _scene_of(image, depth) if image else _phantom(size, depth)
    entries = _entries(scene, chosen.type, views, seed)
    before = torch.get_num_threads()
    rows = []
    try:
        for threads in sorted({1, os.cpu_count() or 1}) if all_cores else [1]:
            torch.set_num_threads(threads)
            rows += _measure([e for e in entries if threads == 1 or not e.slow], rounds, memory, quiet)
        torch.set_num_threads(1)
        bandwidth = copy_bytes_per_second(chosen)
    finally:
        torch.set_num_threads(before)
    machine, ratios = describe_machine(chosen), _ratios(rows)
    sys.stdout.write(table(rows, ratios, machine, bandwidth))
    write_json(
        output / "dose.json",
        {"machine": machine, "copy_bytes_per_second": bandwidth, "rows": rows, "ratios": ratios},
    )
    options = {"image": image is not None, "shape": scene.volume.shape, "rounds": rounds, "views": views}
    write_run(output, seed=seed, plan_hash=None, options=options)
    return rows


def _phantom(size: int, slices: int) -> Scene:
    calibration = preset(reason="phantom of the benchmark", slice_mm=_SLICE_MM, ellipse_mm=None)
    return Scene(trunk(slices, size), (_SLICE_MM, FIELD_MM / size, FIELD_MM / size), calibration)


def _scene_of(image: Path, slices: int) -> Scene:
    """Evenly spaced axial slices of a CT, calibrated on all of it."""
    from reactkd_auto.imageio import read_image

    ct = read_image(image)
    stack, calibration = axial_stack(ct), calibrate(ct)
    chosen = np.unique(np.linspace(0, len(stack.array) - 1, slices).round().astype(int))
    flux = tuple(calibration.slice_flux(int(z)) for z in chosen)
    volume = np.ascontiguousarray(stack.array[chosen])
    return Scene(volume, stack.spacing, dataclasses.replace(calibration, flux=flux))


def _entries(scene: Scene, device: str, views: int, seed: int) -> list[_Entry]:
    n, volume = len(scene.volume), scene.volume
    entries = []
    for doses in (_ONE_DOSE, DOSES):
        model = noise_model(volume, scene.calibration, spacing=scene.spacing, doses=doses, device=torch.device(device))
        for r in sorted({min(r, model.rank) for r in RANKS}):
            engine = Synthesis(scene, doses, device, seed, r)
            entries.append(_Entry(f"fft, r = {r}", engine, device, n, len(doses), counted=True))
    for function in ("degrade", "noise_fields"):
        whole = WholeFunction(scene, DOSES, device, seed, function)
        entries.append(_Entry(f"{function}()", whole, device, n, len(DOSES)))
    middle = dataclasses.replace(scene, volume=volume[n // 2 : n // 2 + 1])
    entries.append(_Entry("fbp", Synthesis(middle, _ONE_DOSE, "cpu", seed, None), "cpu", 1, 1, slow=True))
    hu, libraries = middle.volume[0].astype(np.float32), installed_libraries()
    for library, doses in (*((name, _ONE_DOSE) for name in libraries), (libraries[-1], DOSES)):
        insertion = Insertion(library, hu, scene.spacing[1], views, doses, seed)
        entries.append(_Entry(library, insertion, "cpu", 1, len(doses), slow=True))
    return entries


def _measure(entries: list[_Entry], rounds: int, memory: bool, quiet: bool) -> list[Row]:
    threads, rows = torch.get_num_threads(), []
    for device in dict.fromkeys(entry.device for entry in entries):
        here = [entry for entry in entries if entry.device == device]
        works = [entry.preparation.prepare() for entry in here]
        repeats = [min(rounds, _SLOW_ROUNDS) if entry.slow else rounds for entry in here]
        timings = time_side_by_side(works, repeats, torch.device(device), quiet=quiet)
        for entry, work, timing in zip(here, works, timings, strict=True):
            rows.append(
                Row(
                    entry.method,
                    entry.device,
                    entry.doses,
                    threads,
                    Spread.of(timing.cpu).scaled(1e3 / entry.slices),
                    Spread.of(timing.wall).scaled(1e3 / entry.slices),
                    peak_memory_mb(entry.preparation, torch.device(device), threads) if memory else None,
                    bytes_moved(work) / entry.slices if entry.counted else None,
                )
            )
    return rows


def _ratios(rows: list[Row]) -> list[Ratio]:
    """The FFTs against the last library on one core: at one dose, and sharing its projection among the same doses."""
    reference = {row.doses: row for row in rows if row.method == installed_libraries()[-1]}
    ratios = []
    for row in rows:
        if row.method.startswith("fft") and row.threads == 1:
            target = _TARGET_RATIO if row.doses == 1 else _TARGET_RATIO_SHARED
            ratios.append(Ratio.of(reference[1], row, target))
            if row.doses > 1:
                ratios.append(Ratio.of(reference[row.doses], row, None))
    return ratios


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this subject."""
    parser.add_argument("-i", "--image", type=Path, help="CT to take slices from; else a phantom of ellipses")
    parser.add_argument("--size", type=int, default=512, help="rows and columns of the phantom")
    parser.add_argument("--slices", type=int, help="a repeat (default: 4, on CUDA 300)")
    parser.add_argument("--rounds", type=int, default=5, help="repeats; of the slow methods at most three")
    parser.add_argument("--views", type=int, default=720, help="of the libraries' projections over π")
    parser.add_argument("--all_cores", action="store_true", help="time with all cores, too")
    parser.add_argument("--no_memory", dest="memory", action="store_false", help="don't measure peak memory")


def program(**options: Any) -> int:
    """What the command does with its options."""
    benchmark_dose(**options)
    return 0
