"""Where images come from, and what they are called."""

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.errors import UserError
from reactkd_auto.imageio.sources import ImageSource, find_image_files, image_name, series_name_of, without_folders
from reactkd_auto.imageio.walking import walk_files
from tests.conftest import ROOT
from tests.dicom_writing import hounsfield, make_series, write_series


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("a.nii.gz", "a"),
        ("A.NII.GZ", "A"),
        ("p1/day 2/ct.mha", "p1__day_2__ct"),
        ("..é ü.nrrd", "___"),
        (".nii", "image"),
    ],
)
def test_names_follow_the_place_and_suit_any_file_system(place, name):
    assert image_name(Path(place)) == name


def test_a_series_name_is_stable_and_tells_no_identifier():
    """The very name: documents and worklists of earlier runs refer to it."""
    assert series_name_of("1.2.840.1") == "ct_f9a13599155b7052"
    assert series_name_of("1.2.840.2") != series_name_of("1.2.840.1")


def test_the_how_to_computes_the_name_behind_a_series(capsys):
    page = (ROOT / "documentation" / "how-to" / "predict.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(block)
    assert re.fullmatch(r"ct_[0-9a-f]{16}\n", capsys.readouterr().out)


def test_hidden_and_excluded_folders_are_passed_over(tmp_path):
    for name in ("a/x.nii", "b/y.nii", "out/z.nii", ".hidden/w.nii", "b/.tmp1_v.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [p.name for p in walk_files(tmp_path, exclude=[tmp_path / "out"])] == ["x.nii", "y.nii"]
    assert [name for _, name in find_image_files(tmp_path / "a" / "x.nii")] == ["x"]


def test_a_series_reads_the_same_from_any_order_and_place_of_its_slices(tmp_path):
    slices = make_series(hounsfield())
    one = write_series(tmp_path / "one", slices)
    other = write_series(tmp_path / "other", slices, order=[3, 1, 0, 5, 4, 2])
    sources = [ImageSource(tuple(sorted(folder.iterdir())), dicom=True) for folder in (one, other)]
    first, second = (source.read() for source in sources)
    assert first.GetOrigin() == second.GetOrigin()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(second))
    assert sources[0].content_hash() == sources[1].content_hash()
    slices[0].PixelData = bytes(len(slices[0].PixelData))
    changed = write_series(tmp_path / "changed", slices)
    assert ImageSource(tuple(changed.iterdir()), dicom=True).content_hash() != sources[0].content_hash()


def test_a_sentence_keeps_names_of_files_and_loses_their_folders():
    files = [Path("/data/DOE/ct/1.dcm"), Path("/data/DOE/pet/2.dcm")]
    assert without_folders("/data/DOE/ct/1.dcm: cut off.", files, "ct_7") == "1.dcm: cut off."
    assert without_folders("/data/DOE: missing slices.", files, "ct_7") == "ct_7: missing slices."


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.nii: could not be read"):
        ImageSource((tmp_path / "gone.nii",)).content_hash()
