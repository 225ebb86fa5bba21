from dataclasses import replace

import pytest
import torch

from reactkd_auto.networks import GraphInputs, Outputs
from reactkd_auto.networks.readout import RegionReadout
from tests.builders import with_opinions
from tests.networks.samples import make_dataset, make_plan, make_sample

LESIONS = (False, False, True, True, True, False)


def make_readout(lesion_slots=LESIONS) -> RegionReadout:
    torch.manual_seed(0)
    return with_opinions(RegionReadout(width=8, classes=3, pooled=(True, False), lesion_slots=lesion_slots)).eval()


def make_graph(nodes: int = 6) -> GraphInputs:
    torch.manual_seed(1)
    edges = torch.rand(2, nodes, nodes)
    return GraphInputs(
        masks=(torch.rand(2, nodes, 4, 4, 4),),
        weights=(torch.ones(2, 1, 4, 4, 4), torch.ones(2, 1, 2, 2, 2)),
        node_valid=torch.ones(2, nodes, dtype=torch.bool),
        geometry=torch.randn(2, nodes, 6) * 10,
        edges=(edges + edges.transpose(1, 2)) * (1 - torch.eye(nodes)),
    )


def make_maps() -> list[torch.Tensor]:
    torch.manual_seed(2)
    return [torch.randn(2, 8, 4, 4, 4), torch.randn(2, 8, 2, 2, 2)]


def read(graph: GraphInputs, maps=None, readout=None) -> Outputs:
    return (readout or make_readout())(maps or make_maps(), (), graph)


def test_logits_are_gap_logits_plus_attended_node_logits():
    out = read(make_graph())
    graph_logits = torch.einsum("bn,bnk->bk", out.node_attention, out.node_logits)
    torch.testing.assert_close(out.logits, out.gap_logits + graph_logits)
    assert out.node_features.shape == (2, 6, 16)


def test_attention_goes_to_valid_lesions_only_and_sums_to_one():
    graph = make_graph()
    graph.node_valid[0, 3] = False
    attention = read(graph).node_attention
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(2))
    assert (attention[0, [0, 1, 3, 5]] == 0).all()
    assert (attention[0, [2, 4]] > 0).all()


def test_a_case_without_lesions_is_judged_by_all_its_nodes():
    graph = make_graph()
    graph.node_valid[0] = torch.tensor([True, True, False, False, False, False])
    attention = read(graph).node_attention
    torch.testing.assert_close(attention[0].sum(), torch.tensor(1.0))
    assert (attention[0, :2] > 0).all()
    assert (attention[0, 2:] == 0).all()


def test_a_case_without_nodes_is_judged_by_gap_alone():
    graph = make_graph()
    graph.node_valid[0] = False
    out = read(graph)
    torch.testing.assert_close(out.logits[0], out.gap_logits[0])
    assert (out.node_features[0] == 0).all()
    assert not torch.allclose(out.logits[1], out.gap_logits[1])


def test_order_of_lesions_does_not_matter():
    graph, order = make_graph(), torch.tensor([0, 1, 4, 2, 3, 5])
    shuffled = GraphInputs(
        masks=(graph.masks[0][:, order],),
        weights=graph.weights,
        node_valid=graph.node_valid[:, order],
        geometry=graph.geometry[:, order],
        edges=graph.edges[:, order][:, :, order],
    )
    a, b = read(graph), read(shuffled)
    torch.testing.assert_close(a.logits, b.logits)
    torch.testing.assert_close(a.node_logits[:, order], b.node_logits)
    torch.testing.assert_close(a.node_features[:, order], b.node_features)


def test_unmeasured_voxels_do_not_influence_gap():
    graph, maps = make_graph(), make_maps()
    graph.weights[1][..., 1] = 0
    changed = [maps[0], maps[1].clone()]
    changed[1][..., 1] = 50
    torch.testing.assert_close(read(graph, maps).gap_logits, read(graph, changed).gap_logits)


def test_distilled_features_hold_no_geometry_though_logits_use_it():
    graph = make_graph()
    moved = replace(graph, geometry=graph.geometry + 5)
    a, b = read(graph), read(moved)
    torch.testing.assert_close(a.node_features, b.node_features)
    assert not torch.allclose(a.node_logits, b.node_logits)


def test_a_node_without_neighbours_is_finite_and_neighbours_count():
    graph = make_graph()
    alone = replace(graph, edges=torch.zeros_like(graph.edges))
    a, b = read(graph), read(alone)
    assert b.logits.isfinite().all()
    assert not torch.allclose(a.node_logits, b.node_logits)


def test_logits_can_be_differentiated_by_node_features():
    out = read(make_graph(), [m.requires_grad_() for m in make_maps()])
    (gradient,) = torch.autograd.grad(out.logits[:, 0].sum(), out.node_features)
    assert gradient.shape == out.node_features.shape
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("batch", [1, 2])
def test_no_node_slots_at_all_leaves_gap(batch):
    plan, dataset = make_plan(nodes=False), make_dataset()
    graph = make_sample(plan, dataset, batch=batch).graph(plan, dataset)
    readout = with_opinions(RegionReadout(width=8, classes=3, pooled=(True, True, True), lesion_slots=()))
    maps = [torch.randn(batch, 8, *w.shape[2:]) for w in graph.weights]
    graph = replace(graph, masks=(*graph.masks, graph.masks[-1][..., :2, :2, :2]))
    out = readout(maps, (), graph)
    torch.testing.assert_close(out.logits, out.gap_logits)
    assert out.node_logits.shape == (batch, 0, 3)


def test_a_new_readout_is_at_chance():
    out = RegionReadout(width=8, classes=3, pooled=(True, False), lesion_slots=LESIONS)(make_maps(), (), make_graph())
    assert (out.logits == 0).all()


def test_what_all_cases_share_does_not_hide_what_differs():
    """A constant added to a feature changes nothing once the statistics know it."""
    graph, maps = make_graph(), make_maps()
    readout, other = make_readout().train(), make_readout().train()
    shifted = [m + 30 for m in maps]
    for _ in range(3):
        readout(maps, (), graph)
        other(shifted, (), graph)
    a, b = readout.eval()(maps, (), graph), other.eval()(shifted, (), graph)
    torch.testing.assert_close(a.logits, b.logits, atol=1e-3, rtol=1e-3)
    assert a.logits.std() > 0.01


def test_a_trained_readouts_answer_does_not_depend_on_the_rest_of_the_batch():
    graph, maps = make_graph(), make_maps()
    readout = make_readout().train()
    readout(maps, (), graph)
    readout.eval()
    both = readout(maps, (), graph)
    alone = readout([m[:1] for m in maps], (), GraphInputs(
        masks=tuple(m[:1] for m in graph.masks),
        weights=tuple(w[:1] for w in graph.weights),
        node_valid=graph.node_valid[:1],
        geometry=graph.geometry[:1],
        edges=graph.edges[:1],
    ))  # fmt: skip
    torch.testing.assert_close(both.logits[:1], alone.logits)
