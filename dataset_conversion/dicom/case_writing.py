"""One case: its series read, checked, and written as files of the raw dataset; what is finished is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from reactkd_auto.dataset import ChannelRole, Dataset, channel_path, region_path, sidecar_path
from reactkd_auto.dataset_conversion.case_records import make_once, source_key
from reactkd_auto.dataset_conversion.dicom.acquisition import read_acquisition
from reactkd_auto.dataset_conversion.dicom.choices import Choices
from reactkd_auto.dataset_conversion.dicom.regions import region_map
from reactkd_auto.dataset_conversion.dicom.selection import CaseSources
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import ImageFault, check_units, overlap_fraction, write_image
from reactkd_auto.imageio.dicom import read_series
from reactkd_auto.imageio.dicom_tree import Series
from reactkd_auto.imageio.raw_case import SMALLEST_OVERLAP
from reactkd_auto.jsonio import write_json

_METHOD = 2
"""To be raised when the same files would give another case, so that finished cases are converted anew."""


@dataclass(frozen=True)
class CaseWriter:
    """Converts one case after another; sent to worker processes.

    Attributes:
        folder: Of the dataset.
        dataset: What it holds.
        choices: Of the options.
        skip_bad_channels: Whether a case is kept without a PET or MR that can't be used.
    """

    folder: Path
    dataset: Dataset
    choices: Choices
    skip_bad_channels: bool

    def __call__(self, sources: CaseSources) -> dict[str, str]:
        """Write a case, unless a finished one was made of the same files by the same choices.

        Returns:
            Why channels are missing, by channel name; empty unless bad channels are skipped.

        Raises:
            UserError: A series, a structure or a channel that can't be used; the case then has no files.
        """
        key = self._key(sources)
        return make_once(self.folder, sources.case, self.dataset.file_ending, key, lambda: self.write(sources))

    def write(self, sources: CaseSources) -> dict[str, str]:
        """Write a case's files, the base image last."""
        base = _read(sources.base, "ct")
        regions = region_map(sources.structures, sources.base.frames, self.choices.regions, base)
        skipped: dict[str, str] = {}
        for index, channel in enumerate(self.dataset.channels[1:], start=1):
            try:
                image = self._channel(sources, index, channel.role, base)
            except UserError as error:
                if not self.skip_bad_channels:
                    raise
                skipped[channel.name] = str(error)
                continue
            if image is not None:
                write_image(self._path(sources.case, index), image)
        if regions is not None:
            write_image(region_path(self.folder / "regionsTr", sources.case, self.dataset.file_ending), regions)
        if acquisition := read_acquisition(sources.base.files):
            write_json(sidecar_path(self.folder / "imagesTr", sources.case), acquisition)
        write_image(self._path(sources.case, 0), _compact(base))
        return skipped

    def _channel(self, sources: CaseSources, index: int, role: ChannelRole, base: sitk.Image) -> sitk.Image | None:
        if index in sources.unusable:
            raise UserError(sources.unusable[index])
        if index not in sources.channels:
            return None
        series = sources.channels[index]
        image = _read(series, role)
        share = overlap_fraction(base, image)
        if share < SMALLEST_OVERLAP:
            raise ImageFault(
                series.files[0].parent,
                f"an image that covers {100 * share:.0f} % of the CT in space",
                f"at least {100 * SMALLEST_OVERLAP:.0f} %",
            )
        return _compact(image)

    def _path(self, case: str, channel: int) -> Path:
        return channel_path(self.folder / "imagesTr", case, channel, self.dataset.file_ending)

    def _key(self, sources: CaseSources) -> str:
        """Hash of what the case is made of: the source files, the choices, our method."""
        used = [sources.base, *(s for _, s in sorted(sources.channels.items())), *sources.structures]
        files = [p for s in used for p in s.files]
        parts = (_METHOD, sorted(sources.channels), self.choices, sources.unusable, self.skip_bad_channels)
        return source_key(files, *parts)


def _read(series: Series, role: ChannelRole) -> sitk.Image:
    image = read_series(series.files)
    check_units(image, role, series.files[0].parent)
    return image


def _compact(image: sitk.Image) -> sitk.Image:
    """Integers of 16 bits where that loses nothing (judged slice by slice, to spare memory)."""
    values = sitk.GetArrayViewFromImage(image)
    limits = np.iinfo(np.int16)
    if values.min() < limits.min or values.max() > limits.max:
        return image
    lossless = all(np.array_equal(plane, np.round(plane)) for plane in values)
    return sitk.Cast(image, sitk.sitkInt16) if lossless else image
