"""Convolutions by oneDNN: the same numbers, names and gradients."""

import pytest
import torch
from torch import nn

from reactkd_auto.networks.onednn import OneDnnConv3d, prefer_onednn


def network(**options) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(2, 6, 3, padding=1, **options), nn.ReLU(), nn.Sequential(nn.Conv3d(6, 4, 1)))


@pytest.mark.parametrize("options", [{}, {"stride": (1, 2, 2)}, {"bias": False}, {"groups": 2}, {"dilation": 2}])
@pytest.mark.parametrize("samples", [1, 3])
def test_numbers_and_gradients_are_those_of_pytorch(options, samples):
    plain, ours = network(**options), network(**options)
    prefer_onednn(ours)
    assert [type(m) for m in ours.modules() if isinstance(m, nn.Conv3d)] == [OneDnnConv3d] * 2
    assert list(plain.state_dict()) == list(ours.state_dict())
    image = torch.randn(samples, 2, 6, 7, 8)
    expected, found = plain(image), ours(image)
    torch.testing.assert_close(found, expected)
    expected.square().sum().backward()
    found.square().sum().backward()
    for one, other in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_weights_are_shared_not_copied():
    plain = network()
    weights = [p.data_ptr() for p in plain.parameters()]
    prefer_onednn(plain)
    assert [p.data_ptr() for p in plain.parameters()] == weights


def test_one_small_volume_no_longer_takes_pytorchs_own_convolution():
    ours = network()
    prefer_onednn(ours)
    for model, own in ((network(), True), (ours, False)):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile, torch.no_grad():
            model(torch.randn(1, 2, 6, 7, 8))
        assert any("slow_conv3d" in event.key for event in profile.key_averages()) is own


def test_what_onednn_does_not_do_the_same_way_is_left_alone():
    edges, named = nn.Conv3d(1, 1, 3, padding=1, padding_mode="replicate"), nn.Conv3d(1, 1, 3, padding="same")
    model = nn.Sequential(edges, named)
    prefer_onednn(model)
    assert list(model) == [edges, named]


def test_half_precision_goes_pytorchs_way():
    model = network()
    prefer_onednn(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(torch.randn(1, 2, 6, 7, 8)).dtype == torch.bfloat16
