import dataclasses
import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from reactkd_auto.dose import degrade
from reactkd_auto.dose.calibration import z_filter
from reactkd_auto.dose.degrade import added_noise, noise_engine
from reactkd_auto.dose.parameters import preset
from reactkd_auto.dose.volumes import axial_stack
from reactkd_auto.errors import UserError

SPACING = (3.0, 1.5, 1.5)


@pytest.fixture
def calibration():
    return dataclasses.replace(preset(reason="test", slice_mm=3.0, ellipse_mm=None), electronic_noise=0.0)


@pytest.fixture
def body(tools) -> np.ndarray:
    """(3, 256, 256) int16: abdomen with air around it and padding in the corners."""
    hu = tools.picture((tools.Ellipse((0, 0), (110, 160), 1000), tools.Ellipse((0, 90), (20, 20), 600)), 256, 1.5)
    t = np.arange(256) - 127.5
    hu[np.hypot(t[:, None], t[None]) > 128] = -2000
    return np.stack([hu, hu, hu]).round().astype(np.int16)


@pytest.fixture
def small(tools) -> np.ndarray:
    """(3, 80, 80) int16: a limb with air around it and padding in the corners."""
    hu = tools.picture((tools.Ellipse((0, 0), (40, 52), 1000), tools.Ellipse((0, 20), (10, 10), 600)), 80, 1.5)
    t = np.arange(80) - 39.5
    hu[np.hypot(t[:, None], t[None]) > 40] = -2000
    return np.stack([hu, hu, hu]).round().astype(np.int16)


both_engines = pytest.mark.parametrize("engine", ["fft", "fbp"])


def _difference(body, result):
    return result.astype(float) - body.astype(float)


@both_engines
def test_full_dose_returns_the_input_bit_for_bit(small, calibration, engine):
    for volume in (small[:1], small[:1].astype(np.float32) + 0.1):
        full, _ = degrade(volume, [1.0, 0.5], calibration, 0, spacing=SPACING, engine=engine)
        assert full is not volume
        assert full.dtype == volume.dtype
        assert np.array_equal(full, volume)


def test_noise_rises_as_the_dose_falls_and_follows_the_dose_law(body, calibration):
    doses = [0.8, 0.5, 0.25, 0.1]
    centre = (slice(None), slice(100, 156), slice(80, 130))
    sds = [_difference(body, r)[centre].std() for r in degrade(body, doses, calibration, 3, spacing=SPACING)]
    assert sds == sorted(sds)
    law = [s / math.sqrt(1 / a - 1) for s, a in zip(sds, doses, strict=True)]
    assert np.allclose(law, law[1], rtol=0.03)


@both_engines
@pytest.mark.parametrize("coupling", ["shared", "nested", "independent"])
def test_couplings_agree_in_sd_and_differ_in_correlation(small, calibration, engine, coupling):
    options = {"spacing": SPACING, "engine": engine, "coupling": coupling}
    results = degrade(small.astype(np.float32), [0.5, 0.1], calibration, 3, **options)
    high, low = (_difference(small, r)[small > -500] for r in results)
    # Thinning: the noise of the lower dose holds that of the higher, so r = SD of the higher / SD of the lower.
    expected = {"shared": 1.0, "nested": high.std() / low.std(), "independent": 0.0}[coupling]
    assert np.corrcoef(high, low)[0, 1] == pytest.approx(expected, abs=0.06)
    assert low.std() / high.std() == pytest.approx(3.0, rel=0.06)


def test_mean_hu_of_water_is_kept(tools, calibration):
    water = np.stack([tools.picture(tools.WATER, 256, 1.5)] * 6)
    (low,) = degrade(water, [0.1], calibration, 1, spacing=SPACING)
    added = _difference(water, low)[water > -500]
    assert abs(added.mean()) < 0.2
    assert added.std() > 20


def test_bias_follows_the_exact_bias_propagated_by_filtered_back_projection(tools):
    scanner = tools.Scanner(4e4)
    hips = tools.picture(tools.HIPS, 512, 0.8)[None]
    plain, shifted = (
        degrade(hips, [0.05], scanner.calibration(), 1, spacing=tools.SPACING, bias=b)[0] for b in (False, True)
    )
    counts = scanner.counts(tools.HIPS)
    added = tools.exact_moments(counts * 0.05, 5.0)[1] - tools.exact_moments(counts, 5.0)[1]
    rows = np.array([156, 256, 256, 330])
    columns = np.array([256, 256, 200, 300])
    mm = (np.stack([rows, columns], 1) - 255.5) * 0.8
    expected = scanner.back_project(added, mm)
    found = np.array(
        [(shifted - plain)[0, r - 4 : r + 5, c - 4 : c + 5].mean() for r, c in zip(rows, columns, strict=True)]
    )
    assert np.abs(expected).max() > 10
    assert np.allclose(found, expected, atol=0.08 * np.abs(expected).max())


@both_engines
def test_added_noise_does_not_depend_on_the_edges_of_the_image(tools, calibration, engine):
    smooth = tools.picture((tools.Ellipse((0, 0), (40, 50), 1000),), 96, 1.5)[None]
    squares = np.where(np.add.outer(np.arange(96), np.arange(96)) % 2, 60, -60)
    checkered = (smooth + squares * (smooth > -1)).astype(np.float32)
    options = {"spacing": SPACING, "engine": engine}
    noise = [_difference(v, degrade(v, [0.25], calibration, 2, **options)[0]) for v in (smooth, checkered)]
    body = smooth > -500
    assert np.abs(noise[0] - noise[1])[body].max() < 0.05 * noise[0][body].std()


