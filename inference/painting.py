"""From numbers a node to images on the case's grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def paint_nodes(nodes: NDArray[np.uint8], values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Each voxel's sum of the values of the nodes that it belongs to.

    Args:
        nodes: (3, z, y, x), node slot + 1 or 0.
        values: One a slot.
    """
    table = np.concatenate([[0.0], values]).astype(np.float32)
    return np.asarray(sum(table[layer] for layer in nodes), dtype=np.float32)


def mean_and_spread(
    maps: Sequence[NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Voxelwise mean and standard deviation (of the population: one map spreads 0)."""
    mean = np.zeros_like(maps[0], dtype=np.float64)
    square = np.zeros_like(mean)
    for count, image in enumerate(maps, start=1):  # Welford: no stack of all maps in memory
        difference = image - mean
        mean += difference / count
        square += difference * (image - mean)
    return mean.astype(np.float32), np.sqrt(square / len(maps)).astype(np.float32)


def attention_map(attention: Sequence[Tensor], size: tuple[int, int, int]) -> NDArray[np.float32]:
    """CBAM's spatial attention of one case, 0…1, brought from each stage's grid to the patch's and averaged.

    Args:
        attention: [1, 1, z, y, x] a map stage.
        size: (z, y, x) of the patch.
    """
    brought = [functional.interpolate(a.detach().float(), size, mode="trilinear") for a in attention]
    return np.asarray(torch.stack(brought).mean(dim=0)[0, 0].cpu().numpy(), dtype=np.float32)


def to_patch(image: Tensor, size: tuple[int, int, int]) -> NDArray[np.float32]:
    """A feature grid's map [z, y, x] brought to the patch's grid."""
    brought = functional.interpolate(image[None, None].float(), size, mode="trilinear")
    return np.asarray(brought[0, 0].cpu().numpy(), dtype=np.float32)


def into_case(
    patch: NDArray[np.float32], window: tuple[slice, slice, slice], size: Sequence[int]
) -> NDArray[np.float32]:
    """A patch put back into the case's grid, 0 outside."""
    whole = np.zeros(tuple(size), np.float32)
    whole[window] = patch
    return whole
