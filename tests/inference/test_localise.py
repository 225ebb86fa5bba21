"""From the localiser's probabilities to a plausible region map on the CT's grid."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from reactkd_auto.imageio import same_grid
from reactkd_auto.inference.localise import Found, LesionLimits, find_regions, lesion_limits, plausible_masks
from reactkd_auto.inference.model import load_model
from tests.builders import small_dataset
from tests.inference.conftest import plan_for_tests, simulated_ct

ORGAN, LESION = 1, 2


def _probabilities(*boxes: tuple[int, tuple[slice, slice, slice], float]) -> np.ndarray:
    probabilities = np.zeros((3, 20, 20, 20), np.float32)
    for index, box, p in boxes:
        probabilities[(index, *box)] = p
    probabilities[0] = 1 - probabilities[1:].sum(axis=0)
    return probabilities


def _masks(probabilities: np.ndarray, limits: LesionLimits = LesionLimits(0.0)) -> dict[int, np.ndarray]:  # noqa: B008
    return plausible_masks(probabilities, small_dataset(), voxel_mm3=8.0, limits=limits)


def test_nothing_above_the_threshold_is_nothing_found():
    everywhere = (slice(None),) * 3
    assert _masks(_probabilities((ORGAN, everywhere, 0.3), (LESION, everywhere, 0.3))) == {}
    assert _masks(_probabilities()) == {}


def test_of_an_organ_the_largest_component_and_its_like_stay_and_specks_go():
    large, like, speck = (np.s_[0:8, 0:8, 0:8], np.s_[12:18, 12:18, 0:8], np.s_[0:2, 0:2, 18:20])
    organ = _masks(_probabilities((ORGAN, large, 0.9), (ORGAN, like, 0.9), (ORGAN, speck, 0.9)))[1]
    assert organ[large].all()
    assert organ[like].all()
    assert not organ[speck].any()


def test_every_lesion_component_of_the_planned_size_stays():
    first, second, small = (np.s_[0:4, 0:4, 0:4], np.s_[10:12, 10:12, 10:13], np.s_[18:19, 18:19, 18:20])
    probabilities = _probabilities(*((LESION, box, 0.8) for box in (first, second, small)))
    lesions = _masks(probabilities, LesionLimits(65.0))[2]
    assert lesions[first].all()
    assert lesions[second].all()
    assert not lesions[small].any()


def test_lesions_that_no_training_case_could_have_are_dropped():
    sizes = (np.s_[0:8, 0:8, 0:8], np.s_[10:13, 10:13, 10:13], np.s_[15:17, 15:17, 15:17], np.s_[19:20, 0:2, 0:2])
    probabilities = _probabilities(*((LESION, box, 0.8) for box in sizes))  # 4096, 216, 64, 32 mm³
    kept = _masks(probabilities, LesionLimits(30.0, largest_mm3=1000.0, most=2))[2]
    assert [bool(kept[box].any()) for box in sizes] == [False, True, True, False]


def test_limits_come_from_the_training_cohort(model):
    loaded = load_model(model, folds=None, device=torch.device("cpu"))
    assert lesion_limits(loaded) == LesionLimits(65.0)
    case = SimpleNamespace(lesion_volumes_mm3=(5000.0, 400.0))
    known = dataclasses.replace(
        loaded, fingerprint=SimpleNamespace(cases=(case, SimpleNamespace(lesion_volumes_mm3=())))
    )
    assert lesion_limits(known) == LesionLimits(200.0, largest_mm3=10000.0, most=2)


class _Threshold(torch.nn.Module):
    """Stands in for a trained localiser: lesion above 115 HU, organ above 58 HU."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rule = plan_for_tests().normalisation["CT"]
        hu = image * rule.std + rule.mean
        organ, lesion = (hu > 58).float(), (hu > 115).float()
        return 20 * torch.cat([1 - organ, organ - lesion, lesion], dim=1)


@pytest.mark.parametrize("oblique", [False, True])
def test_found_regions_lie_where_they_are_in_the_ct(model, oblique):
    loaded = load_model(model, folds=None, device=torch.device("cpu"))
    loaded = dataclasses.replace(loaded, localisers=(_Threshold(),))
    ct, drawn = simulated_ct(0)
    if oblique:
        for image in (ct, drawn):
            image.SetDirection((0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0))
    found = find_regions(sitk.SmoothingRecursiveGaussian(ct, 1.5), loaded).regions
    assert same_grid(found, ct)
    labels, truth = sitk.GetArrayFromImage(found) > 0, sitk.GetArrayFromImage(drawn) > 0
    assert 2 * (labels & truth).sum() / (labels.sum() + truth.sum()) > 0.85


def test_a_ct_in_which_the_localiser_sees_nothing_has_no_regions(model):
    loaded = load_model(model, folds=None, device=torch.device("cpu"))
    assert find_regions(simulated_ct(0)[0], loaded) == Found(None)
