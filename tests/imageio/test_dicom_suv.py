"""PET to SUV by body weight: closed-form factors for each vendor's way, a real series, and every reason to refuse."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import FileDataset

from reactkd_auto.imageio import ImageFault, read_image
from reactkd_auto.imageio.dicom_times import mean_time_s
from tests.dicom_writing import DOSE_BQ, HALF_LIFE_S, WEIGHT_KG, activity, make_series, write_series

PER_DOSE = 1000 * WEIGHT_KG / DOSE_BQ
"""SUV of 1 Bq/ml without decay."""


def item(made: FileDataset) -> Any:
    return made.RadiopharmaceuticalInformationSequence[0]


def factors(tmp_path: Path, change: Callable[[FileDataset], None] = lambda made: None, *, count: int = 4) -> np.ndarray:
    """SUV over activity of each slice; all voxels of a slice must agree to the rounding of 16 bits."""
    slices = make_series(activity(count), "PT")
    for made in slices:
        change(made)
    image = read_image(write_series(tmp_path / "pet", slices))
    ratio = sitk.GetArrayFromImage(image) / activity(count)
    assert (ratio.std(axis=(1, 2)) < 1e-3 * ratio.mean(axis=(1, 2))).all()
    return np.median(ratio, axis=(1, 2))


def refused(tmp_path: Path, change: Callable[[FileDataset], None], *words: str) -> None:
    slices = make_series(activity(), "PT")
    for made in slices:
        change(made)
    with pytest.raises(ImageFault) as caught:
        read_image(write_series(tmp_path / "pet", slices))
    sentence = str(caught.value)
    assert "expected" in sentence
    assert "SECRET" not in sentence
    for word in words:
        assert word in sentence


def setting(**values: object) -> Callable[[FileDataset], None]:
    """A change of header values; those of the injection have the prefix ``item_``; None removes one."""

    def change(made: FileDataset) -> None:
        for keyword, value in values.items():
            target = item(made) if keyword.startswith("item_") else made
            name = keyword.removeprefix("item_")
            if value is None:
                delattr(target, name)
            else:
                setattr(target, name, value)

    return change


def private(group: int, creator: str, **elements: str) -> Callable[[FileDataset], None]:
    def change(made: FileDataset) -> None:
        block = made.private_block(group, creator, create=True)
        for name, value in elements.items():
            block.add_new(int(name.removeprefix("x"), 16), "LO", value)

    return change


def both(*changes: Callable[[FileDataset], None]) -> Callable[[FileDataset], None]:
    def change(made: FileDataset) -> None:
        for one in changes:
            one(made)

    return change


def test_one_half_life_after_injection_doubles_the_factor(tmp_path: Path) -> None:
    assert factors(tmp_path) == pytest.approx(np.full(4, 2 * PER_DOSE), rel=1e-4)


def test_activity_corrected_to_the_injection_needs_no_decay(tmp_path: Path) -> None:
    without_times = setting(DecayCorrection="ADMIN", item_RadiopharmaceuticalStartTime=None, SeriesTime=None)
    assert factors(tmp_path, without_times) == pytest.approx(np.full(4, PER_DOSE), rel=1e-4)


def test_slices_without_decay_correction_are_each_corrected_to_their_mean_time(tmp_path: Path) -> None:
    seconds, duration = iter((0, 0, 6000, 6000)), 300.0

    def change(made: FileDataset) -> None:
        made.CorrectedImage, made.DecayCorrection = ["ATTN"], "NONE"
        made.ActualFrameDuration = int(1000 * duration)
        made.AcquisitionTime = "134000" if next(seconds) else "120000"

    # the mean activity over a frame, integrated numerically, is the activity at the frame's mean time
    times = np.linspace(0, duration, 100001)
    mean = np.trapezoid(0.5 ** (times / HALF_LIFE_S), times) / duration
    expected = np.repeat([2 / mean, 4 / mean], 2) * PER_DOSE
    assert factors(tmp_path, change) == pytest.approx(expected, rel=1e-4)


def test_a_series_processed_after_the_scan_uses_ge_s_private_scan_time(tmp_path: Path) -> None:
    late = setting(SeriesTime="150000")
    change = both(late, private(0x0009, "GEMS_PETD_01", x0D="20010203120000.00"))
    assert factors(tmp_path, change) == pytest.approx(np.full(4, 2 * PER_DOSE), rel=1e-4)


def test_a_series_processed_after_the_scan_goes_back_from_the_beds_frames(tmp_path: Path) -> None:
    beds = iter((0, 0, 1, 1))
    duration = 180.0

    def change(made: FileDataset) -> None:
        bed = next(beds)
        made.SeriesTime, made.AcquisitionTime = "150000", f"12{5 * bed:02d}00"
        made.ActualFrameDuration = int(1000 * duration)
        made.FrameReferenceTime = 1000 * (300 * bed + mean_time_s(duration, HALF_LIFE_S))

    assert factors(tmp_path, change) == pytest.approx(np.full(4, 2 * PER_DOSE), rel=1e-4)


def test_a_series_processed_after_the_scan_without_frames_uses_the_earliest_acquisition(tmp_path: Path) -> None:
    times = iter(("120500", "120500", "120000", "120000"))

    def change(made: FileDataset) -> None:
        made.SeriesTime, made.AcquisitionTime = "150000", next(times)

    assert factors(tmp_path, change) == pytest.approx(np.full(4, 2 * PER_DOSE), rel=1e-4)


def test_injection_before_midnight_is_the_day_before(tmp_path: Path) -> None:
    change = setting(SeriesTime="003000", AcquisitionTime="003000", item_RadiopharmaceuticalStartTime="225000")
    assert factors(tmp_path, change) == pytest.approx(np.full(4, 2 * PER_DOSE), rel=1e-4)


@pytest.mark.parametrize(
    ("text", "zone"), [("20010203102000", ""), ("20010203092000.000000+0000", "+0100"), ("20010203102000+0100", "")]
)
def test_a_dated_injection_is_read_with_its_time_zone(tmp_path: Path, text: str, zone: str) -> None:
    change = setting(
        item_RadiopharmaceuticalStartDateTime=text, item_RadiopharmaceuticalStartTime=None, TimezoneOffsetFromUTC=zone
    )
    assert factors(tmp_path, change) == pytest.approx(np.full(4, 2 * PER_DOSE), rel=1e-4)


def test_a_dose_in_megabecquerel_is_told_by_its_size(tmp_path: Path) -> None:
    change = setting(item_RadionuclideTotalDose=DOSE_BQ / 1e6)
    assert factors(tmp_path, change) == pytest.approx(np.full(4, 2 * PER_DOSE), rel=1e-4)


def test_philips_counts_are_multiplied_by_the_suv_factor(tmp_path: Path) -> None:
    change = both(
        setting(Units="CNTS", PatientWeight=None), private(0x7053, "Philips PET Private Group", x00="0.00123")
    )
    assert factors(tmp_path, change) == pytest.approx(np.full(4, 0.00123), rel=1e-4)


def test_philips_counts_with_an_activity_factor_are_converted_like_activity(tmp_path: Path) -> None:
    change = both(setting(Units="CNTS"), private(0x7053, "Philips PET Private Group", x00="0", x09="3.5"))
    assert factors(tmp_path, change) == pytest.approx(np.full(4, 3.5 * 2 * PER_DOSE), rel=1e-4)


def test_a_private_value_stored_as_unknown_bytes_is_read(tmp_path: Path) -> None:
    def change(made: FileDataset) -> None:
        made.Units = "CNTS"
        made.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "UN", b"0.5 ")

    assert factors(tmp_path, change) == pytest.approx(np.full(4, 0.5), rel=1e-4)


def test_values_in_suv_are_taken_as_they_are(tmp_path: Path) -> None:
    assert factors(tmp_path, setting(Units="GML", SUVType="BW")) == pytest.approx(np.ones(4), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (setting(CorrectedImage=["DECY"]), "without attenuation correction"),
        (setting(CorrectedImage=None), "without attenuation correction"),
        (setting(PatientWeight=None), "no PatientWeight"),
        (setting(PatientWeight=0), "PatientWeight of 0"),
        (setting(PatientWeight=71000), "PatientWeight of 71000"),
        (setting(item_RadionuclideTotalDose=None), "no RadionuclideTotalDose"),
        (setting(item_RadionuclideTotalDose=2e5), "RadionuclideTotalDose of 200000"),
        (setting(item_RadionuclideHalfLife=None), "no RadionuclideHalfLife"),
        (setting(item_RadiopharmaceuticalStartTime=None), "no RadiopharmaceuticalStartTime"),
        (setting(item_RadiopharmaceuticalStartTime="25xx"), "unreadable RadiopharmaceuticalStartTime"),
        (setting(item_RadiopharmaceuticalStartTime="130000"), "23.0 h after injection"),
        (setting(item_RadiopharmaceuticalStartDateTime="20010203130000"), "that disagree"),
        (
            setting(item_RadiopharmaceuticalStartDateTime="20010203130000", item_RadiopharmaceuticalStartTime=None),
            "an injection 1:00:00 after the scan",
        ),
        (setting(item_RadiopharmaceuticalStartDateTime="20010201102000"), "half-lives"),
        (setting(item_RadionuclideHalfLife=282000.0), "without a date, for a half-life of 78.3 h"),
        (setting(RadiopharmaceuticalInformationSequence=[]), "0 radiopharmaceuticals"),
        (setting(Units="CNTS"), "without a factor"),
        (setting(Units="PROPCPS"), "units PROPCPS"),
        (setting(Units=None), "units unknown"),
        (setting(Units="GML", SUVType="LBM"), "SUV of type LBM"),
        (setting(DecayCorrection=None), "decay correction unknown"),
        (setting(DecayCorrection="NONE"), "with DECY"),
        (setting(CorrectedImage=["ATTN"]), "without DECY"),
        (setting(CorrectedImage=["ATTN"], DecayCorrection="NONE"), "no ActualFrameDuration"),
        (setting(SeriesTime=None), "no SeriesDate or SeriesTime"),
        (setting(AcquisitionTime=None), "no AcquisitionDate or AcquisitionTime"),
        (setting(SeriesDate="2001/02/03"), "unreadable SeriesDate"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_its_reason(
    tmp_path: Path, change: Callable[[FileDataset], None], words: str
) -> None:
    refused(tmp_path, change, words)


def test_two_tracers_in_one_header_are_refused(tmp_path: Path) -> None:
    def change(made: FileDataset) -> None:
        made.RadiopharmaceuticalInformationSequence.append(copy.deepcopy(item(made)))

    refused(tmp_path, change, "2 radiopharmaceuticals")


def test_slices_that_contradict_one_another_are_refused(tmp_path: Path) -> None:
    weights, references = iter(range(70, 80)), iter(range(100000, 1000000, 60000))

    def weigh(made: FileDataset) -> None:
        made.PatientWeight = next(weights)

    refused(tmp_path, weigh, "different PatientWeight")

    def change(made: FileDataset) -> None:
        made.SeriesTime, made.ActualFrameDuration = "150000", 180000
        made.FrameReferenceTime = next(references)

    refused(tmp_path, change, "starts of the scan 300 s apart")


@given(duration=st.floats(1.0, 3600.0), half_life=st.floats(60.0, 1e6))
def test_the_mean_time_lies_before_the_middle_of_the_frame_and_is_where_the_mean_rate_is(
    duration: float, half_life: float
) -> None:
    mean = mean_time_s(duration, half_life)
    assert 0 < mean < duration / 2 * (1 + 1e-9)
    rate = half_life / np.log(2) / duration * -np.expm1(-np.log(2) * duration / half_life)
    assert 0.5 ** (mean / half_life) == pytest.approx(rate, rel=1e-9)


@pytest.mark.data
def test_a_real_pet_equals_the_published_suv(real_data: Path) -> None:
    ours = read_image(real_data / "pet_dicom_STS_001")
    reference = sitk.ReadImage(str(real_data / "pet_dicom_STS_001.reference_suv.nii.gz"))
    start = ours.TransformPhysicalPointToIndex(reference.GetOrigin())
    cropped = sitk.RegionOfInterest(ours, reference.GetSize(), start)
    values, expected = (sitk.GetArrayFromImage(i).astype(np.float64) for i in (cropped, reference))
    assert np.median(values[expected > 1] / expected[expected > 1]) == pytest.approx(1, abs=1e-4)
    assert values.sum() / expected.sum() == pytest.approx(1, abs=1e-4)
    assert np.abs(values - expected).max() < 1e-3
