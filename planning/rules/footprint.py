"""Memory of the teachers' training in closed form, for choosing a patch: torch-free, and quick.

The numbers are fitted to the count of `reactkd_auto.networks.cost`, which stands in the finished plan; a test holds
them together.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from reactkd_auto.plan import GIGABYTE, NetworkPlan, Triple

BYTES_PER_WEIGHT = 22.0
"""Weight, average, gradient and two moments in float32; a copy in bfloat16."""
IMAGE_BYTES, SAMPLE_BYTES = 5, 11
"""Of a voxel of each channel (value and validity), and of each sample (two dose views and the node map)."""


@dataclass(frozen=True)
class ElementBytes:
    """What an element of a feature map costs at the peak.

    Attributes:
        block: Each output of a residual block.
        projected: Each map in the embedding's width, of each encoder.
        read: The same, of each teacher's attention and readout.
        first: Working memory, as multiple of the first such map.
    """

    block: float
    projected: float
    read: float
    first: float


KEPT, RECOMPUTED = ElementBytes(17.6, 16.2, 6.2, 3.0), ElementBytes(0.0, 9.0, 1.0, 5.0)
"""Without and with activation checkpointing, in mixed precision."""


def footprint(
    network: NetworkPlan, patch: Triple, *, encoders: int, nodes: int, batch: int, samples: int, checkpointing: bool
) -> float:
    """Peak of a teachers' step on a GPU, in 2³⁰ bytes; the student's and the localiser's are below it.

    Args:
        network: Shapes.
        patch: Size of the input.
        encoders: Teachers' encoders, the dose branch's among them.
        nodes: Most region nodes.
        batch: Samples that are prepared.
        samples: Of them, those that are learnt from at once.
        checkpointing: Whether activations are computed twice.
    """
    cost = RECOMPUTED if checkpointing else KEPT
    voxels = [math.prod(patch) / math.prod(network.cumulative_stride(k)) for k in range(len(network.strides))]
    stages = zip(voxels, _widths(network), network.teacher.blocks, strict=True)
    blocks = encoders * sum(n * width * count for n, width, count in stages)
    pooled = sum(voxels[k] for k in network.pooled_stages)
    maps = sum(voxels[k] for k in {*network.pooled_stages, len(voxels) - 1}) * network.embedding_width
    readers = 3 if encoders > 1 else 1
    prepared = (IMAGE_BYTES * encoders + SAMPLE_BYTES) * math.prod(patch) + 4 * nodes * pooled
    learnt = (
        cost.block * blocks
        + (cost.projected * encoders + cost.read * readers) * maps
        + cost.first * voxels[0] * network.embedding_width
    )
    weights = BYTES_PER_WEIGHT * encoders * _weights(network)
    return (weights + batch * prepared + samples * learnt) / GIGABYTE


def _widths(network: NetworkPlan) -> list[int]:
    return [network.teacher.width * 2**k for k in range(len(network.strides))]


def _weights(network: NetworkPlan) -> float:
    """Of one encoder's convolutions: kernels are 1 along an axis that the next stage leaves alone."""
    kernels = [math.prod(3 if s > 1 else 1 for s in strides) for strides in (*network.strides[1:], (2, 2, 2))]
    widths = _widths(network)
    inside = sum(2 * k * n * w * w for k, n, w in zip(kernels, network.teacher.blocks, widths, strict=True))
    return inside + sum(k * a * b for k, (a, b) in zip(kernels, itertools.pairwise(widths), strict=False))
