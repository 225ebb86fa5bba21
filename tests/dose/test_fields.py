import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from reactkd_auto.dose import degrade, draw_dose_noise, noise_fields
from reactkd_auto.errors import UserError

DOSES = (0.5, 0.25, 0.1, 0.05)


def _draw(noise, log_ratio, doses, dose, angle):
    return draw_dose_noise(
        torch.as_tensor(noise),
        torch.as_tensor(log_ratio),
        torch.log(torch.tensor(doses)),
        torch.tensor(dose),
        torch.tensor(angle),
    )


def test_the_quantum_law_is_exact_between_and_beyond_the_planned_doses():
    noise = torch.randn(1, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    law = [0.5 * math.log((1 / a - 1) / (1 / 0.25 - 1)) for a in DOSES]
    log_ratio = torch.tensor(law).view(1, 4, 1, 1, 1).expand(1, 4, 3, 4, 5)
    for a in (0.02, 0.05, 0.07, 0.3, 0.45, 0.9, 0.999):
        drawn = _draw(noise, log_ratio, DOSES, [a], [0.0])
        expected = noise[:, :1] * math.sqrt((1 / a - 1) / 3)
        assert torch.allclose(drawn, expected, rtol=2e-5)


def test_planned_doses_are_met_exactly_in_any_order():
    rng = torch.Generator().manual_seed(1)
    noise, log_ratio = torch.randn(3, 2, 2, 3, 4, generator=rng), torch.randn(3, 3, 2, 3, 4, generator=rng)
    doses = (0.1, 0.6, 0.25)
    drawn = _draw(noise, log_ratio, doses, list(doses), [0.0, math.pi / 2, 1.0])
    mixed = [noise[0, 0], noise[1, 1], math.cos(1) * noise[2, 0] + math.sin(1) * noise[2, 1]]
    for i in range(3):
        assert torch.allclose(drawn[i, 0], mixed[i] * torch.exp(log_ratio[i, i]), rtol=1e-4, atol=1e-5)


def test_full_dose_draws_exactly_nothing_and_one_planned_dose_suffices():
    noise, log_ratio = torch.randn(2, 2, 2, 3, 4), torch.zeros(2, 1, 2, 3, 4)
    drawn = _draw(noise, log_ratio, (0.25,), [1.0, 0.25], [0.3, 0.0])
    assert drawn.shape == (2, 1, 2, 3, 4)
    assert torch.equal(drawn[0], torch.zeros_like(drawn[0]))
    assert torch.allclose(drawn[1, 0], noise[1, 0], rtol=1e-5)


@pytest.fixture(scope="module")
def hips():
    t = (np.arange(256) - 127.5) * 1.5
    hu = np.full((256, 256), -1000.0, dtype=np.float32)
    hu[(t[:, None] / 110) ** 2 + (t[None] / 175) ** 2 < 1] = 0
    for x in (-95, 95):
        hu[(t[:, None] - 5) ** 2 + (t[None] - x) ** 2 < 24**2] = 700
    return np.stack([hu] * 4)


SPACING = (3.0, 1.5, 1.5)


def test_drawn_patches_have_the_sd_of_the_full_path_at_any_dose(tools, hips):
    calibration = tools.Scanner(4e5).calibration()
    fields = noise_fields(hips, calibration, spacing=SPACING, seed=1, doses=DOSES)
    assert fields.reference == 0.25
    assert fields.noise.shape == (2, 4, 256, 256)
    assert fields.log_ratio.shape == (4, 4, 256, 256)
    for a in (0.07, 0.35, 0.8):
        truth = np.concatenate([degrade(hips, [a], calibration, s, spacing=SPACING)[0] - hips for s in range(3)])
        ours = np.concatenate(
            [_draw(fields.noise[None], fields.log_ratio[None], DOSES, [a], [phi])[0, 0] for phi in (0.4, 1.2, 2.5)]
        )
        for y, x in ((128, 128), (90, 100), (128, 190), (170, 128)):
            window = (slice(None), slice(y - 16, y + 16), slice(x - 16, x + 16))
            assert ours[window].std() == pytest.approx(truth[window].std(), rel=0.08)


def _direction_ratio(noise: np.ndarray) -> float:
    """Power along y over power along x in a central window: how strongly the noise is streaked."""
    ratio = np.zeros(2)
    for image in noise:
        patch = image[112:144, 112:144] * np.outer(np.hanning(32), np.hanning(32))
        power = np.abs(np.fft.fft2(patch)) ** 2
        f = np.fft.fftfreq(32)
        ratio += [
            power[np.abs(f) > 0.08][:, np.abs(f) < 0.05].sum(),
            power[np.abs(f) < 0.05][:, np.abs(f) > 0.08].sum(),
        ]
    return float(ratio[0] / ratio[1])


def test_drawn_patches_are_streaked_as_in_the_full_path(tools, hips):
    calibration = tools.Scanner(3e6).calibration()
    truth = np.concatenate([degrade(hips, [0.1], calibration, s, spacing=SPACING)[0] - hips for s in range(4)])
    drawn = []
    for s in range(4):
        fields = noise_fields(hips, calibration, spacing=SPACING, seed=100 + s, doses=DOSES)
        drawn.append(_draw(fields.noise[None], fields.log_ratio[None], DOSES, [0.1], [0.7])[0, 0].numpy())
    expected = _direction_ratio(truth)
    assert expected > 3
    assert _direction_ratio(np.concatenate(drawn)) == pytest.approx(expected, rel=0.35)


def test_the_two_realisations_are_independent_and_padding_is_silent(tools, hips):
    volume = hips.copy()
    volume[:, :8] = -1024
    fields = noise_fields(volume, tools.Scanner(4e5).calibration(), spacing=SPACING, seed=1, doses=(0.2,))
    body = volume > -500
    assert abs(np.corrcoef(fields.noise[0][body], fields.noise[1][body])[0, 1]) < 0.03
    assert not fields.noise[:, :, :8].any()
    assert np.isfinite(fields.log_ratio).all()
    assert not fields.log_ratio.any()


def test_fields_of_an_image_lie_on_the_axes_of_its_array(tools, hips):
    image = sitk.GetImageFromArray(hips)
    image.SetSpacing(SPACING[::-1])
    calibration = tools.Scanner(4e5).calibration()
    array = noise_fields(hips, calibration, spacing=SPACING, seed=1, doses=(0.2, 0.1))
    permuted = noise_fields(sitk.PermuteAxes(image, [2, 0, 1]), calibration, seed=1, doses=(0.2, 0.1))
    assert np.array_equal(permuted.noise, array.noise.transpose(0, 2, 3, 1))


def test_a_planned_dose_of_one_is_refused(tools, hips):
    with pytest.raises(UserError, match="below 1"):
        noise_fields(hips, tools.Scanner(4e5).calibration(), spacing=SPACING, seed=1, doses=(1.0, 0.5))


@pytest.mark.parametrize("shape", [(6, 40, 40), (1, 8, 9)])
def test_small_crops_have_finite_fields(shape, tools):
    volume = np.random.default_rng(0).normal(-600, 200, shape).astype(np.float32)
    fields = noise_fields(volume, tools.Scanner(4e5).calibration(), spacing=(2.0, 0.7, 0.7), seed=1, doses=DOSES)
    assert np.isfinite(fields.noise).all()
    assert np.isfinite(fields.log_ratio).all()
