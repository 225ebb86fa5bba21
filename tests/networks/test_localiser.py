import pytest
import torch

from reactkd_auto.networks import build_localiser, localiser_classes
from tests.networks.samples import make_dataset, make_plan


@pytest.mark.parametrize("size", [(16, 24, 24), (9, 13, 22)])
def test_logits_of_background_and_every_region_on_the_input_grid(size):
    plan, dataset = make_plan(), make_dataset()
    logits = build_localiser(plan, dataset)(torch.randn(2, 1, *size))
    assert logits.shape == (2, 3, *size)
    assert localiser_classes(dataset) == ("background", "liver", "lesion")


def test_it_is_small():
    localiser = build_localiser(make_plan(), make_dataset())
    assert sum(p.numel() for p in localiser.parameters()) <= 500_000


def test_it_learns_where_a_bright_block_is():
    torch.manual_seed(0)
    localiser = build_localiser(make_plan(), make_dataset())
    target = torch.zeros(1, 16, 16, 16, dtype=torch.long)
    target[:, 4:10, 4:10, 4:10] = 2
    image = (target > 0).float()[:, None] * 2 + 0.1 * torch.randn(1, 1, 16, 16, 16)
    optimiser = torch.optim.Adam(localiser.parameters(), 1e-2)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(localiser(image), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (localiser(image).argmax(1) == target).float().mean() > 0.98
