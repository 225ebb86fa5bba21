"""Regions on feature grids, and means and standard deviations of features over them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import GraphPlan, NetworkPlan, Plan
from reactkd_auto.regions.slots import node_slots

from .outputs import GraphInputs
from .precision import full_precision
from .recompute import run

MOMENTS = 2
"""Mean and standard deviation of a feature over a region."""
SMALLEST_VARIANCE = 1e-6


def map_stages(network: NetworkPlan) -> tuple[int, ...]:
    """Stages whose maps are projected and attended: those that are pooled over regions, and the deepest (for GAP)."""
    return tuple(sorted({*network.pooled_stages, len(network.strides) - 1}))


def area_average(x: Tensor, network: NetworkPlan, stage: int) -> Tensor:
    """Mean of x [B, C, z, y, x] over the voxels of each feature voxel of ``stage``.

    Raises:
        ValueError: The grid is not a multiple of the stage's stride, so feature voxels would not tile it.
    """
    stride = network.cumulative_stride(stage)
    if any(size % s for size, s in zip(x.shape[2:], stride, strict=True)):
        raise ValueError(f"grid {tuple(x.shape[2:])} is not a multiple of stage {stage}'s stride {stride}")
    return functional.avg_pool3d(x, stride) if stride != (1, 1, 1) else x


def graph_inputs(  # noqa: PLR0917 (a batch's tensors in their order)
    nodes: Tensor,
    valid: Tensor,
    node_valid: Tensor,
    geometry: Tensor,
    edges: Tensor,
    plan: Plan,
    dataset: Dataset,
) -> GraphInputs:
    """Node maps as soft masks on the grid of each pooled stage.

    Args:
        nodes: uint8 [B, 3, z, y, x], slot index + 1 on the slot's own layer, else 0.
        valid: bool [B, C, z, y, x], channel 0 the base image; unmeasured voxels belong to no node.
        node_valid: bool [B, N]. A node with no volume left in the patch becomes invalid.
        geometry: float [B, N, 6].
        edges: float [B, N, N].
        plan: For strides, pooled stages and node slots.
        dataset: For node slots.
    """
    stages = map_stages(plan.network)
    measured = valid[:, :1]
    weights = tuple(area_average(measured.float(), plan.network, stage) for stage in stages)
    masks = _soft_masks(nodes, measured, plan.graph, dataset, plan.network)
    node_valid = node_valid & (masks[0].sum(dim=(2, 3, 4)) > 0)
    geometry = geometry.masked_fill(~node_valid[:, :, None], 0.0)
    edges = edges * (node_valid[:, :, None] & node_valid[:, None, :])
    return GraphInputs(masks, weights, node_valid, geometry, edges)


def _soft_masks(
    nodes: Tensor, measured: Tensor, graph: GraphPlan, dataset: Dataset, network: NetworkPlan
) -> tuple[Tensor, ...]:
    slots = node_slots(graph, dataset)
    stages = [stage for stage in map_stages(network) if stage in network.pooled_stages]
    by_stage: list[list[Tensor]] = [[] for _ in stages]
    for slot in slots:  # one at a time: all one-hot maps at full resolution would be N × the image
        mask = ((nodes[:, slot.layer, None] == slot.index + 1) & measured).float()
        for into, stage in zip(by_stage, stages, strict=True):
            into.append(area_average(mask, network, stage))
    if not slots:
        return tuple(area_average(measured.float(), network, stage)[:, :0] for stage in stages)
    return tuple(torch.cat(masks, dim=1) for masks in by_stage)


def masked_average(features: Tensor, masks: Tensor) -> Tensor:
    """Σ_v m_v f_v / Σ_v m_v for each node; differentiable, in float32 (features are compared between networks).

    Args:
        features: [B, E, z, y, x].
        masks: [B, N, z, y, x] ≥ 0.

    Returns:
        [B, N, E], 0 where a mask is empty.
    """
    with full_precision(features):
        columns, weights = features.float().flatten(2), masks.float().flatten(2)  # views in either memory format
        if features.is_contiguous():  # gradients come in the features' own memory format, or each is copied once more
            sums = torch.bmm(columns, weights.transpose(1, 2)).transpose(1, 2)
        else:
            sums = torch.bmm(weights, columns.transpose(1, 2))
        return sums / weights.sum(dim=2, keepdim=True).clamp_min(1e-6)


def masked_moments(features: Tensor, masks: Tensor) -> Tensor:
    """Mean and standard deviation of features over each node (statistics pooling, Snyder et al. 2018, x-vectors).

    A tumour's texture shows in how features vary within it more than in their mean. Arguments as `masked_average`'s.

    Returns:
        [B, N, 2 E], means first; where a mask is empty, means of 0 and the smallest deviation.
    """
    with full_precision(features):
        features = features.float()
        mean, square = masked_average(features, masks), masked_average(features * features, masks)
        return torch.cat([mean, (square - mean * mean).clamp_min(SMALLEST_VARIANCE).sqrt()], dim=2)


def pool_nodes(maps: Sequence[Tensor], graph: GraphInputs, *, recompute: bool = False) -> Tensor:
    """Node features [B, N, 2 E × pooled stages]: `masked_moments` of each pooled stage's map, side by side."""
    pooled = [run(masked_moments, m, masks, recompute=recompute) for m, masks in zip(maps, graph.masks, strict=True)]
    return torch.cat(pooled, dim=2) * graph.node_valid[:, :, None]


def node_width(network: NetworkPlan) -> int:
    """D, the number of a node's features."""
    return MOMENTS * network.embedding_width * len(network.pooled_stages)
