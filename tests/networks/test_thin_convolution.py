"""The wide convolution to one channel against PyTorch's own."""

import pytest
import torch
from torch import nn

from reactkd_auto.networks.thin_convolution import ThinConv3d


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("shape", [(1, 2, 9, 8, 7), (3, 2, 2, 5, 11), (2, 3, 1, 1, 1)])
def test_numbers_and_gradients_are_those_of_pytorch(kernel, shape):
    torch.manual_seed(0)
    ours = ThinConv3d(shape[1], kernel)
    plain = nn.Conv3d(shape[1], 1, kernel, padding=kernel // 2)
    plain.load_state_dict(ours.state_dict())
    image = torch.randn(shape)
    found, expected = (image.clone().requires_grad_() for _ in range(2))
    outputs = ours(found), plain(expected)
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-4, atol=1e-5)
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)


def test_initial_weights_are_those_of_pytorch():
    torch.manual_seed(3)
    ours = ThinConv3d(2, 7)
    torch.manual_seed(3)
    plain = nn.Conv3d(2, 1, 7)
    assert torch.equal(ours.weight, plain.weight)
    assert torch.equal(ours.bias, plain.bias)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_both_devices_agree():
    layer, image = ThinConv3d(2, 7), torch.randn(2, 2, 9, 8, 7)
    torch.testing.assert_close(layer(image), layer.cuda()(image.cuda()).cpu(), rtol=1e-3, atol=1e-4)
