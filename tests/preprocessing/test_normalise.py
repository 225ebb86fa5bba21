import math

import pytest
import torch

from reactkd_auto.preprocessing.normalise import normalise
from tests.builders import small_dataset, small_plan


def test_each_channel_follows_its_own_rule() -> None:
    values = torch.tensor([[[-1000.0, 40.0, 100.0, 900.0], [-2.0, 0.0, 4.0, 99.0]]])
    found = normalise(values, small_dataset(), small_plan(), channels=("CT", "FDG"))
    ct = [(v - 40) / 60 for v in (-200, 40, 100, 300)]
    pet = [(math.log1p(v) - 1.0) / 0.5 for v in (0, 0, 4, 30)]
    assert found[0].tolist() == [pytest.approx(ct), pytest.approx(pet, abs=1e-6)]


def test_all_channels_of_the_dataset_are_the_default() -> None:
    image = torch.rand(2, 3, 2, 2, 2)
    by_name = normalise(image, small_dataset(), small_plan(), channels=("CT", "FDG", "ACE"))
    assert torch.equal(normalise(image, small_dataset(), small_plan()), by_name)


def test_the_input_stays_and_gradients_pass() -> None:
    image = torch.full((1, 1, 1, 1, 1), 50.0, requires_grad=True)
    normalise(image, small_dataset(), small_plan(), channels=("CT",)).sum().backward()
    assert image.item() == 50.0
    assert image.grad is not None
    assert image.grad.item() == pytest.approx(1 / 60)


def test_a_wrong_number_of_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="2 channels, 1 are named"):
        normalise(torch.zeros(1, 2, 1, 1, 1), small_dataset(), small_plan(), channels=("CT",))
