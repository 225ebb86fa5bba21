"""Convolutions of one image on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OneDnnConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` by oneDNN, whatever the size: float32 on a CPU, zero padding, any other stays PyTorch's.

    PyTorch chooses by the number of samples, and for a single small volume takes its own convolution, which is slower.
    Results are equal up to rounding.
    """

    def forward(self, input: Tensor) -> Tensor:
        """As `torch.nn.Conv3d`."""
        other = input.device.type != "cpu" or input.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
        if other or torch.compiler.is_compiling():  # compilers and exporters know PyTorch's own only
            return super().forward(input)
        assert not isinstance(self.padding, str)
        result: Tensor = torch.mkldnn_convolution(
            input, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups
        )
        return result


def prefer_onednn(network: nn.Module) -> None:
    """Replace every 3D convolution with zero padding by one of oneDNN, in place; weights and their names stay.

    For networks that answer and do not learn: what counts operations knows PyTorch's own convolution only.
    """
    if not torch.backends.mkldnn.is_available():
        return
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Conv3d and child.padding_mode == "zeros" and not isinstance(child.padding, str):
                setattr(parent, name, _by_onednn(child))


def _by_onednn(convolution: nn.Conv3d) -> OneDnnConv3d:
    with torch.device("meta"):
        other = OneDnnConv3d(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,  # type: ignore[arg-type]
            stride=convolution.stride,  # type: ignore[arg-type]
            padding=convolution.padding,  # type: ignore[arg-type]
            dilation=convolution.dilation,  # type: ignore[arg-type]
            groups=convolution.groups,
            bias=convolution.bias is not None,
        )
    other.weight, other.bias = convolution.weight, convolution.bias
    return other.train(convolution.training)
