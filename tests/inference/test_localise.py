"""Region maps on the CT's grid of what the localisers see in it."""

import dataclasses

import pytest
import SimpleITK as sitk
import torch

from reactkd_auto.imageio import same_grid
from reactkd_auto.inference.localise import Found, find_regions
from reactkd_auto.inference.model import load_model
from tests.inference.conftest import plan_for_tests, simulated_ct


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
