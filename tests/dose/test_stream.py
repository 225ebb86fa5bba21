"""Streaming gives what the whole volume gives, whatever the orientation, and says so when the disk is full."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from reactkd_auto.dose.degrade import degrade, degraded_slices, noise_engine
from reactkd_auto.dose.parameters import preset
from reactkd_auto.dose.stream import mapped_ct, write_degraded
from reactkd_auto.errors import UserError
from reactkd_auto.imageio.sources import ImageSource
from tests.cts import image_of, trunk, write_ct
from tests.test_full_disk import no_file_larger_than

DOSES = (1.0, 0.25, 0.1)
IDENTITY = (1, 0, 0, 0, 1, 0, 0, 0, 1)
TILTED = tuple(Rotation.from_euler("x", 20, degrees=True).as_matrix().ravel().tolist())


def calibration():
    return dataclasses.replace(preset(reason="test", slice_mm=4.0, ellipse_mm=None), z_taps=(0.3, 0.9055, 0.3))


def stream(path, folder):
    paths = [folder / f"{i}.nii.gz" for i in range(len(DOSES))]
    with mapped_ct(ImageSource((path,)), folder) as ct:
        engine = noise_engine(ct.stack, calibration(), DOSES)
        write_degraded(ct, degraded_slices(engine, DOSES, (3, "a")), paths)
    return paths


@pytest.mark.parametrize(
    ("order", "flips", "direction"),
    [
        ((0, 1, 2), (False, False, False), IDENTITY),
        ((1, 2, 0), (False, False, False), IDENTITY),
        ((2, 0, 1), (True, False, True), IDENTITY),
        ((0, 2, 1), (False, True, False), TILTED),
        ((0, 1, 2), (False, False, True), TILTED),
    ],
)
def test_streamed_results_are_those_of_the_whole_volume(tmp_path, order, flips, direction):
    image = sitk.Flip(sitk.PermuteAxes(image_of(trunk(4, 90), direction=direction), order), flips)
    sitk.WriteImage(image, str(tmp_path / "ct.nii.gz"))
    image = sitk.ReadImage(str(tmp_path / "ct.nii.gz"))  # its spacing is rounded by the format
    expected = degrade(image, DOSES, calibration(), 3, case="a")
    for path, whole in zip(stream(tmp_path / "ct.nii.gz", tmp_path), expected, strict=True):
        written = sitk.ReadImage(str(path))
        assert written.GetPixelID() == sitk.sitkInt16
        assert np.array_equal(sitk.GetArrayFromImage(written), sitk.GetArrayFromImage(whole))
        for name in ("GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(written, name)() == pytest.approx(getattr(image, name)(), abs=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.nii.gz", "1.nii.gz", "2.nii.gz", "ct.nii.gz"]


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
def test_the_type_of_the_voxels_is_kept(tmp_path, dtype):
    write_ct(tmp_path / "ct.mha", trunk(2).astype(dtype))
    full, low, _ = stream(tmp_path / "ct.mha", tmp_path)
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(low))).dtype == dtype
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(full))), trunk(2).astype(dtype))


def test_a_disk_full_of_the_unpacked_ct_is_one_sentence_and_leaves_nothing(tmp_path):
    write_ct(tmp_path / "ct.nii.gz")
    with no_file_larger_than(20_000), pytest.raises(UserError, match="could not be written"):
        stream(tmp_path / "ct.nii.gz", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["ct.nii.gz"]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_a_disk_full_of_results_is_one_sentence_and_leaves_nothing(tmp_path, order):
    sitk.WriteImage(sitk.PermuteAxes(image_of(trunk(5)), order), str(tmp_path / "ct.nii.gz"))
    with mapped_ct(ImageSource((tmp_path / "ct.nii.gz",)), tmp_path) as ct:
        slices = ((z, [plane]) for z, plane in enumerate(ct.stack.array))
        with no_file_larger_than(20_000), pytest.raises(UserError, match="could not be written"):
            write_degraded(ct, slices, [tmp_path / "low.nii.gz"])
    assert [p.name for p in tmp_path.iterdir()] == ["ct.nii.gz"]
