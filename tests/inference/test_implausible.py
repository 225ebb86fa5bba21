"""CTs and finds that are unlike the cohort, one fault each."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.fingerprint import Fingerprint
from reactkd_auto.inference.domain import domain_of
from reactkd_auto.inference.implausible import measured_noise, strange_intensities, strange_noise, strange_regions
from tests.builders import small_dataset, small_plan
from tests.inference.conftest import measured_case, simulated_ct


@pytest.fixture(scope="module")
def known():
    cohort = Fingerprint("D", tuple(measured_case(seed) for seed in range(6)))
    return domain_of(cohort, small_plan(), small_dataset())


def changed(image, change):
    result = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image)))
    result.CopyInformation(image)
    return result


def shuffled(array):
    return np.random.default_rng(0).permutation(array.ravel()).reshape(array.shape)


def test_a_ct_of_the_same_kind_is_like_the_cohort(known):
    ct, regions = simulated_ct(40)
    assert strange_intensities(ct, regions, known, small_dataset()) == ""
    assert strange_regions(ct, regions, known, small_dataset()) == []


@pytest.mark.parametrize(
    "change",
    [shuffled, lambda a: a + 1024, lambda a: 0.2 * (a + 1000), lambda a: -a],
    ids=["shuffled", "without intercept", "another scale", "inverted"],
)
def test_other_intensities_are_told_with_distance_and_limit(known, change):
    ct, regions = simulated_ct(40)
    sentence = strange_intensities(changed(ct, change), regions, known, small_dataset())
    assert "most similar training case" in sentence
    assert f"at most {known.limit_hu:.0f}" in sentence


def test_a_window_is_seen_though_the_lesion_is_untouched(known):
    ct, regions = simulated_ct(40)
    wide = dataclasses.replace(known, highest_hu=1500.0)
    cut = changed(ct, lambda a: np.clip(a, -160, 240))
    assert "window of -160 to" in strange_intensities(cut, regions, wide, small_dataset())
    like_the_cohort = dataclasses.replace(known, highest_hu=160.0)
    assert "window" not in strange_intensities(cut, regions, like_the_cohort, small_dataset())


def test_an_organ_that_is_too_large_too_small_or_not_there(known):
    ct, regions = simulated_ct(40)
    for limits in ((1e2, 1e3), (1e6, 1e7)):
        odd = dataclasses.replace(known, organ_mm3=limits)
        assert "organ of" in strange_regions(ct, regions, odd, small_dataset())[0]
    lesions = changed(regions, lambda a: np.where(a == 1, 0, a).astype(np.uint8))
    assert strange_regions(ct, lesions, known, small_dataset()) == [
        "No organ was found, and every training case had one."
    ]


def test_regions_that_lie_far_apart(known):
    ct, regions = simulated_ct(40)
    tight = dataclasses.replace(known, extent_mm=(500.0, 10.0, 500.0))
    assert "mm along y, expected at most 10 mm" in strange_regions(ct, regions, tight, small_dataset())[0]


def test_a_lesion_in_the_air(known):
    ct, regions = simulated_ct(40)

    def moved(labels):
        labels = np.where(labels == 2, 1, labels)
        labels[2:8, :4, :4] = 2
        return labels.astype(np.uint8)

    said = strange_regions(ct, changed(regions, moved), known, small_dataset())
    assert any("of the lesions lies in the body" in sentence for sentence in said)


def test_noise_is_measured_and_told_where_it_is_outside_of_what_training_saw():
    rng = np.random.default_rng(0)
    water = sitk.GetImageFromArray(rng.normal(0, 12, (6, 96, 96)).astype(np.float32))
    assert measured_noise(water) == pytest.approx(12, rel=0.1)
    assert strange_noise(12.0, (5.0, 20.0)) == ""
    assert "more than training saw (5 to 20 HU)" in strange_noise(40.0, (5.0, 20.0))
    assert "less than training saw" in strange_noise(1.0, (5.0, 20.0))
    assert "can't be measured" in strange_noise(None, (5.0, 20.0))
    assert strange_noise(40.0, None) == ""
