"""From the localiser's probabilities to plausible regions."""

from types import SimpleNamespace

import numpy as np

from reactkd_auto.regions.plausible import LesionLimits, lesion_limits, lesion_sizes, plausible_labels
from tests.builders import small_dataset, small_plan

ORGAN, LESION = 1, 2


def _probabilities(*boxes: tuple[int, tuple[slice, slice, slice], float]) -> np.ndarray:
    probabilities = np.zeros((3, 20, 20, 20), np.float32)
    for index, box, p in boxes:
        probabilities[(index, *box)] = p
    probabilities[0] = 1 - probabilities[1:].sum(axis=0)
    return probabilities


def _labels(probabilities: np.ndarray, limits: LesionLimits = LesionLimits(0.0)) -> np.ndarray:  # noqa: B008
    return plausible_labels(probabilities, small_dataset(), voxel_mm3=8.0, limits=limits)


def test_nothing_above_the_threshold_is_nothing_found():
    everywhere = (slice(None),) * 3
    assert not _labels(_probabilities((ORGAN, everywhere, 0.3), (LESION, everywhere, 0.3))).any()
    assert not _labels(_probabilities()).any()


def test_of_an_organ_the_largest_component_and_its_like_stay_and_specks_go():
    large, like, speck = (np.s_[0:8, 0:8, 0:8], np.s_[12:18, 12:18, 0:8], np.s_[0:2, 0:2, 18:20])
    organ = _labels(_probabilities((ORGAN, large, 0.9), (ORGAN, like, 0.9), (ORGAN, speck, 0.9))) == 1
    assert organ[large].all()
    assert organ[like].all()
    assert not organ[speck].any()


def test_every_lesion_component_of_the_planned_size_stays():
    first, second, small = (np.s_[0:4, 0:4, 0:4], np.s_[10:12, 10:12, 10:13], np.s_[18:19, 18:19, 18:20])
    probabilities = _probabilities(*((LESION, box, 0.8) for box in (first, second, small)))
    lesions = _labels(probabilities, LesionLimits(65.0)) == 2
    assert lesions[first].all()
    assert lesions[second].all()
    assert not lesions[small].any()


def test_lesions_that_no_training_case_could_have_are_dropped_and_their_sizes_known():
    sizes = (np.s_[0:8, 0:8, 0:8], np.s_[10:13, 10:13, 10:13], np.s_[15:17, 15:17, 15:17], np.s_[19:20, 0:2, 0:2])
    probabilities = _probabilities(*((LESION, box, 0.8) for box in sizes))
    kept = _labels(probabilities, LesionLimits(30.0, largest_mm3=1000.0, most=2)) == 2
    assert [bool(kept[box].any()) for box in sizes] == [False, True, True, False]
    assert sorted(lesion_sizes(probabilities, small_dataset(), voxel_mm3=8.0)) == [32.0, 64.0, 216.0, 4096.0]


def test_limits_come_from_the_training_cohort():
    assert lesion_limits(small_plan(), None) == LesionLimits(65.0)
    cohort = SimpleNamespace(
        cases=(SimpleNamespace(lesion_volumes_mm3=(5000.0, 400.0)), SimpleNamespace(lesion_volumes_mm3=()))
    )
    assert lesion_limits(small_plan(), cohort) == LesionLimits(200.0, largest_mm3=10000.0, most=2)
