"""Cohorts that come as NIfTI: every case's files are checked where they lie, then copied byte by byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reactkd_auto.dataset import Dataset, LabelledCase, channel_path, region_path
from reactkd_auto.dataset_conversion.case_records import make_once, source_key
from reactkd_auto.dataset_conversion.cohort import Conversion, write_cohort
from reactkd_auto.dataset_conversion.copying import copy_once, safe_case
from reactkd_auto.dataset_conversion.opening import open_cohort
from reactkd_auto.errors import UserError
from reactkd_auto.imageio.raw_case import examine_files


@dataclass(frozen=True)
class NiftiCase:
    """A case and its files, which need not exist: what is missing is reported.

    Attributes:
        case, patient: Their names.
        label: Class index, or None for an ungraded case.
        images: Files by channel index.
        regions: The region map.
    """

    case: str
    patient: str
    label: int | None
    images: dict[int, Path]
    regions: Path


@dataclass(frozen=True)
class NiftiWriter:
    """Converts one case after another; sent to worker processes."""

    folder: Path
    dataset: Dataset

    def __call__(self, source: NiftiCase) -> dict[str, str]:
        """Check and copy a case, unless it is finished.

        Raises:
            ImageFault: The first fault of its files (see `examine_files`); the case then has no files.
        """
        files = [p for _, p in sorted(source.images.items())] + [source.regions]
        key = source_key(
            (p for p in files if p.exists()), [str(p) for p in files], self.dataset.channels, self.dataset.regions
        )
        return make_once(self.folder, source.case, self.dataset.file_ending, key, lambda: self._write(source))

    def _write(self, source: NiftiCase) -> dict[str, str]:
        _, faults = examine_files(source.case, self.dataset, source.images, source.regions)
        if faults:
            raise faults[0]
        ending = self.dataset.file_ending
        copy_once(source.regions, region_path(self.folder / "regionsTr", source.case, ending))
        for channel, path in sorted(source.images.items(), reverse=True):  # the base image last
            copy_once(path, channel_path(self.folder / "imagesTr", source.case, channel, ending))
        return {}


def convert_nifti(
    source: Path,
    dataset: Dataset,
    cases: Sequence[NiftiCase],
    *,
    expected: str,
    workspace: Path | None,
    id: int | None,
    options: Mapping[str, Any],
    workers: int | None,
    quiet: bool,
) -> Conversion:
    """Convert a cohort; a case that can't be made is reported, the others are finished, finished ones are kept.

    Args:
        source: Folder of the cohort.
        dataset: What the result holds.
        cases: All cases.
        expected: What should lie in ``source``, for the message when there are no cases.
        workspace, id, workers, quiet: As all converters have them.
        options: Other options that decide what the result is.

    Raises:
        UserError: No cases, a case twice or with an unsafe name, a folder with cases made with other options.
    """
    if not cases:
        raise UserError(f"{source}: no cases, expected {expected}.")
    seen: dict[str, Path] = {}
    for case in cases:
        path = case.images[0]
        safe_case(path, case.case)
        if case.case in seen:
            raise UserError(f"{path}: case {case.case} lies also at {seen[case.case]}, expected each case once.")
        seen[case.case] = path
    folder = open_cohort(workspace, dataset.name, id, {"source": Path(source).resolve(), **options})
    labelled = [LabelledCase(c.case, c.patient, c.label) for c in cases]
    return write_cohort(
        folder,
        dataset,
        labelled,
        cases,
        NiftiWriter(folder, dataset),
        failures={},
        options=options,
        workers=workers,
        quiet=quiet,
    )