@both_engines
def test_seed_and_case_pick_the_noise(small, calibration, engine):
    def noise(seed, case):
        return _difference(
            small, degrade(small, [0.2], calibration, seed, spacing=SPACING, case=case, engine=engine)[0]
        )

    first = noise(5, "a")
    assert np.array_equal(first, noise(5, "a"))
    inside = small > -500
    for other in (noise(5, "b"), noise(6, "a")):
        assert abs(np.corrcoef(first[inside], other[inside])[0, 1]) < 0.05


@both_engines
def test_a_volume_degraded_in_parts_of_any_size_is_the_same_bit_for_bit(small, calibration, engine):
    stack, doses = axial_stack(small, SPACING), [0.5, 0.1]
    model = noise_engine(stack, dataclasses.replace(calibration, z_taps=z_filter(0.3)), doses, engine=engine)

    def part(first, last):
        parts = added_noise(model, doses, (4, "case"), coupling="nested", bias=True, first=first, last=last)
        return torch.cat([noise for _, noise in parts])

    assert torch.equal(part(0, 3)[1:], torch.cat([part(1, 2), part(2, 3)]))


@both_engines
def test_padding_and_nan_are_untouched_and_strange_slices_stay_finite(small, calibration, engine):
    volume = np.concatenate([small, small, small]).astype(np.float32)[:7]
    volume[0] = -1000
    volume[1] = 0
    volume[2] = 3071
    volume[3, 30:35, 30:35] = 30000
    volume[4, 20:25] = np.nan
    volume[5] = -3024
    (low,) = degrade(volume, [0.02], calibration, 1, spacing=SPACING, engine=engine, bias=True)
    assert np.array_equal(np.isnan(low), np.isnan(volume))
    assert np.isfinite(low[~np.isnan(volume)]).all()
    padding = volume <= -1024
    assert np.array_equal(low[padding], volume[padding])


@both_engines
def test_integers_are_rounded_and_clipped_to_their_range(small, calibration, engine):
    high = small.copy()
    high[high > -500] = 32760
    (low,) = degrade(high, [0.05], calibration, 1, spacing=SPACING, engine=engine)
    assert low.dtype == np.int16
    assert low[small > -500].min() > 0
    assert np.unique(low[small > -500]).size > 20


def _image(array: np.ndarray, direction=None) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((1, 2, 3))
    if direction:
        image.SetDirection(direction)
    return image


def test_images_come_back_as_images_on_their_own_grid(body, calibration):
    image = _image(body)
    (low,) = degrade(image, [0.3], calibration, 1)
    (array,) = degrade(body, [0.3], calibration, 1, spacing=SPACING)
    assert low.GetPixelID() == image.GetPixelID()
    assert low.GetOrigin() == image.GetOrigin()
    assert np.array_equal(sitk.GetArrayFromImage(low), array)


def test_a_sagittal_array_is_degraded_in_its_axial_planes(body, calibration):
    axial = _image(body)
    sagittal = sitk.PermuteAxes(axial, [1, 2, 0])
    (expected,) = degrade(axial, [0.3], calibration, 1)
    (low,) = degrade(sagittal, [0.3], calibration, 1)
    assert low.GetDirection() == sagittal.GetDirection()
    back = sitk.GetArrayFromImage(sitk.PermuteAxes(low, [2, 0, 1]))
    noise, known = (_difference(body, a)[body > -500] for a in (back, sitk.GetArrayFromImage(expected)))
    assert noise.std() == pytest.approx(known.std(), rel=0.02)


@pytest.mark.parametrize("shape", [(6, 40, 40), (2, 30, 50), (1, 8, 8), (1, 1, 1)])
def test_small_crops_are_degraded(shape, calibration):
    volume = np.random.default_rng(0).normal(-600, 200, shape).astype(np.float32)
    (low,) = degrade(volume, [0.2], calibration, 1, spacing=(2.0, 0.7, 0.7))
    assert low.shape == shape
    assert np.isfinite(low).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: {"volume": v[None], "spacing": SPACING}, "3D"),
        (lambda v: {"volume": v}, "spacing"),
        (lambda v: {"volume": v, "spacing": SPACING, "fractions": [0.0]}, "fractions"),
        (lambda v: {"volume": v, "spacing": SPACING, "fractions": [1.5]}, "fractions"),
        (lambda v: {"volume": v, "spacing": SPACING, "fractions": []}, "fractions"),
        (lambda v: {"volume": np.abs(v), "spacing": SPACING}, "HU"),
        (lambda v: {"volume": v.astype(complex), "spacing": SPACING}, "numbers"),
    ],
)
def test_mistakes_are_told_in_a_sentence(body, calibration, change, words):
    arguments = {"fractions": [0.5], "spacing": None, **change(body)}
    with pytest.raises(UserError, match=words):
        degrade(arguments["volume"], arguments["fractions"], calibration, 0, spacing=arguments["spacing"])


@pytest.mark.parametrize("option", [{"engine": "sinogram"}, {"coupling": "none"}])
def test_an_unknown_engine_or_coupling_is_refused(body, calibration, option):
    with pytest.raises(UserError, match="expected"):
        degrade(body, [0.5], calibration, 0, spacing=SPACING, **option)


def test_oblique_and_four_dimensional_images_are_refused(body, calibration):
    c, s = math.cos(math.radians(45)), math.sin(math.radians(45))
    with pytest.raises(UserError, match="oblique"):
        degrade(_image(body, (1, 0, 0, 0, c, -s, 0, s, c)), [0.5], calibration, 0)
    with pytest.raises(UserError, match="3D"):
        degrade(sitk.Image([4, 4, 4, 2], sitk.sitkInt16), [0.5], calibration, 0)
