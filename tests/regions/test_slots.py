import dataclasses

import pytest

from reactkd_auto.regions import node_slots
from tests.regions.samples import DATASET, SPLEEN, graph_plan


def test_slots_come_in_the_order_of_the_method_and_know_their_layer() -> None:
    slots = node_slots(graph_plan(), DATASET)
    assert [s.name for s in slots] == [
        *("organ", "parcel_1", "parcel_2", "parcel_3", "parcel_4", "lesion_1", "lesion_2"),
        *("ring_1", "ring_2", "other_lesions", "spleen"),
    ]
    assert [s.index for s in slots] == list(range(11))
    assert {s.kind: s.layer for s in slots} == {
        "organ": 0, "parcel": 1, "lesion": 0, "ring": 2, "other_lesions": 0, "context": 0,
    }  # fmt: skip


@pytest.mark.parametrize("splits", [(0, 0, 0), (1, 1, 1)])
def test_one_part_or_none_is_no_parcel(splits: tuple[int, int, int]) -> None:
    assert not [s for s in node_slots(graph_plan(parcels=splits), DATASET) if s.kind == "parcel"]


def test_parcels_need_an_organ() -> None:
    assert not [s for s in node_slots(graph_plan(organ=False), DATASET) if s.kind == "parcel"]


@pytest.mark.parametrize(("mode", "names"), [("none", []), ("merged", ["rings"]), ("per_lesion", ["ring_1", "ring_2"])])
def test_ring_modes(mode: str, names: list[str]) -> None:
    assert [s.name for s in node_slots(graph_plan(rings=mode), DATASET) if s.kind == "ring"] == names


def test_a_graph_that_is_off_has_no_slots() -> None:
    assert node_slots(graph_plan(enabled=False), DATASET) == ()


def test_context_slots_are_named_by_the_dataset() -> None:
    renamed = dataclasses.replace(DATASET.regions[3], name="kidney")
    dataset = dataclasses.replace(DATASET, regions=(*DATASET.regions[:3], renamed))
    assert node_slots(graph_plan(context=(SPLEEN,)), dataset)[-1].name == "kidney"
