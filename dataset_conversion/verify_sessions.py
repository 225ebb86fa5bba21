"""Checks of the folders of sessions: files that belong to no session and case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from reactkd_auto.dataset import Dataset
from reactkd_auto.dataset_conversion.verify_files import entries
from reactkd_auto.registration.files import SESSIONS, session_files
from reactkd_auto.verification import Problem


def check_session_folders(folder: Path, dataset: Dataset, images: str, with_files: Sequence[str]) -> Iterator[Problem]:
    """What lies in ``sessionsTr`` or ``sessionsTs`` and would never be read.

    Args:
        folder: A raw dataset.
        dataset: Its description.
        images: ``imagesTr`` or ``imagesTs``, whose sessions are looked at.
        with_files: Cases that have a base image.
    """
    sessions = folder / SESSIONS[images]
    known = {path for case in with_files for path in session_files(sessions, dataset, case)}
    names = [s.name for s in dataset.sessions]
    for entry in entries(sessions):
        if not entry.is_dir() or entry.name not in names:
            expected = f"folders of the sessions in dataset.json ({', '.join(names) or 'there are none'})"
            yield Problem(str(entry), "what belongs to no session", expected)
            continue
        ending = dataset.file_ending
        for path in entries(entry):
            if path not in known:
                expected = f"CASE_ct{ending} or CASE_regions{ending} of a case with a base image"
                yield Problem(str(path), "a file that belongs to no case", expected)
