"""A case's region nodes, whoever drew its region map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import Plan, TripleMm
from reactkd_auto.regions.nodes import NodeMap, build_nodes

OUTSIDE_AIR_HU = -950.0
"""Lung is denser; what is not is outside the body (or bowel gas)."""


def case_nodes(
    labels: NDArray[np.uint8],
    base: NDArray[np.int16],
    valid: NDArray[np.uint8],
    *,
    spacing: TripleMm,
    plan: Plan,
    dataset: Dataset,
) -> NodeMap:
    """The nodes of a region map on a case's grid.

    Args:
        labels: (z, y, x) region values.
        base: (z, y, x) base image as stored; a CT tells where the body is.
        valid: (z, y, x), bit 0 set where the base was measured.
        spacing: Of the grid, mm.
        plan: For the graph and the base's storage scale.
        dataset: For roles of regions and of the base.
    """
    body = (valid & 1).astype(bool)
    if dataset.base.role == "ct":
        body &= base * plan.normalisation[dataset.base.name].storage_scale > OUTSIDE_AIR_HU
        body = np.stack([ndimage.binary_fill_holes(axial) for axial in body])
    return build_nodes(labels, spacing=spacing, dataset=dataset, graph=plan.graph, body=body)
