"""Localisers on a whole coarse image."""

import numpy as np
import torch

from reactkd_auto.localisation import region_probabilities
from tests.builders import small_dataset, small_plan


class _Sharp(torch.nn.Module):
    """Organ above 100 HU, else background, so many logits sure of it."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rule = small_plan().normalisation["CT"]
        organ = (image * rule.std + rule.mean > 100).float()
        return self.logit * torch.cat([1 - organ, organ, 0 * organ], dim=1)


def test_localisers_see_the_image_in_hu_and_their_probabilities_are_averaged():
    base = np.zeros((3, 4, 5), np.int16)
    base[1] = 150
    found = region_probabilities(
        [_Sharp(50.0), _Sharp(0.0)], base, plan=small_plan(), dataset=small_dataset(), device=torch.device("cpu")
    )
    assert found.shape == (3, 3, 4, 5)
    np.testing.assert_allclose(found[:, 1, 0, 0], [1 / 6, 2 / 3, 1 / 6], atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 0, 0], [2 / 3, 1 / 6, 1 / 6], atol=1e-6)
