"""The cases of a tree of DICOM files: each CT series is one, with the PET of its frame of reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from reactkd_auto.dataset import ChannelRole, Dataset
from reactkd_auto.imageio.dicom_tree import Series, Tree
from reactkd_auto.imageio.found_series import FoundSeries, find_series
from reactkd_auto.imageio.sources import ImageSource
from reactkd_auto.inference.inputs import InputCase

MODALITIES: dict[ChannelRole, str] = {"ct": "CT", "pet_suv": "PT", "mr": "MR"}


def dicom_cases(
    root: Path, dataset: Dataset, channels: Sequence[int], *, exclude: Collection[Path], quiet: bool
) -> list[InputCase]:
    """A case for each series of the base channel's modality, named `series_name_of` its SeriesInstanceUID.

    Of the other channels that are wanted, a PET or MR in the same frame of reference is taken if one alone can be
    meant: the only series of its modality, or the one whose description or tracer holds the channel's name; a PET with
    attenuation correction goes before one without. Else it is left out, and a note says so.

    A folder in which nothing but damaged files lies is a case of its own, so that it is missed by nobody.
    """
    modality = MODALITIES.get(dataset.base.role, "")
    found, tree = find_series(root, modality, exclude=exclude, quiet=quiet)
    return [_case(each, tree, dataset, channels) for each in found]


def _case(found: FoundSeries, tree: Tree, dataset: Dataset, channels: Sequence[int]) -> InputCase:
    sources = {0: found.source}
    if found.fault or found.series is None:
        return InputCase(found.name, sources, fault=found.fault)
    notes = []
    for channel in (c for c in channels if c > 0):
        series, note = _beside(found.series, tree, dataset, channel, channels)
        notes += [note] if note else []
        if series is not None:
            sources[channel] = ImageSource(tuple(sorted(series.files)), dicom=True)
    return InputCase(found.name, sources, notes=tuple(notes))


def _beside(
    base: Series, tree: Tree, dataset: Dataset, channel: int, channels: Sequence[int]
) -> tuple[Series | None, str]:
    """The series for a channel, or None with the reason; without a reason where there is simply none."""
    wanted = dataset.channels[channel]
    kind = MODALITIES.get(wanted.role)
    here = [s for s in tree.series if s.kind == kind and s.patient == base.patient and s.frames & base.frames]
    here = [s for s in here if s.corrected] or here
    named = [s for s in here if any(wanted.name.lower() in text.lower() for text in s.texts)]
    rivals = [c for c in channels if c > 0 and dataset.channels[c].role == wanted.role]
    fitting = named or (here if len(rivals) == 1 else [])
    if len(fitting) == 1:
        return (fitting[0], "")
    if not here:
        return None, ""
    return None, f"{wanted.name} is left out: {len(here)} series of its kind lie beside the image, none alone fits."
