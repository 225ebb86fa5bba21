"""Which cases lie at a place: files and DICOM series of any nesting, single files, zips."""

import shutil
import zipfile
from pathlib import Path

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.imageio.sources import series_name_of
from reactkd_auto.inference.inputs import InputCase, find_cases, hash_files, opened_input
from tests.builders import small_dataset
from tests.dicom_writing import activity, hounsfield, make_series, uid, write_series

DATASET = small_dataset()
CT = ("CT",)
SERIES = series_name_of(uid("P1", "study", "series"))


def _touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def _find(folder: Path, channels: tuple[str, ...] = CT, **more: object) -> list[InputCase]:
    return find_cases(folder, DATASET, student_channels=channels, quiet=True, **more)  # type: ignore[arg-type]


def _pet(folder: Path, series: str = "pet", **changes: object) -> None:
    write_series(folder / series, make_series(activity(), "PT", series=series, **changes))  # type: ignore[arg-type]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A CT series in a folder named after a patient."""
    write_series(tmp_path / "in" / "DOE^JANE" / "ct", make_series(hounsfield()))
    return tmp_path / "in"


def test_base_images_are_found_with_and_without_a_channel_number(tmp_path):
    folder = _touch(tmp_path / "in", "a_0000.nii.gz", "b.nii", "c_0000.nrrd", "d.mha", "notes.txt", ".hidden.nii")
    assert [c.case for c in _find(folder)] == ["a", "b", "c", "d"]


def test_any_nesting_is_looked_through_and_names_say_where_a_case_lies(tmp_path):
    folder = _touch(tmp_path / "in", "a.nii", "p1/ct_0000.nii.gz", "p1/ct_0001.nii.gz", "p 2/day1/ct.mha", "out/x.nii")
    cases = _find(folder, ("CT", "FDG"), exclude=[folder / "out"])
    assert [c.case for c in cases] == ["a", "p1__ct", "p_2__day1__ct"]
    assert list(cases[1].channels) == [0, 1]


def test_a_single_file_is_a_case(tmp_path):
    folder = _touch(tmp_path / "in", "a_0000.nii.gz", "b_0000.nii.gz")
    assert [c.case for c in _find(folder / "b_0000.nii.gz")] == ["b"]
    with pytest.raises(UserError, match="no image, expected"):
        _find(_touch(tmp_path, "notes.txt") / "notes.txt")


def test_other_channels_are_left_aside_unless_the_student_takes_them(tmp_path):
    folder = _touch(tmp_path / "in", "a_0000.nii.gz", "a_0001.nii.gz", "a_0002.nii.gz")
    (ct_only,), (with_fdg,) = _find(folder), _find(folder, ("CT", "FDG"))
    assert (list(ct_only.channels), list(with_fdg.channels)) == ([0], [0, 1])


def test_a_number_that_is_no_channel_belongs_to_the_name(tmp_path):
    folder = _touch(tmp_path / "in", "scan_2024.nii.gz", "scan_2025_0000.nii.gz")
    assert [c.case for c in _find(folder)] == ["scan_2024", "scan_2025"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ((), "no image found"),
        (("readme.txt",), "no image found"),
        (("a.nii.gz", "a_0000.nii.gz"), "expected one"),
        (("a b.nii.gz", "a_b.nii.gz"), "expected one"),
    ],
)
def test_a_folder_that_cannot_be_meant_is_refused(tmp_path, names, sentence):
    with pytest.raises(UserError, match=sentence):
        _find(_touch(tmp_path / "in", *names))


def test_region_maps_join_their_cases(tmp_path):
    images = _touch(tmp_path / "in", "a_0000.nii.gz", "p/b_0000.nii.gz")
    maps = _touch(images / "maps", "a.nrrd", "other.nii.gz")
    a, b = _find(images, regions=maps)
    assert (a.regions, b.regions) == (maps / "a.nrrd", None)
    assert _find(images / "a_0000.nii.gz", regions=maps / "other.nii.gz")[0].regions == maps / "other.nii.gz"


