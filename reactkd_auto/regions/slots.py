"""Node slots: the fixed list of regions that a plan's graph can have (METHOD.md section 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import GraphPlan

SlotKind = Literal["organ", "parcel", "lesion", "ring", "other_lesions", "context"]
BASE_LAYER, PARCEL_LAYER, RING_LAYER = 0, 1, 2


@dataclass(frozen=True)
class Slot:
    """A place for one region node; the same place means the same region in every case.

    Attributes:
        name: ``organ``, ``parcel_1``, ``lesion_1`` (the largest), ``ring_1`` or ``rings``, ``other_lesions``, or the
            name of a context region.
        kind: What the region is.
        layer: Of the node map, where it is painted: 0 organ, lesions, other lesions, context; 1 parcels; 2 rings.
        index: Position among all slots; painted as ``index + 1``.
    """

    name: str
    kind: SlotKind
    layer: int
    index: int


def node_slots(graph: GraphPlan, dataset: Dataset) -> tuple[Slot, ...]:
    """The slots of a graph, in fixed order: organ · parcels · lesions · rings · other lesions · context.

    Empty where the graph is off.
    """
    if not graph.enabled:
        return ()
    named: list[tuple[str, SlotKind, int]] = [("organ", "organ", BASE_LAYER)] if graph.organ else []
    named += [(f"parcel_{i + 1}", "parcel", PARCEL_LAYER) for i in range(parcel_count(graph))]
    named += [(f"lesion_{i + 1}", "lesion", BASE_LAYER) for i in range(graph.lesions)]
    named += [(name, "ring", RING_LAYER) for name in _ring_names(graph)]
    named += [("other_lesions", "other_lesions", BASE_LAYER)] if graph.other_lesions else []
    names = {r.value: r.name for r in dataset.regions}
    named += [(names[value], "context", BASE_LAYER) for value in graph.context]
    return tuple(Slot(name, kind, layer, index) for index, (name, kind, layer) in enumerate(named))


def parcel_count(graph: GraphPlan) -> int:
    """Number of parcels P; splits into fewer than two, or without an organ, mean none."""
    count = math.prod(graph.parcels)
    return count if graph.organ and count > 1 else 0


def _ring_names(graph: GraphPlan) -> list[str]:
    if graph.rings == "per_lesion":
        return [f"ring_{i + 1}" for i in range(graph.lesions)]
    return ["rings"] if graph.rings == "merged" and graph.lesions else []
