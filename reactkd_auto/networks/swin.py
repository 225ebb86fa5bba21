"""SwinTransformer encoder, as the encoder half of SwinUNETR has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional

from reactkd_auto.plan import EncoderPlan, Plan, Triple

PATCH_STRIDE = 2
HEADS = (3, 6, 12, 24)
WINDOW = 7
SIZES: Mapping[str, EncoderPlan] = MappingProxyType(
    {"cuda": EncoderPlan(48, (2, 2, 2, 2)), "cpu": EncoderPlan(12, (2, 2, 2, 2))}
)
"""Feature size and blocks by the device that is planned for: SwinUNETR's own, and a quarter of its width for a CPU."""
STRIDES = tuple(PATCH_STRIDE * 2**k for k in range(len(HEADS) + 1))
"""Of MONAI's five outputs, the same along every axis: 2, 4, 8, 16, 32."""


class SwinEncoder(nn.Module):
    """MONAI's `SwinTransformer` (Hatamizadeh et al. 2022, arXiv 2201.01266) on the grids that the plan says.

    Its strides are fixed, the plan's are not: each planned stage takes the output whose stride is nearest, the deepest
    stage always the deepest output, resampled to the planned grid. Its windows halve the image five times, so the image
    is padded (edges replicated) to a multiple of 32 along each axis, and features are cut back.

    Args:
        in_channels: Channels of the image.
        plan: Width: the feature size, 48 in SwinUNETR's papers, a multiple of 3; four block counts.
        strides: One (z, y, x) stride a stage.
    """

    def __init__(self, in_channels: int, plan: EncoderPlan, strides: tuple[Triple, ...]) -> None:
        super().__init__()
        from monai.networks.nets.swin_unetr import SwinTransformer

        self.totals = [_total(strides[: i + 1]) for i in range(len(strides))]
        self.outputs = [*(_nearest(total) for total in self.totals[:-1]), len(STRIDES) - 1]
        self.channels = tuple(plan.width * 2**output for output in self.outputs)
        self.transformer = SwinTransformer(
            in_chans=in_channels,
            embed_dim=plan.width,
            window_size=(WINDOW,) * 3,
            patch_size=(PATCH_STRIDE,) * 3,
            depths=plan.blocks,
            num_heads=HEADS,
            spatial_dims=3,
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """[B, C, z, y, x] → stage features, finest first."""
        size = image.shape[2:]
        padded = _padded(size, self.totals[-1])
        if padded != list(size):
            missing = [(0, p - n) for p, n in zip(padded, size, strict=True)]
            image = functional.pad(image, [n for pair in reversed(missing) for n in pair], mode="replicate")
        outputs = self.transformer(image.contiguous())
        features = []
        for output, total in zip(self.outputs, self.totals, strict=True):
            grid = [n // s for n, s in zip(padded, total, strict=True)]
            z, y, x = (n // s for n, s in zip(size, total, strict=True))
            features.append(_resampled(outputs[output], grid)[:, :, :z, :y, :x])
        return features


def describe(plan: Plan) -> str:
    """What of it the plan does not say, for the log."""
    size = plan.patch_size
    padded = _padded(size, plan.network.cumulative_stride(len(plan.network.strides) - 1))
    text = f"SwinTransformer of feature size {SIZES[plan.device].width} ({plan.device})"
    if padded == list(size):
        return f"{text}."
    times = math.prod(padded) / math.prod(size)
    return f"{text}; patches {size} are padded to {tuple(padded)}, multiples of {STRIDES[-1]}: {times:.1f} × the work."


def _padded(size: Sequence[int], total: Triple) -> list[int]:
    """Next multiples of 32 and of the planned total stride."""
    multiples = [math.lcm(STRIDES[-1], s) for s in total]
    return [-(-n // m) * m for n, m in zip(size, multiples, strict=True)]


def _total(strides: tuple[Triple, ...]) -> Triple:
    z, y, x = (math.prod(s[axis] for s in strides) for axis in range(3))
    return z, y, x


def _nearest(total: Triple) -> int:
    """Output whose stride is nearest to the geometric mean of the planned one, by factor."""
    wanted = math.log(math.prod(total)) / 3
    return min(range(len(STRIDES)), key=lambda k: abs(math.log(STRIDES[k]) - wanted))


def _resampled(features: Tensor, grid: list[int]) -> Tensor:
    """Averaged along axes where ``grid`` is coarser, interpolated where it is finer."""
    z, y, x = (min(n, g) for n, g in zip(features.shape[2:], grid, strict=True))
    features = functional.adaptive_avg_pool3d(features, (z, y, x))
    return functional.interpolate(features, grid, mode="trilinear") if [z, y, x] != grid else features