@pytest.mark.parametrize(("maps", "sentence"), [("empty", "no region map found"), ("nowhere", "not a folder")])
def test_region_maps_that_are_not_there_are_refused(tmp_path, maps, sentence):
    images, _ = _touch(tmp_path / "in", "a.nii.gz"), _touch(tmp_path / "empty")
    with pytest.raises(UserError, match=sentence):
        _find(images, regions=tmp_path / maps)


def test_the_hash_follows_every_file_of_a_case(tmp_path):
    images, maps = _touch(tmp_path / "in", "a.nii.gz"), _touch(tmp_path / "maps", "a.nii.gz")

    def current() -> str:
        (case,) = _find(images, regions=maps)
        return hash_files(case)

    first = current()
    assert current() == first
    (maps / "a.nii.gz").write_text("drawn anew")
    second = current()
    (images / "a.nii.gz").write_text("another scan")
    assert len({first, second, current()}) == 3


def test_each_ct_series_is_a_case_whose_name_is_no_patients(study):
    write_series(study / "DOE^JANE" / "ct", make_series(hounsfield(seed=1), series="thin"), order=range(50, 56))
    cases = _find(study)
    assert sorted(c.case for c in cases) == sorted([SERIES, series_name_of(uid("P1", "study", "thin"))])
    assert [len(c.channels[0].files) for c in cases] == [6, 6]
    assert not any("DOE" in c.case or "P1" in c.case for c in cases)


def test_a_pet_in_the_frame_of_the_ct_is_taken_by_a_model_that_accepts_it(study):
    _pet(study)
    _pet(study, "elsewhere", frame="another frame")
    (ct_only,), (with_pet,) = _find(study), _find(study, ("CT", "FDG"))
    assert (list(ct_only.channels), list(with_pet.channels)) == ([0], [0, 1])
    assert {p.parent.name for p in with_pet.channels[1].files} == {"pet"}
    assert with_pet.notes == ()


def test_a_pet_with_attenuation_correction_goes_first_and_tracers_are_told_apart_by_name(study):
    _pet(study, "raw fdg", CorrectedImage=["DECY"])
    _pet(study, "corrected fdg")
    _pet(study, "ace", RadiopharmaceuticalInformationSequence=[])
    (case,) = _find(study, ("CT", "FDG", "ACE"))
    assert {c: case.channels[c].files[0].parent.name for c in (1, 2)} == {1: "corrected fdg", 2: "ace"}


def test_pets_that_cannot_be_told_apart_are_left_out_with_a_note(study):
    _pet(study, "one")
    _pet(study, "two")
    (case,) = _find(study, ("CT", "FDG"))
    assert list(case.channels) == [0]
    assert "FDG is left out: 2 series" in case.notes[0]


def test_a_damaged_slice_spoils_its_series_and_a_folder_of_damage_is_not_passed_over(study):
    path = study / "DOE^JANE" / "ct" / "003.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    _touch(study, "other/x.dcm")
    spoilt, unreadable = _find(study)
    assert "003.dcm" in spoilt.fault
    assert "x.dcm" in unreadable.fault
    assert unreadable.case.startswith("unreadable_")


def test_a_zip_is_unpacked_below_the_output_and_removed(study, tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / "study"), "zip", study))
    output = tmp_path / "out"
    (direct,) = _find(study)
    with opened_input(archive, output) as place:
        (case,) = _find(place)
        assert (case.case, hash_files(case)) == (direct.case, hash_files(direct))
        assert place.is_relative_to(output)
    assert list(output.iterdir()) == []


def test_what_a_killed_process_had_unpacked_is_removed_and_a_wicked_zip_leaves_nothing(tmp_path):
    output = tmp_path / "out"
    _touch(output, ".unpacked/left.nii")
    with opened_input(_touch(tmp_path / "in"), output) as place:
        assert (place, list(output.iterdir())) == (tmp_path / "in", [])
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("../evil.nii", "")
    with pytest.raises(UserError, match="would leave its folder"), opened_input(tmp_path / "x.zip", output):
        pass
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["in", "out", "x.zip"]
