"""Faults of a raw case that only show when its images are laid onto one another, or in the files of its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reactkd_auto.dataset import Dataset, channel_path
from reactkd_auto.imageio import ImageFault, Problem, RawCase

from .alignment import is_misaligned, measure_alignment, misalignment
from .files import SESSIONS, read_session
from .window import marked_voxels


def check_registration(folder: Path, dataset: Dataset, raw: RawCase, images: str) -> Iterator[Problem]:
    """Sessions whose CT is missing or faulty, and channels that do not lie on the CT whose frame they share.

    Args:
        folder: A raw dataset.
        dataset: Its description.
        raw: A case of it, as far as it could be read.
        images: ``imagesTr`` or ``imagesTs``.
    """
    for session in dataset.sessions:
        if any(dataset.channel_index(name) in raw.images for name in session.channels):
            try:
                read_session(folder / SESSIONS[images], dataset, session, raw.case)
            except ImageFault as fault:
                expected = f"{fault.problem.expected}: the CT of {' and '.join(session.channels)}, or its region map"
                yield Problem(fault.problem.file, fault.problem.found, expected)
    if dataset.base.role == "ct" and 0 in raw.images:
        yield from _out_of_step(folder / images, dataset, raw)


def _out_of_step(images: Path, dataset: Dataset, raw: RawCase) -> Iterator[Problem]:
    marked = marked_voxels(raw.regions, dataset)
    for index in sorted(set(raw.images) - {0}):
        if dataset.session_of(index) is not None:
            continue
        channel = dataset.channels[index]
        found = measure_alignment(raw.images[0], raw.images[index], channel.role, marked=marked)
        if found is not None and is_misaligned(found):
            path = channel_path(images, raw.case, index, dataset.file_ending)
            what = misalignment("an image that", found).removesuffix(".")
            yield Problem(str(path), what, f"{channel.name} in the place of the CT, or a session with a CT of its own")
