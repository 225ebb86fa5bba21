"""A wide convolution of few channels to one, such as CBAM's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ThinConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` of a k×k×k kernel to one channel, with "same" padding; weights and results are its own.

    A CPU's convolutions work on many output channels at once, and with one they idle. So each of the kernel's k slices
    becomes an output channel of a 1×k×k convolution, and the k maps are added, each shifted to its slice: faster,
    forward and backward.

    Args:
        channels: Of the input.
        kernel_size: k, odd.
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(channels, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, z, y, x] → [B, 1, z, y, x]."""
        if input.device.type != "cpu":
            return super().forward(input)
        margin, depth = self.kernel_size[0] // 2, input.shape[2]
        slices = self.weight[0].transpose(0, 1)[:, :, None]
        padded = functional.pad(input, (0, 0, 0, 0, margin, margin))
        maps = functional.conv3d(padded, slices, padding=(0, margin, margin))
        shifted = [maps[:, i, i : i + depth] for i in range(len(slices))]
        result = torch.stack(shifted).sum(dim=0)[:, None]
        return result if self.bias is None else result + self.bias
