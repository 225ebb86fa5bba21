"""LoRA: pretrained convolutions stay as they are and learn an update of low rank, merged when weights are saved."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from reactkd_auto.networks.precision import full_precision

ALPHA = 8.0
"""α of the paper: the update is scaled by α / R, so that the learning rate need not follow the rank."""
Network = TypeVar("Network", bound=nn.Module)


class UpdatedConvolution(nn.Module):
    """A frozen convolution whose kernel W, as a matrix out × (in · k³), becomes W + (α / R) B A.

    Hu et al. 2021, arXiv 2106.09685, section 4.1. A is drawn as a linear layer's weights are, B is 0: training begins
    with W itself.

    Args:
        convolution: The pretrained one; it is frozen.
        rank: R.
    """

    def __init__(self, convolution: nn.Conv3d, rank: int) -> None:
        super().__init__()
        kernel = convolution.weight
        self.convolution = convolution.requires_grad_(False)
        a = torch.empty(rank, kernel[0].numel())
        nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        self.a = nn.Parameter(a.to(kernel.device))
        self.b = nn.Parameter(kernel.new_zeros(len(kernel), rank))
        self.scale = ALPHA / rank

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution, with the updated kernel."""
        output: Tensor = functional_call(self.convolution, {"weight": self.kernel()}, (x,))
        return output

    def kernel(self) -> Tensor:
        """The updated kernel, [out, in, z, y, x]."""
        weight = self.convolution.weight
        with full_precision(weight):
            return weight + self.scale * (self.b @ self.a).view(weight.shape)

    @torch.no_grad()
    def merged(self) -> nn.Conv3d:
        """A plain convolution with the updated kernel."""
        plain = copy.deepcopy(self.convolution)
        plain.weight.copy_(self.kernel())
        return plain


def add_updates(encoder: nn.Module, pretrained: Collection[str], *, rank: int, seed: int) -> int:
    """Freeze an encoder's pretrained convolutions and let each learn an update; norms are trained as before.

    Args:
        encoder: Changed in place.
        pretrained: Names of its weights that were pretrained. A convolution that is not among them is trained in full.
        rank: R.
        seed: Of the updates' A.

    Returns:
        Number of convolutions that are updated so.
    """
    chosen = {n: m for n, m in encoder.named_modules() if isinstance(m, nn.Conv3d) and f"{n}.weight" in pretrained}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for name, convolution in chosen.items():
            encoder.set_submodule(name, UpdatedConvolution(convolution, rank))
    return len(chosen)


def merged(network: Network) -> Network:
    """A copy whose updates are part of plain weights: the network that prediction builds, with the same answers."""
    plain = copy.deepcopy(network)
    for name, module in network.named_modules():
        if isinstance(module, UpdatedConvolution):
            plain.set_submodule(name, module.merged())
    return plain
