"""Images larger than memory: unpacked as a whole reader would, written as any reader expects."""

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from reactkd_auto.imageio import ImageFault, NiftiWriter, Placement, map_image, read_image
from reactkd_auto.imageio.sources import ImageSource

TYPES = (np.int16, np.uint8, np.uint16, np.int32, np.float32, np.float64)


def an_image(shape=(5, 7, 9), dtype=np.int16, seed=0) -> sitk.Image:
    rng = np.random.default_rng(seed)
    image = sitk.GetImageFromArray(rng.integers(0, 200, shape).astype(dtype))
    image.SetSpacing((0.7, 0.8, 3.0))
    image.SetOrigin((-10.5, 20.0, 300.25))
    image.SetDirection(Rotation.from_euler("x", 12, degrees=True).as_matrix().ravel().tolist())
    return image


def write_scaled(path: Path, stored: np.ndarray, slope: float, intercept: float) -> Path:
    """nibabel chooses a scaling of its own when it writes; this puts ours in its place."""
    nibabel.Nifti1Image(stored, np.eye(4)).to_filename(path)
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<ff", slope, intercept)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", TYPES)
def test_mapped_voxels_are_those_of_a_whole_reader_in_the_files_own_type(tmp_path, ending, dtype):
    path = tmp_path / f"a{ending}"
    sitk.WriteImage(an_image(dtype=dtype), str(path), useCompression=True)
    mapped, whole = map_image(ImageSource((path,)), tmp_path / "scratch"), read_image(path)
    assert mapped.array.dtype == dtype
    assert isinstance(mapped.array, np.memmap)
    assert np.array_equal(mapped.array, sitk.GetArrayFromImage(whole))
    assert (mapped.lowest, mapped.highest) == (mapped.array.min(), mapped.array.max())
    for name in ("spacing", "origin", "direction"):
        assert getattr(mapped.placement, name) == pytest.approx(getattr(whole, f"Get{name.capitalize()}")(), abs=1e-5)


def test_big_endian_files_are_read(tmp_path):
    path = tmp_path / "a.nii"
    values = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    header = nibabel.Nifti1Header(endianness=">")
    nibabel.Nifti1Image(values, np.eye(4), header, dtype=">i2").to_filename(path)
    assert np.array_equal(map_image(ImageSource((path,)), tmp_path / "s").array, values.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"), [(1, -1024, np.int16), (2, 0, np.int16), (0.5, 3, np.float32)]
)
def test_stored_scaling_is_applied_and_whole_numbers_stay_whole(tmp_path, slope, intercept, dtype):
    stored = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    path = write_scaled(tmp_path / "a.nii", stored, slope, intercept)
    mapped = map_image(ImageSource((path,)), tmp_path / "s")
    assert mapped.array.dtype == dtype
    assert np.array_equal(mapped.array, (stored * float(slope) + intercept).transpose(2, 1, 0))


def test_scaled_integers_beyond_16_bits_are_refused(tmp_path):
    path = write_scaled(tmp_path / "a.nii", np.full((3, 4, 5), 40000, np.uint16), 1, -1024)
    with pytest.raises(ImageFault, match=r"values 38976…38976, expected HU"):
        map_image(ImageSource((path,)), tmp_path / "s")


def test_nan_and_infinity_are_counted_and_padding_does_not_count_for_the_range(tmp_path):
    values = np.zeros((3, 4, 5), np.float32)
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    values[1, 0, 0], values[2, 0, 0] = -3024, 70
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "a.mha"))
    mapped = map_image(ImageSource((tmp_path / "a.mha",)), tmp_path / "s", padding=-1024)
    assert (mapped.missing, mapped.lowest, mapped.highest) == (3, 0, 70)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_cut_off_files_are_refused_by_name(tmp_path, ending, share):
    path = tmp_path / f"a{ending}"
    sitk.WriteImage(an_image((20, 30, 40)), str(path), useCompression=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ImageFault, match=path.name):
        map_image(ImageSource((path,)), tmp_path / "s")


def test_wrong_checksum_is_found(tmp_path):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(an_image((20, 60, 80)), str(path))
    whole = bytearray(path.read_bytes())
    whole[-6] ^= 255
    path.write_bytes(whole)
    with pytest.raises(ImageFault, match=r"a\.nii\.gz: found .*damaged"):
        map_image(ImageSource((path,)), tmp_path / "s")


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    dtype=st.sampled_from(TYPES),
    axes=st.tuples(*[st.floats(-180, 180)] * 3, st.sampled_from((-1, 1))),
    spacing=st.tuples(*[st.floats(0.1, 9)] * 3),
)
def test_written_files_are_read_back_where_and_as_they_were(tmp_path_factory, shape, dtype, axes, spacing):
    path = tmp_path_factory.mktemp("written") / "a.nii.gz"
    direction = Rotation.from_euler("xyz", axes[:3], degrees=True).as_matrix() * axes[3]
    placement = Placement(spacing, (1.0, -2.0, 300.0), tuple(direction.ravel().tolist()))
    values = np.random.default_rng(1).integers(0, 250, shape).astype(dtype)
    with NiftiWriter(path, shape, dtype, placement) as file:
        for plane in values:
            file.write(plane)
    image = sitk.ReadImage(str(path))
    assert np.array_equal(sitk.GetArrayFromImage(image), values)
    assert sitk.GetArrayFromImage(image).dtype == dtype
    corner = [n - 1 for n in shape[::-1]]
    expected = direction @ (np.asarray(spacing) * corner) + placement.origin
    assert image.TransformIndexToPhysicalPoint(corner) == pytest.approx(expected.tolist(), abs=1e-3)
    by_nibabel = nibabel.load(path)
    assert np.array_equal(np.asarray(by_nibabel.dataobj), values.transpose(2, 1, 0))
    assert by_nibabel.affine == pytest.approx(placement.affine, abs=1e-3)


def test_same_voxels_give_the_same_bytes(tmp_path):
    placement = Placement((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
    values = np.random.default_rng(0).normal(0, 50, (6, 20, 20)).astype(np.int16)
    for name, step in (("a.nii.gz", 1), ("elsewhere.nii.gz", 6)):
        with NiftiWriter(tmp_path / name, values.shape, values.dtype, placement) as file:
            for first in range(0, 6, step):
                file.write(values[first : first + step])
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "elsewhere.nii.gz").read_bytes()
    (tmp_path / "a.nii").write_bytes(gzip.decompress((tmp_path / "a.nii.gz").read_bytes()))
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii"))), values)
