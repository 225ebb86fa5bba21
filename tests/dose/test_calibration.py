import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from reactkd_auto.dose import DoseCalibration, calibrate, degrade
from reactkd_auto.dose.degrade import added_noise
from reactkd_auto.dose.evidence import assumed_ellipse
from reactkd_auto.dose.synthesis import noise_model
from reactkd_auto.dose.volumes import axial_stack
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import from_plain, to_plain

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("REACTKD_TEST_DATA", ROOT / "../shared/data"))
ABDOMEN_CT = DATA / "ct_dicom_CRLM-CT-1004"


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((6, 40, 40), (2.5, 0.7, 0.7)),
        ((2, 44, 44), (2.5, 0.66, 0.66)),
        ((40, 100, 100), (3.3, 0.98, 0.98)),
        ((1, 5, 7), (1.0, 0.8, 0.8)),
        ((3, 300, 300), (5.0, 1.0, 1.0)),
    ],
)
@pytest.mark.parametrize("content", ["lung", "constant", "nan", "metal", "padding"])
def test_no_small_or_strange_volume_makes_calibration_fail(shape, spacing, content):
    rng = np.random.default_rng(0)
    volume = {
        "lung": rng.normal(-700, 150, shape),
        "constant": np.zeros(shape),
        "nan": np.full(shape, np.nan),
        "metal": np.where(rng.random(shape) < 0.1, 3071.0, -1000.0),
        "padding": np.full(shape, -3024.0),
    }[content].astype(np.float32)
    calibration = calibrate(volume, spacing=spacing)
    assert calibration.fallback
    assert calibration.confidence == 0


def test_calibration_survives_json():
    calibration = calibrate(np.zeros((2, 20, 20), dtype=np.int16), spacing=(2.0, 0.7, 0.7))
    text = json.dumps(to_plain(calibration))
    assert from_plain(DoseCalibration, json.loads(text), where="test") == calibration


def test_preset_flux_grows_with_slice_thickness_and_sharper_kernels_pass_more():
    volume = np.zeros((2, 20, 20), dtype=np.int16)
    thin, thick = (calibrate(volume, spacing=(z, 0.7, 0.7)) for z in (1.0, 4.0))
    assert thick.flux[0] == pytest.approx(4 * thin.flux[0])
    soft, sharp = (calibrate(volume, spacing=(1.0, 0.7, 0.7), kernel=k) for k in ("soft", "sharp"))
    assert soft.kernel_ln_h2[3] < sharp.kernel_ln_h2[3]


def test_only_crops_get_an_ellipse_and_it_holds_them(tools):
    whole = tools.picture(tools.HIPS, 256, 1.6)[None]
    assert assumed_ellipse(axial_stack(whole, (3.0, 1.6, 1.6))) is None
    crop = assumed_ellipse(axial_stack(np.zeros((2, 40, 40)), (3.0, 0.7, 0.7)))
    assert crop == (115.0, 165.0)
    truncated = whole[:, 60:190, 30:230] + 0
    ellipse = assumed_ellipse(axial_stack(truncated, (3.0, 1.6, 1.6)))
    assert ellipse is not None
    assert 2 * ellipse[1] >= 200 * 1.6


def test_a_resampled_or_noise_free_image_falls_back_with_the_reason(tools):
    hu = tools.picture(tools.WATER, 256, 1.5)[None]
    assert "denoised or synthetic" in (calibrate(hu, spacing=(5.0, 1.5, 1.5)).fallback or "")
    assert "resampled" in (calibrate(hu[:, ::2, ::2], spacing=(5.0, 3.0, 3.0)).fallback or "")


def test_broken_parameters_are_refused():
    good = calibrate(np.zeros((2, 20, 20), dtype=np.int16), spacing=(2.0, 0.7, 0.7))
    plain = to_plain(good)
    with pytest.raises(UserError, match="positive"):
        from_plain(DoseCalibration, {**plain, "flux": [-1.0]}, where="x")
    with pytest.raises(UserError, match="odd"):
        from_plain(DoseCalibration, {**plain, "z_taps": [0.5, 0.5]}, where="x")


def test_what_was_synthesised_is_found_again(tools):
    """Self-consistency: noise of a known calibration, added to a smooth body, is measured back from the image."""
    truth = dataclasses.replace(tools.Scanner(5e6, readings=8).calibration(), z_taps=(0.3, 0.9055385, 0.3))
    hu = np.stack([tools.picture(tools.ABDOMEN, 360, 1.1)] * 6)
    spacing = (5.0, 1.1, 1.1)
    model = noise_model(hu, truth, spacing=spacing, doses=[0.5], device=torch.device("cpu"))
    # Half the dose of twice the flux adds what that flux has by itself, electronic noise apart.
    noise = torch.cat([n[:, 0] for _, n in added_noise(model, [0.5], (1, ""))]).numpy()
    found = calibrate(hu + noise, spacing=spacing)
    assert found.fallback is None
    predicted = noise_model(hu, found, spacing=spacing, doses=[0.5], device=torch.device("cpu"))
    body = hu[0] > -500
    ratio = (predicted.added_sd(range(1), [0.5]) / model.added_sd(range(1), [0.5]))[0, 0][torch.from_numpy(body)]
    assert ratio.median().item() == pytest.approx(1, abs=0.06)
    assert found.z_taps[len(found.z_taps) // 2 + 1] == pytest.approx(0.3, abs=0.05)


@pytest.mark.data
@pytest.mark.skipif(not ABDOMEN_CT.is_dir(), reason=f"real CT not found at {ABDOMEN_CT}")
def test_noise_added_to_a_real_abdomen_at_half_dose_equals_the_noise_it_has():
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(ABDOMEN_CT)))
    image = reader.Execute()[:, :, 12:24]
    calibration = calibrate(image)
    assert calibration.fallback is None
    assert calibration.ellipse_mm is None
    (half,) = degrade(image, [0.5], calibration, 0)
    before, after = (sitk.GetArrayFromImage(i).astype(float) for i in (image, half))
    assert np.array_equal(after[before <= -1024], before[before <= -1024])
    # Differences of pixels four apart hold noise, and little of a liver's own texture.
    tissue = (before > 60) & (before < 160)
    apart = tissue[:, :, 4:] & tissue[:, :, :-4]

    def spread(values):
        d = (values[:, :, 4:] - values[:, :, :-4])[apart]
        return 1.4826 * np.median(np.abs(d))

    assert spread(after - before) == pytest.approx(spread(before), rel=0.2)
