"""What `reactkd_benchmark preprocess` times: one case by us, and the same case by SimpleITK alone."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import SimpleITK as sitk

from reactkd_auto.cases import write_case
from reactkd_auto.dataset import Dataset, LabelledCase, channel_path, region_path
from reactkd_auto.imageio import load_case
from reactkd_auto.jsonio import write_json
from reactkd_auto.plan import Plan
from reactkd_auto.planning.fingerprint import input_hash, measure_case
from reactkd_auto.preprocessing import Grid, preprocess_case
from reactkd_auto.preprocessing.coarse import whole_grid


@dataclass
class Steps:
    """Processor seconds of each step of one case, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add what happens meanwhile to a step."""
        before = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - before


@dataclass(frozen=True)
class Source:
    """The cases: a raw dataset and its plan.

    Attributes:
        raw: Folder.
        dataset: Its description.
        plan: Made of it; its dose fields are left out.
    """

    raw: Path
    dataset: Dataset
    plan: Plan


@dataclass(frozen=True)
class Measured:
    """One case.

    Attributes:
        ours, reference: Processor seconds by step.
    """

    case: str
    ours: dict[str, float]
    reference: dict[str, float]


def measure(row: LabelledCase, source: Source) -> Measured:
    """Do a case both ways, one after the other."""
    with TemporaryDirectory() as folder:
        ours = Steps()
        grid = preprocess(row, source, Path(folder), ours)
        reference = Steps()
        _plainly(row.case, source, grid, Path(folder), reference)
    return Measured(row.case, ours.seconds, reference.seconds)


def preprocess(row: LabelledCase, source: Source, folder: Path, steps: Steps) -> Grid:
    """All that `reactkd_plan_and_preprocess` does with a case, its dose apart; the whole CT's grid as planned."""
    raw, dataset = source.raw, source.dataset
    plan = dataclasses.replace(source.plan, dose=dataclasses.replace(source.plan.dose, enabled=False))
    with steps.timed("hash"):
        files = input_hash(raw, dataset, row.case)
    with steps.timed("read and check"):
        images = load_case(raw, dataset, row.case)
    with steps.timed("measure"):
        write_json(folder / "measured.json", measure_case(images, dataset, row, input_hash=files))
    with steps.timed("read again"):
        images = load_case(raw, dataset, row.case)
    with steps.timed("preprocess"):
        done = preprocess_case(images, plan=plan, dataset=dataset, patient=row.patient, label=row.label)
    with steps.timed("write"):
        write_case(folder, done)
    return whole_grid(Grid.of(images.images[0]), plan.spacing_mm)


def preprocess_only(row: LabelledCase, source: Source) -> None:
    """`preprocess` into a folder that goes."""
    with TemporaryDirectory() as folder:
        preprocess(row, source, Path(folder), Steps())


def _plainly(case: str, source: Source, grid: Grid, folder: Path, steps: Steps) -> None:
    """SimpleITK reads each channel, resamples it (cubic B-spline, float32) over the whole CT, writes ``.nii.gz``."""
    dataset = source.dataset
    indices = range(len(dataset.channels))
    channels = [channel_path(source.raw / "imagesTr", case, i, dataset.file_ending) for i in indices]
    for path in filter(Path.is_file, channels):
        _resample_file(path, grid, folder, steps, kind=sitk.sitkFloat32, interpolator=sitk.sitkBSpline)
    regions = region_path(source.raw / "regionsTr", case, dataset.file_ending)
    if regions.is_file():
        _resample_file(regions, grid, folder, steps, kind=sitk.sitkUInt8, interpolator=sitk.sitkNearestNeighbor)


def _resample_file(path: Path, grid: Grid, folder: Path, steps: Steps, *, kind: int, interpolator: int) -> None:
    with steps.timed("read"):
        image = sitk.ReadImage(str(path), kind)
    with steps.timed("resample"):
        placement = (list(grid.origin_mm), list(grid.spacing_mm[::-1]), list(grid.direction))
        done = sitk.Resample(image, list(grid.size[::-1]), sitk.Transform(), interpolator, *placement, 0.0, kind)
    with steps.timed("write"):
        sitk.WriteImage(done, str(folder / f"{path.name}.nii.gz"))
