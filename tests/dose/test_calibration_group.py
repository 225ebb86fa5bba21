"""CTs that say too little by themselves, and CTs whose noise is not a scanner's own."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.restoration import denoise_bilateral, denoise_nl_means

from reactkd_auto.dose import calibrate
from reactkd_auto.dose.calibration import FEWEST_PATCHES, calibrate_evidence, calibrate_group, shrunk
from reactkd_auto.dose.degrade import added_noise
from reactkd_auto.dose.departure import departures
from reactkd_auto.dose.evidence import gather, read_evidence, write_evidence
from reactkd_auto.dose.synthesis import noise_model
from reactkd_auto.dose.volumes import axial_stack
from reactkd_auto.dose.whittle import Flux
from tests.dose.scanner import ABDOMEN, Scanner, picture

SPACING = (3.0, 1.0, 1.0)
FLUXES = (2e6, 1e6, 5e5, 2e6, 1e6, 5e5)


def noisy(flux, seed, slices=4):
    """An abdomen with the noise of a known calibration."""
    hu = np.stack([picture(ABDOMEN, 360, 1.0)] * slices)
    truth = dataclasses.replace(Scanner(2 * flux).calibration(), electronic_noise=0.0)
    model = noise_model(hu, truth, spacing=SPACING, doses=[0.5], device=torch.device("cpu"))
    # Half the dose of twice the flux adds what that flux has by itself.
    return hu + torch.cat([n[:, 0] for _, n in added_noise(model, [0.5], (seed, ""))]).numpy()


@pytest.fixture(scope="module")
def whole():
    return [noisy(flux, i) for i, flux in enumerate(FLUXES)]


def crops(whole):
    """Small boxes of homogeneous tissue: each has a handful of patches only."""
    return [gather(axial_stack(hu[:2, 200:248, 190:254], SPACING)) for hu in whole]


def test_crops_too_small_alone_are_calibrated_together_each_with_its_own_flux(whole):
    small = crops(whole)
    assert all(0 < len(e) < FEWEST_PATCHES for e in small)
    assert all(calibrate_evidence(e).fallback for e in small)
    found = calibrate_group(small)
    assert all(c.fallback is None for c in found)
    assert len({c.kernel_ln_h2 for c in found}) == 1
    levels = np.log([c.flux[0] for c in found])
    assert levels - levels.mean() == pytest.approx(np.log(FLUXES) - np.log(FLUXES).mean(), abs=0.35)
    truth = Scanner(1).calibration()
    kernel = np.interp((0.2, 0.3), truth.kernel_frequencies, truth.kernel_ln_h2)
    ours = np.interp((0.2, 0.3), found[0].kernel_frequencies, found[0].kernel_ln_h2)
    assert ours[1] - ours[0] == pytest.approx(kernel[1] - kernel[0], abs=0.4)


def test_a_ct_without_patches_gets_what_its_group_predicts(whole):
    small = crops(whole)
    air = gather(axial_stack(np.full((2, 48, 64), -800, np.float32), SPACING))
    assert len(air) == 0
    *_, blind = calibrate_group([*small, air])
    assert blind.fallback is None
    assert blind.patches == 0
    fluxes = [c.flux[0] for c in calibrate_group(small)]
    assert min(fluxes) < blind.flux[0] < max(fluxes)
    *_, by_dose = calibrate_group([*small, air], [200.0, 100.0, 50.0, 200.0, 100.0, 50.0, 400.0])
    assert by_dose.flux[0] == pytest.approx(max(fluxes) * 2, rel=0.4)


def test_a_group_without_enough_patches_keeps_the_preset_and_says_so(whole):
    few = [e.thinned(2) for e in crops(whole)[:3]]
    for calibration in calibrate_group(few):
        assert "patches" in (calibration.fallback or "")


def test_a_ct_of_one_patch_is_calibrated_with_its_group(whole):
    *_, last = others = crops(whole)
    *_, found = calibrate_group([*others, last.thinned(1)])
    assert found.fallback is None
    assert found.patches == 1


def test_flux_shrinks_towards_the_exposure_the_more_the_fewer_patches():
    exposures = np.log([100.0, 200.0, 400.0, 100.0, 200.0])
    own: list[Flux | None] = [Flux((0.0,), (v,), 50) for v in exposures + 5 + (0.02, -0.02, 0.01, 0, -0.01)]
    own[3] = Flux((0.0,), (exposures[3] + 6,), 1)
    own[4] = None
    done = [f.ln_flux[0] for f in shrunk(own, exposures.tolist())]
    assert done[4] == pytest.approx(exposures[4] + 5, abs=0.03)
    assert done[3] == pytest.approx(exposures[3] + 5, abs=0.1)  # one patch against a group that agrees
    assert done[0] == pytest.approx(exposures[0] + 5.02, abs=0.03)
    spread = [Flux((0.0,), (v,), 200) for v in np.add(exposures, (4.0, 5.0, 6.0, 4.5, 5.5))]
    free = [f.ln_flux[0] for f in shrunk(spread, exposures.tolist())]
    assert free == pytest.approx([f.ln_flux[0] for f in spread], abs=0.1)  # where mAs says nothing, nothing moves


def test_evidence_survives_its_file(whole, tmp_path):
    evidence = crops(whole)[0]
    write_evidence(tmp_path / "e.npz", evidence)
    again = read_evidence(tmp_path / "e.npz")
    assert (again.spacing, again.depth, again.ellipse_mm) == (evidence.spacing, evidence.depth, evidence.ellipse_mm)
    assert again.power.numpy() == pytest.approx(evidence.power.numpy(), rel=1e-2)
    assert again.rays.path.numpy() == pytest.approx(evidence.rays.path.numpy(), rel=1e-3)
    (first,), (second,) = calibrate_group([evidence] * 1), calibrate_group([again] * 1)
    assert first.flux == pytest.approx(second.flux, rel=0.02)


def test_noise_departs_from_the_quantum_law_where_electronic_noise_and_starvation_rule(whole):
    evidence = gather(axial_stack(whole[0], SPACING))
    plenty = dataclasses.replace(Scanner(1e8).calibration(), electronic_noise=0.0)
    assert departures(evidence, plenty, (0.05, 0.25)) == pytest.approx((1, 1), abs=0.01)
    noisy_reading = Scanner(6e4).calibration()
    low, high = departures(evidence, noisy_reading, (0.05, 0.5))
    assert low > 1.4
    assert high < low
    empty = gather(axial_stack(np.full((2, 48, 64), -1000, np.float32), SPACING))
    assert departures(empty, plenty, (0.1,)) == (1.0,)


def non_local_means(hu, sd):
    return denoise_nl_means(hu, patch_size=5, patch_distance=6, h=0.8 * sd, sigma=sd, fast_mode=True)


def bilateral(hu, sd):
    scale = 4000.0
    smooth = denoise_bilateral((hu + 1024) / scale, sigma_color=1.5 * sd / scale, sigma_spatial=1.5, win_size=7)
    return smooth * scale - 1024


@pytest.mark.parametrize("denoise", [non_local_means, bilateral])
def test_denoised_images_get_the_preset_and_the_reason(whole, denoise):
    hu = whole[2][:2]
    sd = float(hu[0, 170:190, 190:210].std())
    smooth = np.stack([denoise(image, sd) for image in hu]).astype(np.float32)
    assert calibrate(hu, spacing=SPACING).fallback is None
    reason = calibrate(smooth, spacing=SPACING).fallback or ""
    assert "denoised" in reason


def test_a_blend_of_mostly_denoised_is_recognised_and_half_a_blend_is_not(whole):
    """The limit, stated: half noise of FBP on half a denoised image has the spectrum of FBP at four times the dose."""
    hu = whole[2][:2]
    sd = float(hu[0, 170:190, 190:210].std())
    smooth = np.stack([non_local_means(image, sd) for image in hu]).astype(np.float32)
    assert "not Gaussian" in (calibrate(0.1 * hu + 0.9 * smooth, spacing=SPACING).fallback or "")
    half = calibrate(0.5 * hu + 0.5 * smooth, spacing=SPACING)
    assert half.fallback is None
    assert np.median(half.flux) > 2.5 * np.median(calibrate(hu, spacing=SPACING).flux)


def test_a_smoothed_image_has_a_collapsed_spectrum(whole):
    smooth = ndimage.gaussian_filter(whole[2], (0, 1.3, 1.3))
    assert "collapsed" in (calibrate(smooth, spacing=SPACING).fallback or "")


def test_a_denoised_ct_among_others_is_given_their_noise_with_the_reason(whole):
    hu = whole[2][:2]
    sd = float(hu[0, 170:190, 190:210].std())
    denoised = gather(axial_stack(np.stack([non_local_means(i, sd) for i in hu]).astype(np.float32), SPACING))
    others = [gather(axial_stack(h, SPACING)).thinned(40) for h in whole[:3]]
    *_, found = calibrate_group([*others, denoised])
    assert "typical of the CTs of its kind" in (found.fallback or "")
    assert found.kernel_ln_h2 == calibrate_group([*others, denoised])[0].kernel_ln_h2
