"""Calibration of scanners that it has not seen: from the image alone, judged by the noise that a lower dose adds."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from reactkd_auto.dose import calibrate, degrade
from reactkd_auto.dose.synthesis import noise_model
from tests.dose.fan_beam import ABDOMEN, CHEST, HEAD, HIPS, FanBeam, texture

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("REACTKD_TEST_DATA", ROOT / "../shared/data"))
LOW_CONTRAST = DATA / "lcd_phantom" / "data" / "small_dataset" / "fbp"
QUARTER = 0.25


def blind(scanner, phantom, size, spacing, *, anatomy=0.0, slices=4):
    """Calibration, and our SD over the exact one of what a quarter of the dose adds, at points all over the body."""
    hu = scanner.scan(phantom, size, spacing[1], slices, seed=1)
    hu += texture(hu.shape, spacing[1], anatomy, seed=3) * (hu > -500)
    found = calibrate(hu, spacing=spacing)
    assert found.fallback is None
    at = np.random.default_rng(5).uniform(-1, 1, (400, 2))
    points = at[(at**2).sum(1) < 0.8] * phantom[0].axes
    model = noise_model(hu, found, spacing=spacing, doses=[QUARTER], device=torch.device("cpu"))
    sd = model.added_sd(range(1), [QUARTER])[0, 0].numpy()
    row, column = np.rint(points / spacing[1] + (size - 1) / 2).astype(int).T
    return found, sd[row, column] / scanner.added_sd(phantom, QUARTER, points)


SCANS = {
    "abdomen, 5 mm": (FanBeam(1e6, bowtie=0.6, cutoff=0.9, rows=8), ABDOMEN, 400, (5.0, 0.8, 0.8), 0.0),
    "abdomen, soft kernel, modulated current, 3 mm": (
        FanBeam(3e5, bowtie=1.0, modulation=0.3, cutoff=0.65, rows=5), ABDOMEN, 420, (3.0, 0.78, 0.78), 0.0,
    ),
    "abdomen with texture, 2 mm": (
        FanBeam(3e5, bowtie=0.3, cutoff=0.75, power=1.0, rows=4), ABDOMEN, 440, (2.0, 0.7, 0.7), 6.0,
    ),
    "abdomen, low dose, 1 mm": (
        FanBeam(8e4, bowtie=0.6, modulation=0.3, rows=4), ABDOMEN, 400, (1.0, 0.8, 0.8), 4.0,
    ),
    "hips": (FanBeam(2e6, bowtie=0.3, modulation=0.4, cutoff=0.8, rows=8), HIPS, 400, (5.0, 0.9, 0.9), 0.0),
    "head": (FanBeam(4e5, bowtie=0.8, cutoff=0.8, rows=8), HEAD, 460, (5.0, 0.45, 0.45), 3.0),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SCANS)
def test_hidden_fan_beam_scanners_are_calibrated_blind(name):
    scanner, phantom, size, spacing, anatomy = SCANS[name]
    found, ratio = blind(scanner, phantom, size, spacing, anatomy=anatomy)
    assert np.median(ratio) == pytest.approx(1, abs=0.04)
    assert np.sqrt(np.mean((ratio / np.median(ratio) - 1) ** 2)) < 0.07
    # Fan-beam weights 1/L² add noise off the axis, up to 20 % of the variance, which flux and bowtie share out.
    assert np.median(found.flux) == pytest.approx(scanner.equivalent_flux, rel=0.15)


@pytest.mark.slow
def test_a_sharp_kernel_in_a_chest_of_few_patches_is_calibrated_to_a_tenth():
    scanner = FanBeam(5e5, bowtie=0.6, modulation=0.2, cutoff=1.4, power=1.0, rows=4)
    _, ratio = blind(scanner, CHEST, 500, (1.0, 0.7, 0.7), anatomy=4.0)
    assert np.median(ratio) == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_a_hidden_parallel_scanner_is_calibrated_blind(tools):
    """Where every ray weighs the same, flux and bowtie are found by themselves."""
    scanner, body = tools.Scanner(1e6, bowtie=0.8, readings=8), tools.ABDOMEN
    rng = np.random.default_rng(4)
    hu = np.stack([tools.picture(body, 384, 1.0) + scanner.scan(body, 384, 1.0, rng) for _ in range(6)])
    found = calibrate(hu, spacing=(5.0, 1.0, 1.0))
    assert found.fallback is None
    counts = scanner.counts(body)
    variance = [tools.exact_moments(counts * a, 5.0)[0] / 8 for a in (QUARTER, 1.0)]
    index = rng.integers(130, 250, size=(200, 2))
    exact = np.sqrt(scanner.back_project(variance[0] - variance[1], index - 191.5, squared=True))
    ours = noise_model(hu, found, spacing=(5.0, 1.0, 1.0), doses=[QUARTER], device=torch.device("cpu"))
    sd = ours.added_sd(range(1), [QUARTER])[0, 0].numpy()[index[:, 0], index[:, 1]]
    assert np.median(sd / exact) == pytest.approx(1, abs=0.04)
    assert np.median(found.flux) == pytest.approx(1e6, rel=0.15)
    assert found.bowtie == pytest.approx(0.8, abs=0.15)


def low_contrast(dose):
    """(10, 256, 256) HU of the uniform phantom; its file says neither pixel nor offset: 200 mm disk, water 1000."""
    files = sorted((LOW_CONTRAST / f"dose_{dose}" / "signal_absent").glob("*.raw"))
    return np.stack([np.fromfile(f, dtype=np.int16).reshape(256, 256) for f in files]).astype(np.float32) - 1000


def spectrum(noise, pixel):
    """Ring averages of the noise power in 64 × 64 windows near the centre."""
    taper = np.outer(np.hanning(64), np.hanning(64))
    windows = [noise[:, r : r + 64, c : c + 64] for r in (64, 96, 128) for c in (64, 96, 128)]
    power = np.mean([np.abs(np.fft.fft2((w - w.mean((1, 2), keepdims=True)) * taper)) ** 2 for w in windows], (0, 1))
    f = np.fft.fftfreq(64, pixel)
    rho = np.hypot(f[:, None], f[None])
    edges = np.arange(0.1, 0.55, 0.09)
    return np.array([power[(rho >= a) & (rho < b)].mean() for a, b in itertools.pairwise(edges)])


@pytest.mark.data
@pytest.mark.skipif(not LOW_CONTRAST.is_dir(), reason=f"phantom not found at {LOW_CONTRAST}")
@pytest.mark.parametrize(("name", "dose"), [("010", 0.1), ("055", 0.55)])
def test_low_contrast_phantom_degraded_from_full_dose_equals_its_own_simulation_at_low_dose(name, dose):
    """The phantom's authors simulated one reading a ray without electronic noise (its SD follows √(1/a − 1)): told."""
    pixel = 0.86
    full, low = low_contrast("100"), low_contrast(name)
    calibration = calibrate(full, spacing=(1.0, pixel, pixel), electronic_noise=0.0, readings=1)
    assert calibration.fallback is None
    (ours,) = degrade(full, [dose], calibration, 3, spacing=(1.0, pixel, pixel))
    r = np.hypot(*np.mgrid[-127.5:128, -127.5:128])
    for inner, outer in ((0, 45), (45, 90)):
        ring = (r >= inner) & (r < outer)
        sd_ours, sd_low = (x[:, ring].std(axis=0, ddof=1) for x in (ours, low))
        assert np.sqrt((sd_ours**2).mean() / (sd_low**2).mean()) == pytest.approx(1, abs=0.04)
    ratio = spectrum(ours - ours.mean(0), pixel) / spectrum(low - low.mean(0), pixel)
    assert ratio == pytest.approx(np.ones_like(ratio), abs=0.12)
