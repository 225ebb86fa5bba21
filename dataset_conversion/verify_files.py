"""Checks of a part's files by their names and headers: rows without files, files without rows, orphans, sidecars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from reactkd_auto.dataset import Dataset, LabelledCase, channel_path, sidecar_path
from reactkd_auto.errors import UserError
from reactkd_auto.imageio.reading import direction_of, open_image
from reactkd_auto.jsonio import read_json
from reactkd_auto.verification import CaseReport, Problem


def check_rows_have_files(
    folder: Path, dataset: Dataset, names: tuple[str, str, str], rows: list[LabelledCase], with_files: list[str]
) -> Iterable[Problem]:
    """Rows of the label table without a base image, and base images without a row."""
    images, _, table = names
    in_table = {r.case for r in rows}
    for case in sorted(in_table - set(with_files)):
        path = channel_path(folder / images, case, 0, dataset.file_ending)
        yield Problem(str(path), "no such file", f"the base image of case {case!r} in {table}")
    for case in sorted(set(with_files) - in_table):
        path = channel_path(folder / images, case, 0, dataset.file_ending)
        yield Problem(str(path), f"an image without a row in {table}", "a row (the label may be empty)")


def check_orphans(
    folder: Path, dataset: Dataset, names: tuple[str, str, str], with_files: list[str]
) -> Iterable[Problem]:
    """Files that belong to no case and channel, and region maps without images."""
    images, regions, _ = names
    ending = dataset.file_ending
    known = {f"{c}_{i:04d}{ending}" for c in with_files for i in range(len(dataset.channels))}
    known |= {sidecar_path(folder / images, c).name for c in with_files}
    for path in entries(folder / images):
        if path.name not in known:
            expected = f"CASE_NNNN{ending} of a case with a base image, NNNN ≤ {len(dataset.channels) - 1:04d}"
            yield Problem(str(path), "a file that belongs to no case and channel", expected)
    known = {f"{c}{ending}" for c in with_files}
    for path in entries(folder / regions):
        if path.name not in known:
            yield Problem(str(path), "a region map without images", f"CASE{ending} of a case in {images}")


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, in order, but for what is hidden; nothing where there is no folder."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def check_sidecars(folder: Path, names: tuple[str, str, str], with_files: Sequence[str]) -> Iterable[Problem]:
    """What a scanner said about a CT must be a JSON object, where it is there."""
    for case in with_files:
        path = sidecar_path(folder / names[0], case)
        if not path.is_file():
            continue
        expected = "a JSON object about the acquisition, or no file"
        try:
            document = read_json(path)
        except UserError:
            yield Problem(str(path), "a sidecar that is no JSON", expected)
        else:
            if not isinstance(document, dict):
                yield Problem(str(path), f"a sidecar that holds a {type(document).__name__}", expected)


def left_handed(folder: Path, dataset: Dataset, images: str, reports: Sequence[CaseReport]) -> list[str]:
    """Images without a fault whose axes are left-handed (as many programs store them); reading turns them."""
    found = []
    for report in reports:
        for channel in report.channels:
            path = channel_path(folder / images, report.case, channel, dataset.file_ending)
            if np.linalg.det(direction_of(open_image(path)[0])) < 0:
                found.append(f"{images}/{path.name}")
    return found
