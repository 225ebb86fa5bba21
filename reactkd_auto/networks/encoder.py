"""Encoders: image → one feature map a stage, with the strides that the plan says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from torch import Tensor, nn

from reactkd_auto.plan import EncoderPlan, Triple

from .recompute import Thrifty, run
from .swin import SwinEncoder

NORM_GROUPS = 8


class Encoder(Protocol):
    """What every encoder offers: stage ``i`` has ``channels[i]`` channels at the plan's ``cumulative_stride(i)``."""

    channels: tuple[int, ...]

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Image [B, C, z, y, x] → stage features [B, channels[i], z / stride, y / stride, x / stride]."""
        ...


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm of at most 8 groups.

    Not batch norm: batches of 2–4 give noisy statistics, its running averages disagree with averaged (EMA) weights,
    and a sample's output would depend on which other cases, with which channels missing, share its batch.
    """
    return nn.GroupNorm(math.gcd(NORM_GROUPS, channels), channels)


class SegResEncoder(Thrifty):
    """Strided stem + MONAI's `SegResEncoder` (Myronenko 2018, arXiv 1810.11654), strides per axis and stage.

    A strided stem keeps the first, costliest stage off the full grid; with stride 1 the encoder's own first
    convolution is the stem. As in MONAI, a level's kernel is 1 along an axis that its downsampling leaves alone
    (a coarse axis is not mixed before the others reach its spacing); the deepest level's kernel is 3×3×3.

    Args:
        in_channels: Channels of the image.
        plan: Width of the first stage (doubled at each further one) and residual blocks of each stage.
        strides: One (z, y, x) stride a stage; the first is the stem's.
    """

    def __init__(self, in_channels: int, plan: EncoderPlan, strides: tuple[Triple, ...]) -> None:
        super().__init__()
        from monai.networks.nets.segresnet_ds import SegResEncoder as MonaiSegResEncoder

        if len(plan.blocks) != len(strides):
            raise ValueError(f"{len(plan.blocks)} block counts for {len(strides)} stages")
        self.channels = tuple(plan.width * 2**i for i in range(len(strides)))
        stem_is_strided = strides[0] != (1, 1, 1)
        self.stem = _strided_stem(in_channels, plan.width, strides[0]) if stem_is_strided else nn.Identity()
        self.stages = MonaiSegResEncoder(
            spatial_dims=3,
            init_filters=plan.width,
            in_channels=plan.width if stem_is_strided else in_channels,
            norm=("group", {"num_groups": math.gcd(NORM_GROUPS, plan.width)}),
            blocks_down=plan.blocks,
            anisotropic_scales=(*strides[1:], (2, 2, 2)),  # the last downsamples nothing, it sets the kernel only
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """[B, C, z, y, x] → stage features, finest first."""
        x = self.stages.conv_init(self.stem(image))
        features: list[Tensor] = []
        for level in self.stages.layers:
            features.append(run(level["blocks"], x, recompute=self.recompute))
            x = level["downsample"](features[-1])
        return features


def _strided_stem(in_channels: int, width: int, stride: Triple) -> nn.Sequential:
    kernel = _each(lambda s: max(3, 2 * s - 1), stride)  # no voxel is skipped, whatever the stride
    padding = _each(lambda k: k // 2, kernel)
    convolution = nn.Conv3d(in_channels, width, kernel, stride=stride, padding=padding, bias=False)
    return nn.Sequential(convolution, group_norm(width), nn.ReLU(inplace=True))


def _each(function: Callable[[int], int], triple: Triple) -> Triple:
    z, y, x = triple
    return function(z), function(y), function(x)


EncoderFactory = Callable[[int, EncoderPlan, tuple[Triple, ...]], Encoder]
ENCODERS: Mapping[str, EncoderFactory] = MappingProxyType({"segres": SegResEncoder, "swin": SwinEncoder})
"""Encoders by name; each takes (in_channels, plan, strides)."""
