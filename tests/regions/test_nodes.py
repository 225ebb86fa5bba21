import numpy as np
import pytest

from reactkd_auto.regions import NodeMap, build_nodes, node_slots
from tests.regions.samples import DATASET, METASTASIS, ORGAN, PRIMARY, SPACING, SPLEEN, anatomy, graph_plan


def built(labels: np.ndarray, body: np.ndarray | None = None, **changes: object) -> tuple[NodeMap, dict[str, int]]:
    graph = graph_plan(**changes)
    names = {s.name: s.index for s in node_slots(graph, DATASET)}
    return build_nodes(labels, spacing=SPACING, dataset=DATASET, graph=graph, body=body), names


def test_every_slot_is_painted_where_its_region_is() -> None:
    labels = anatomy()
    nodes, names = built(labels)

    def painted(name: str, layer: int) -> np.ndarray:
        return nodes.layers[layer] == names[name] + 1

    assert nodes.valid.all()
    assert np.array_equal(painted("organ", 0), labels == ORGAN)
    assert np.array_equal(painted("lesion_2", 0), labels == PRIMARY)
    assert np.array_equal(painted("lesion_1", 0) | painted("other_lesions", 0), labels == METASTASIS)
    assert painted("lesion_1", 0).sum() > painted("lesion_2", 0).sum() > painted("other_lesions", 0).sum()
    assert np.array_equal(painted("spleen", 0), labels == SPLEEN)
    assert np.array_equal(nodes.layers[1] > 0, (labels > 0) & (labels != SPLEEN))
    assert (labels[nodes.layers[2] > 0] == ORGAN).all()


def test_volumes_are_those_of_the_map() -> None:
    nodes, names = built(anatomy())
    counts = sum(np.bincount(layer.ravel(), minlength=len(names) + 1) for layer in nodes.layers)
    assert np.array_equal(nodes.voxels, counts[1:])
    assert nodes.geometry[:, 0] == pytest.approx(np.log(nodes.voxels * 12.0), rel=1e-6)


def test_edges_are_symmetric_and_join_members() -> None:
    nodes, names = built(anatomy())
    assert np.array_equal(nodes.edges, nodes.edges.T)
    assert not np.diag(nodes.edges).any()
    assert nodes.edges[names["lesion_1"], names["ring_1"]] > 0
    assert nodes.edges[names["lesion_1"], [names[f"parcel_{i}"] for i in (1, 2, 3, 4)]].any()
    assert nodes.edges[names["lesion_1"], names["lesion_2"]] == 0
    assert nodes.edges[names["spleen"], names["lesion_1"]] == 0


def test_the_map_does_not_depend_on_where_the_patient_lies() -> None:
    shift = (4, 3, 2)
    (here, _), (there, _) = built(anatomy()), built(anatomy(shift))
    assert np.array_equal(np.roll(here.layers, shift, axis=(1, 2, 3)), there.layers)
    assert here.geometry == pytest.approx(there.geometry, abs=1e-5)
    assert here.edges == pytest.approx(there.edges, abs=1e-6)


def test_lesions_beyond_the_slots_are_merged_and_their_share_is_told() -> None:
    nodes, names = built(anatomy(), lesions=1)
    total = nodes.voxels[names["lesion_1"]] + nodes.voxels[names["other_lesions"]]
    assert nodes.merged_lesion_share == pytest.approx(nodes.voxels[names["other_lesions"]] / total)
    assert built(anatomy(), lesions=3)[0].merged_lesion_share == 0


def test_lesions_too_small_belong_to_no_node_but_the_largest_always_does() -> None:
    nodes, names = built(anatomy(), smallest_lesion_mm3=1e6)
    assert nodes.valid[names["lesion_1"]]
    assert not nodes.valid[names["lesion_2"]]
    assert not nodes.valid[names["ring_2"]]
    assert not nodes.valid[names["other_lesions"]]


def test_one_ring_round_all_lesions_is_the_union_of_the_rings() -> None:
    merged, _ = built(anatomy(), rings="merged")
    apart, _ = built(anatomy(), lesions=3)
    assert np.array_equal(merged.layers[2] > 0, apart.layers[2] > 0)


def test_without_an_organ_rings_stay_in_the_body() -> None:
    labels = anatomy()
    labels[labels == ORGAN] = 0
    body = np.zeros(labels.shape, bool)
    body[:, :22] = True
    nodes, names = built(labels, body, organ=False)
    assert nodes.valid[names["ring_1"]]
    assert not (nodes.layers[2] > 0)[:, 22:].any()
    free, _ = built(labels, None, organ=False)
    assert (free.layers[2] > 0)[:, 22:].any()
    assert not free.geometry[:, 1].any()  # no depth without a surface


def test_a_case_without_regions_has_no_valid_node() -> None:
    nodes, names = built(np.zeros((8, 8, 8), np.uint8), np.ones((8, 8, 8), bool))
    assert len(nodes.valid) == len(names)
    assert not nodes.valid.any()
    assert not nodes.geometry.any()
    assert not nodes.edges.any()


def test_a_graph_that_is_off_has_no_nodes() -> None:
    nodes, _ = built(anatomy(), enabled=False)
    assert nodes.valid.shape == (0,)
    assert nodes.edges.shape == (0, 0)
    assert not nodes.layers.any()
