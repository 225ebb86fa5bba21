"""Every kind of file that is not a clean 3D image is refused in one sentence that names it."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.errors import UserError
from reactkd_auto.imageio import ImageFault, read_image, read_regions, write_image

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")


def noise(shape: tuple[int, ...] = (6, 7, 8), dtype: type = np.float32) -> np.ndarray:
    return (100 * np.random.default_rng(0).normal(size=shape)).astype(dtype)


def image(array: np.ndarray | None = None) -> sitk.Image:
    made = sitk.GetImageFromArray(noise() if array is None else array)
    made.SetSpacing((1.0, 2.0, 3.0))
    made.SetOrigin((-10.0, 20.0, 5.0))
    return made


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ImageFault) as caught:
        read_image(path)
    sentence = str(caught.value)
    assert path.name in sentence
    assert "\n" not in sentence
    assert "expected" in sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_returns_the_written_voxels_and_geometry(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path, image())
    back = read_image(path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), noise())
    np.testing.assert_allclose(back.GetSpacing(), (1, 2, 3), atol=1e-5)
    np.testing.assert_allclose(back.GetOrigin(), (-10, 20, 5), atol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_stored_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    made = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    made.header.set_slope_inter(2.0, -1000.0)
    nibabel.save(made, tmp_path / "a.nii.gz")
    # nibabel rescales what it writes: its own reading is the reference
    expected = nibabel.load(tmp_path / "a.nii.gz").get_fdata().T
    np.testing.assert_allclose(sitk.GetArrayFromImage(read_image(tmp_path / "a.nii.gz")), expected)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_a_cut_off_file_is_refused(tmp_path: Path, ending: str, kept: float, dtype: type) -> None:
    path = tmp_path / f"a{ending}"
    write_image(path, image(noise((20, 20, 20), dtype)))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    refused(path)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_a_file_cut_off_before_compression_is_refused(tmp_path: Path, dtype: type) -> None:
    write_image(tmp_path / "a.nii.gz", image(noise(dtype=dtype)))
    data = gzip.decompress((tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data[:-2]))
    refused(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("ending", ENDINGS)
def test_missing_empty_and_foreign_files_are_refused(tmp_path: Path, ending: str) -> None:
    refused(tmp_path / f"missing{ending}", "no such file")
    (tmp_path / f"empty{ending}").touch()
    refused(tmp_path / f"empty{ending}", "empty")
    (tmp_path / f"text{ending}").write_text("this is a text " * 100)
    refused(tmp_path / f"text{ending}")


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "a.jpg", "ending")


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_colour_is_refused(tmp_path: Path, ending: str) -> None:
    channel = image(noise(dtype=np.uint8))
    sitk.WriteImage(sitk.Compose([channel] * 3), str(tmp_path / f"rgb{ending}"))
    refused(tmp_path / f"rgb{ending}", "3 numbers a voxel")


def test_two_and_four_dimensions_are_refused_and_one_time_point_is_read(tmp_path: Path) -> None:
    for shape in ((5, 6), (5, 6, 7, 3)):
        nibabel.save(nibabel.Nifti1Image(noise(shape), np.eye(4)), tmp_path / "a.nii.gz")
        refused(tmp_path / "a.nii.gz", "three dimensions")
    nibabel.save(nibabel.Nifti1Image(noise((5, 6, 7, 1)), np.eye(4)), tmp_path / "a.nii.gz")
    assert read_image(tmp_path / "a.nii.gz").GetSize() == (5, 6, 7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ending", ENDINGS)
def test_nan_and_infinity_are_refused_and_counted(tmp_path: Path, value: float, ending: str) -> None:
    array = noise()
    array[1, 2, 3] = array[0, 0, 0] = value
    write_image(tmp_path / f"a{ending}", image(array))
    refused(tmp_path / f"a{ending}", "2 NaN or infinite")


@pytest.mark.parametrize("spacing", [0.01, 60.0])
@pytest.mark.parametrize("ending", ENDINGS)
def test_implausible_spacing_is_refused(tmp_path: Path, spacing: float, ending: str) -> None:
    made = image()
    made.SetSpacing((1.0, spacing, 1.0))
    write_image(tmp_path / f"a{ending}", made)
    refused(tmp_path / f"a{ending}", "spacing", f"{spacing:g}")


def test_zero_spacing_is_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(noise(), np.eye(4)), tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[80:84] = bytes(4)  # pixdim[1]
    data[280:284] = bytes(4)  # srow_x[0]
    (tmp_path / "a.nii").write_bytes(bytes(data))
    refused(tmp_path / "a.nii")


def test_sheared_axes_are_refused_in_every_format(tmp_path: Path) -> None:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[0, 1] = 0.3
    nibabel.save(nibabel.Nifti1Image(noise(), affine), tmp_path / "a.nii.gz")
    refused(tmp_path / "a.nii.gz", "sheared")
    made = image()
    made.SetDirection((1, 0.2, 0, 0, 0.98, 0, 0, 0, 1))
    write_image(tmp_path / "a.mha", made)
    refused(tmp_path / "a.mha", "sheared")


def test_contradicting_qform_and_sform_are_refused(tmp_path: Path) -> None:
    made = nibabel.Nifti1Image(noise(), np.eye(4))
    shifted = np.eye(4)
    shifted[0, 3] = 4.0
    made.set_qform(np.eye(4), code=1)
    made.set_sform(shifted, code=1)
    nibabel.save(made, tmp_path / "a.nii.gz")
    refused(tmp_path / "a.nii.gz", "disagree by 4 mm")
    shifted[0, 3] = 0.1  # rounding of a header, not a contradiction
    made.set_sform(shifted, code=1)
    nibabel.save(made, tmp_path / "a.nii.gz")
    read_image(tmp_path / "a.nii.gz")


def test_a_nifti_without_any_form_is_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(noise(), None), tmp_path / "a.nii.gz")
    refused(tmp_path / "a.nii.gz", "neither qform nor sform")


def test_region_maps_are_uint8_and_accept_integers_stored_as_float(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (4, 5, 6)).astype(np.float32)
    write_image(tmp_path / "a.nii.gz", image(labels))
    regions = read_regions(tmp_path / "a.nii.gz", (1, 2))
    assert regions.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_array_equal(sitk.GetArrayFromImage(regions), labels)


def test_unknown_and_non_integer_region_values_are_refused(tmp_path: Path) -> None:
    labels = np.zeros((4, 5, 6), np.float32)
    labels[0, 0, 0] = 7
    write_image(tmp_path / "a.nii.gz", image(labels))
    with pytest.raises(UserError, match=r"a\.nii\.gz.*unknown values 7.*0, 1, 2"):
        read_regions(tmp_path / "a.nii.gz", (1, 2))
    labels[0, 0, 0] = 0.5
    write_image(tmp_path / "a.nii.gz", image(labels))
    with pytest.raises(UserError, match=r"non-integer value 0\.5"):
        read_regions(tmp_path / "a.nii.gz", (1, 2))


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    write_image(path, image())
    before = path.read_bytes()
    with pytest.raises(UserError, match="could not be written"):
        write_image(path, sitk.Image([4, 4, 4], sitk.sitkLabelUInt8))  # NIfTI cannot hold label maps
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii.gz"]
