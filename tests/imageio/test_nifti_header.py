"""A NIfTI file's voxels as we unpack them, against ITK's own reading of the same file."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.imageio import ImageFault, read_image
from reactkd_auto.imageio.sources import ImageSource
from reactkd_auto.imageio.streaming import map_image

TYPES = (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64)
AFFINE = np.array([[0, -2.0, 0, 7], [1.5, 0, 0, -3], [0, 0, 4, 11], [0, 0, 0, 1]])


def write(
    path: Path, dtype: type, *, order: str = "<", scaling: tuple[float, float] = (1, 0), extension: bytes = b""
) -> None:
    """240 voxels 0 … 119.5 or −50 … 69.5 byte by byte, as nibabel would not write them."""
    first = 0 if np.dtype(dtype).kind == "u" else -50
    voxels = (first + np.arange(240) / 2).astype(dtype).reshape(12, 5, 4)
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(dtype)
    header.set_data_shape((4, 5, 12))
    header.set_sform(AFFINE, 1)
    header.set_qform(AFFINE, 1)
    header["scl_slope"], header["scl_inter"] = scaling
    header["vox_offset"] = 352 + len(extension)
    content = header.binaryblock + bytes([bool(extension), 0, 0, 0]) + extension
    content += voxels.astype(voxels.dtype.newbyteorder(order)).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def check_against_itk(path: Path) -> None:
    ours, reference = read_image(path), sitk.ReadImage(str(path), sitk.sitkFloat32)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(reference))
    for what in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(ours, what)() == getattr(reference, what)()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_and_byte_order_is_read_as_itk_reads_it(
    tmp_path: Path, dtype: type, order: str, ending: str
) -> None:
    write(tmp_path / f"a{ending}", dtype, order=order)
    check_against_itk(tmp_path / f"a{ending}")


@pytest.mark.parametrize("scaling", [(2, -1000), (0.37, 1.9), (-1, 0), (np.nan, 0), (1, 0.5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_slope_and_intercept_give_the_values_that_itk_gives(tmp_path: Path, dtype: type, scaling: tuple) -> None:
    write(tmp_path / "a.nii.gz", dtype, scaling=scaling)
    check_against_itk(tmp_path / "a.nii.gz")


def test_a_slope_of_0_means_unscaled_as_the_standard_says(tmp_path: Path) -> None:
    write(tmp_path / "a.nii.gz", np.int16, scaling=(0, 5))
    assert sitk.GetArrayViewFromImage(read_image(tmp_path / "a.nii.gz")).min() == -50


def test_header_extensions_are_skipped(tmp_path: Path) -> None:
    extension = np.array([32, 6], "<i4").tobytes() + b"a comment".ljust(24, b"\0")
    write(tmp_path / "a.nii.gz", np.int16, extension=extension)
    check_against_itk(tmp_path / "a.nii.gz")
    mapped = map_image(ImageSource((tmp_path / "a.nii.gz",)), tmp_path / "voxels")
    np.testing.assert_array_equal(mapped.array, sitk.GetArrayFromImage(read_image(tmp_path / "a.nii.gz")))


def test_a_damaged_checksum_is_refused_though_every_voxel_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    write(path, np.int16)
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    with pytest.raises(ImageFault, match=r"a\.nii\.gz: found .*cut.off"):
        read_image(path)
