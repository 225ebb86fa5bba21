"""Node importance against its own definition: brute force through the networks, captum, and its axioms."""

import dataclasses

import numpy as np
import pytest
import torch

from reactkd_auto.inference.importance import (
    class_activation,
    graph_score,
    node_importance,
    recorded,
    signed_shares,
)
from reactkd_auto.networks import build_student, graph_inputs
from reactkd_auto.regions.slots import node_slots
from tests.builders import small_dataset, small_plan, with_opinions

TARGET = 1


@pytest.fixture(scope="module", params=[(0, 1), (0, 2)], ids=["deepest not pooled", "deepest pooled"])
def example(request):
    """A student, its inputs, its answer and the record of that pass; node 1 does not exist in the case."""
    plan, dataset = small_plan(), small_dataset()
    plan = dataclasses.replace(plan, network=dataclasses.replace(plan.network, pooled_stages=request.param))
    count = len(node_slots(plan.graph, dataset))
    random = torch.Generator().manual_seed(3)
    nodes = torch.zeros(1, 3, *plan.patch_size, dtype=torch.uint8)
    for slot in node_slots(plan.graph, dataset):
        place = torch.rand(plan.patch_size, generator=random) < 0.2
        nodes[0, slot.layer][place] = slot.index + 1
    node_valid = torch.ones(1, count, dtype=torch.bool)
    node_valid[0, 1] = False
    edges = torch.rand(1, count, count, generator=random)
    edges = (edges + edges.mT) / 2 * (1 - torch.eye(count))
    geometry = torch.rand(1, count, 6, generator=random)
    image = torch.randn(1, 1, *plan.patch_size, generator=random)
    valid = torch.ones(1, 1, *plan.patch_size, dtype=torch.bool)
    student = with_opinions(build_student(plan, dataset, ("CT",)))
    graph = graph_inputs(nodes, valid, node_valid, geometry, edges, plan, dataset)
    inputs = (image, valid[:, :, 0, 0, 0], valid, graph)
    student.train()(*inputs)  # the readout learns what is usual
    student.eval()
    with torch.no_grad(), recorded(student) as passes:
        outputs = student(*inputs)
    return student, inputs, outputs, passes[0]


def _graph_part(outputs):
    votes = outputs.logits - outputs.gap_logits
    return votes[:, TARGET] - votes.mean(dim=1)


def test_the_readout_on_one_voxel_a_node_gives_the_networks_own_score(example):
    student, _, outputs, record = example
    score = graph_score(student.readout, record.state, record.state.features, TARGET)
    torch.testing.assert_close(score, _graph_part(outputs))


def test_its_gradient_is_the_networks_own_gradient(example):
    """∂z_c/∂h_k through the stand-in image against autograd through the whole student."""
    student, inputs, _, record = example
    outputs = student(*inputs)
    (expected,) = torch.autograd.grad(_graph_part(outputs).sum(), outputs.node_features)
    point = record.state.features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(graph_score(student.readout, record.state, point, TARGET).sum(), point)
    assert expected.abs().max() > 0
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)


def test_it_equals_integrated_gradients_by_captum(example):
    captum = pytest.importorskip("captum.attr")
    student, _, _, record = example
    state = record.state
    features = state.features
    baseline = torch.where(state.node_valid[:, :, None], state.reference[:, None], features)

    def score(points):  # captum hands over all steps as one batch
        rows = len(points)
        repeated = {f.name: getattr(state, f.name).expand(rows, *[-1] * (getattr(state, f.name).dim() - 1))
                    for f in dataclasses.fields(state)}  # fmt: skip
        return graph_score(student.readout, dataclasses.replace(state, **repeated), points, TARGET)

    expected = captum.IntegratedGradients(score).attribute(
        features, baselines=baseline, n_steps=32, method="riemann_middle"
    )
    ours = node_importance(student.readout, state, TARGET, steps=32)
    torch.testing.assert_close(ours, expected.sum(dim=2).float(), rtol=1e-4, atol=1e-6)


def test_importances_add_up_to_the_difference_from_average_tissue(example):
    student, _, outputs, record = example
    state = record.state
    importance = node_importance(student.readout, state, TARGET, steps=256)
    average = state.reference[:, None] * state.node_valid[:, :, None]
    difference = _graph_part(outputs) - graph_score(student.readout, state, average, TARGET)
    assert importance.sum().item() == pytest.approx(difference.item(), abs=0.01 * importance.abs().sum().item())


def test_nodes_that_do_not_exist_have_no_importance(example):
    student, _, _, record = example
    importance = node_importance(student.readout, record.state, TARGET)[0]
    assert importance[1] == 0.0
    assert (importance[record.state.node_valid[0]] != 0).all()


def test_class_activation_averages_to_the_images_part_of_the_score(example):
    """The map's mean over measured voxels, and the bias, are the GAP logits (all classes' mean taken off)."""
    student, _, outputs, record = example
    activation = class_activation(student.readout, record.state, TARGET)
    bias = student.readout.gap.bias
    expected = outputs.gap_logits[0, TARGET] - outputs.gap_logits[0].mean() - (bias[TARGET] - bias.mean())
    assert activation.mean().item() == pytest.approx(expected.item(), abs=1e-5)


def test_shares_keep_their_sign_and_lose_their_scale():
    np.testing.assert_allclose(signed_shares(np.array([6.0, -2.0, 0.0])), [0.75, -0.25, 0.0])
    np.testing.assert_array_equal(signed_shares(np.zeros(2)), [0.0, 0.0])
