from pathlib import Path

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.inference.inputs import find_cases, hash_files
from tests.builders import small_dataset

DATASET = small_dataset()


def _touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_base_images_are_found_with_and_without_a_channel_number(tmp_path: Path) -> None:
    folder = _touch(tmp_path / "in", "a_0000.nii.gz", "b.nii", "c_0000.nrrd", "d.mha", "notes.txt", ".hidden.nii")
    assert [c.case for c in find_cases(folder, DATASET, student_channels=("CT",))] == ["a", "b", "c", "d"]


def test_other_channels_are_left_aside_unless_the_student_takes_them(tmp_path: Path) -> None:
    folder = _touch(tmp_path / "in", "a_0000.nii.gz", "a_0001.nii.gz", "a_0002.nii.gz")
    (ct_only,) = find_cases(folder, DATASET, student_channels=("CT",))
    (with_fdg,) = find_cases(folder, DATASET, student_channels=("CT", "FDG"))
    assert (list(ct_only.channels), list(with_fdg.channels)) == ([0], [0, 1])


def test_a_number_that_is_no_channel_belongs_to_the_name(tmp_path: Path) -> None:
    folder = _touch(tmp_path / "in", "scan_2024.nii.gz", "scan_2025_0000.nii.gz")
    assert [c.case for c in find_cases(folder, DATASET, student_channels=("CT",))] == ["scan_2024", "scan_2025"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ((), "no image found"),
        (("readme.txt",), "no image found"),
        (("a b.nii.gz",), "may hold only letters"),
        (("a.nii.gz", "a_0000.nii.gz"), "expected one"),
    ],
)
def test_a_folder_that_cannot_be_meant_is_refused(tmp_path: Path, names: tuple[str, ...], sentence: str) -> None:
    folder = _touch(tmp_path / "in", *names)
    with pytest.raises(UserError, match=sentence):
        find_cases(folder, DATASET, student_channels=("CT",))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: not a folder"):
        find_cases(tmp_path / "nowhere", DATASET, student_channels=("CT",))


def test_region_maps_join_their_cases(tmp_path: Path) -> None:
    images = _touch(tmp_path / "in", "a_0000.nii.gz", "b_0000.nii.gz")
    maps = _touch(tmp_path / "maps", "a.nrrd", "other.nii.gz")
    a, b = find_cases(images, DATASET, student_channels=("CT",), regions=maps)
    assert (a.regions, b.regions) == (maps / "a.nrrd", None)


def test_an_empty_folder_of_region_maps_is_refused(tmp_path: Path) -> None:
    images, maps = _touch(tmp_path / "in", "a.nii.gz"), _touch(tmp_path / "maps")
    with pytest.raises(UserError, match="no region map found"):
        find_cases(images, DATASET, student_channels=("CT",), regions=maps)


def test_the_hash_follows_every_file_of_a_case(tmp_path: Path) -> None:
    images, maps = _touch(tmp_path / "in", "a.nii.gz"), _touch(tmp_path / "maps", "a.nii.gz")

    def current() -> str:
        (case,) = find_cases(images, DATASET, student_channels=("CT",), regions=maps)
        return hash_files(case)

    first = current()
    assert current() == first
    (maps / "a.nii.gz").write_text("drawn anew")
    second = current()
    (images / "a.nii.gz").write_text("another scan")
    assert len({first, second, current()}) == 3
