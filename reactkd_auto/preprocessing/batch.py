"""Preprocessed cases as one batch of tensors, in real units."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reactkd_auto.cases import LOG_RATIO_SCALE, NOISE_SCALE_HU, CaseProperties, PreprocessedCase
from reactkd_auto.covariates import unknown
from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import Plan
from reactkd_auto.regions.slots import node_slots

UNGRADED = -1


@dataclass(frozen=True)
class Batch:
    """B cases with C channels, N node slots and L dose levels on a grid P = (z, y, x).

    Attributes:
        case: Names.
        image: float32 [B, C, P] in real units (HU, SUV, z-score); 0 where a channel is missing.
        valid: bool [B, C, P], where a channel was measured.
        present: bool [B, C].
        nodes: uint8 [B, 3, P], node slot + 1 or 0.
        node_valid: bool [B, N].
        node_geometry: float32 [B, N, 6].
        edges: float32 [B, N, N].
        noise: float32 [B, 2, P] in HU at the reference dose, or [B, 0, P].
        log_ratio: float32 [B, L, P], ln(SD at level / SD at reference), or [B, 0, P].
        label: int64 [B], −1 for an ungraded case.
        covariates: float32 [B, V], `covariates.Values` of each case (NaN if missing); None where the dataset has none.
    """

    case: list[str]
    image: Tensor
    valid: Tensor
    present: Tensor
    nodes: Tensor
    node_valid: Tensor
    node_geometry: Tensor
    edges: Tensor
    noise: Tensor
    log_ratio: Tensor
    label: Tensor
    covariates: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device (from pinned memory without waiting)."""
        moved = {
            f.name: value.to(device, non_blocking=True)
            for f in dataclasses.fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return Batch(case=self.case, **moved)


def collate(cases: Sequence[PreprocessedCase], plan: Plan, dataset: Dataset) -> Batch:
    """Stack cases whose arrays have equal shape.

    Args:
        cases: At least one.
        plan: For the channels' storage scales and the node slots.
        dataset: For the channels.

    Raises:
        ValueError: A case has other channels or node slots than dataset and plan name.
    """
    channels, slots = len(dataset.channels), len(node_slots(plan.graph, dataset))
    for case in cases:
        found = (len(case.image), len(case.properties.node_valid))
        if found != (channels, slots):
            raise ValueError(
                f"case {case.properties.case!r} has {found[0]} channels and {found[1]} node slots, "
                f"expected {channels} and {slots}"
            )
    properties = [c.properties for c in cases]
    scales = np.array([plan.normalisation[c.name].storage_scale for c in dataset.channels], dtype=np.float32)
    image = np.stack([c.image for c in cases]).astype(np.float32) * scales[:, None, None, None]
    bits = np.stack([c.valid for c in cases])[:, None] >> np.arange(channels, dtype=np.uint8)[:, None, None, None]
    return Batch(
        case=[p.case for p in properties],
        image=torch.from_numpy(image),
        valid=torch.from_numpy((bits & 1).astype(bool)),
        present=torch.tensor([p.present for p in properties], dtype=torch.bool),
        nodes=torch.from_numpy(np.stack([c.nodes for c in cases])),
        node_valid=torch.tensor([p.node_valid for p in properties], dtype=torch.bool).reshape(len(cases), slots),
        node_geometry=_floats([p.node_geometry for p in properties], (len(cases), slots, 6)),
        edges=_floats([p.edges for p in properties], (len(cases), slots, slots)),
        noise=_scaled([c.noise for c in cases], NOISE_SCALE_HU),
        log_ratio=_scaled([c.log_ratio for c in cases], LOG_RATIO_SCALE),
        label=torch.tensor([UNGRADED if p.label is None else p.label for p in properties], dtype=torch.int64),
        covariates=_covariates(properties, dataset),
    )


def _covariates(properties: Sequence[CaseProperties], dataset: Dataset) -> Tensor | None:
    if not dataset.covariates:
        return None
    return torch.tensor([p.covariates or unknown(dataset.covariates) for p in properties], dtype=torch.float32)


def centre_window(plan: Plan) -> tuple[slice, slice, slice]:
    """Where the patch lies in a stored case, which has ``context_voxels`` more on every side."""
    z, y, x = (slice(c, c + p) for c, p in zip(plan.context_voxels, plan.patch_size, strict=True))
    return z, y, x


def _floats(values: Any, shape: tuple[int, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(shape)


def _scaled(arrays: Sequence[NDArray[np.int16]], scale: float) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32) * np.float32(scale))
