"""What would be trained on and tested on: patients and cases in both parts, and copies of one image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reactkd_auto.dataset import Dataset, LabelledCase, channel_path, read_labels
from reactkd_auto.errors import UserError
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.imageio import ImageFault, list_cases, read_image, to_canonical
from reactkd_auto.imageio.reading import open_image
from reactkd_auto.verification import voxel_hash


def check_test_part(raw: Path, dataset: Dataset, rows: Sequence[LabelledCase]) -> None:
    """Check that no patient and no case is in the training and in the test part.

    Raises:
        UserError: One is, by ``labelsTs.csv`` or by the names in ``imagesTs``; or that table can't be read.
    """
    table = raw / "labelsTs.csv"
    tested = read_labels(table, dataset.classes) if table.is_file() else []
    shared = sorted({r.patient for r in rows} & {r.patient for r in tested})
    if shared:
        raise UserError(f"{table}: patient {shared[0]!r} of labelsTr.csv, expected a patient in one part only.")
    cases = {r.case for r in rows} & {*(r.case for r in tested), *list_cases(raw, dataset, images="imagesTs")}
    if cases:
        raise UserError(f"{raw / 'imagesTs'}: case {min(cases)!r}, also in imagesTr, expected a case in one part only.")


def find_copies(cases: Sequence[CaseFingerprint], raw: Path, dataset: Dataset) -> dict[str, str]:
    """Cases with an image that has the voxels of an earlier case's or of a test case's, and why each is left out.

    Shapes (binary masks) are not compared: two of them may be alike.
    """
    first = {} if dataset.base.role == "binary_mask" else _tested(cases, raw, dataset)
    copies: dict[str, str] = {}
    for case in cases:
        for name, voxels in sorted(case.voxel_hashes.items()):
            index = dataset.channel_index(name)
            if dataset.channels[index].role == "binary_mask":
                continue
            path = channel_path(raw / "imagesTr", case.case, index, dataset.file_ending)
            if voxels in first:
                copies[case.case] = f"{path}: the same voxels as {first[voxels]}, expected another image."
            first.setdefault(voxels, f"imagesTr/{path.name}")
    return copies


def _tested(cases: Sequence[CaseFingerprint], raw: Path, dataset: Dataset) -> dict[str, str]:
    """Test images by their voxels, as far as a training CT is of the same size (others can be no copies of it)."""
    sizes = {tuple(sorted(c.size)) for c in cases}
    found = {}
    for case in list_cases(raw, dataset, images="imagesTs"):
        path = channel_path(raw / "imagesTs", case, 0, dataset.file_ending)
        try:
            if tuple(sorted(open_image(path)[1][:3])) in sizes:
                found[voxel_hash(to_canonical(read_image(path)))] = f"imagesTs/{path.name}"
        except ImageFault:  # the verifier's matter; it can't be tested on
            continue
    return found
