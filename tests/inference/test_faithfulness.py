"""Judging explanations: measures whose value is known beforehand."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from reactkd_auto.inference.faithfulness import (
    area_between,
    deletion_curves,
    energy_share,
    rank_correlation,
    shuffled,
)
from reactkd_auto.inference.importance import Pass, ReadoutState
from reactkd_auto.networks import Outputs, build_student
from reactkd_auto.networks.readout import RegionReadout
from reactkd_auto.networks.standardise import RunningStandardisation
from tests.builders import small_dataset, small_plan, with_opinions

NODES = 4
SPEAKS, SILENT = 1, 2
"""Two lesions: the answer rests on the first one alone."""


@pytest.fixture
def known():
    """A readout that votes for class 1 by the first feature of lesions, and a pass of it; node 0 is no lesion, 3 is
    not there."""
    readout = RegionReadout(width=4, classes=2, pooled=(True,), lesion_slots=(False, True, True, True)).eval()
    for layer in (readout.hidden[0], readout.node_scores):  # all lesions get the same attention
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        readout.hidden[0].weight[0, 0] = 1.0
        readout.node_logits.weight[1, 0] = 2.0
    features = torch.zeros(1, NODES, 2 * 4)
    features[0, SPEAKS, 0] = 3.0
    state = ReadoutState(
        features=features,
        reference=torch.zeros(1, 2 * 4),
        node_valid=torch.tensor([[True, True, True, False]]),
        geometry=torch.zeros(1, NODES, 6),
        edges=torch.zeros(1, NODES, NODES),
        deepest=torch.zeros(1, 4, 1, 1, 1),
        average=torch.zeros(1, 4),
    )
    empty = torch.zeros(1, 2)
    outputs = Outputs(empty, empty, torch.zeros(1, NODES, 2), features, torch.zeros(1, NODES), state.node_valid, (), ())
    return readout, Pass(state, outputs)


def test_the_deletion_curve_is_what_the_readout_says_of_the_nodes_that_are_left(known):
    vote = 2.0 * float(nn.functional.gelu(torch.tensor(3.0)))
    half, whole, even = (1 / (1 + np.exp(-v)) for v in (vote / 2, vote, 0.0))  # two lesions share the attention
    orders = np.array([[SPEAKS, SILENT, 0], [SILENT, SPEAKS, 0], [0, SILENT, SPEAKS]])
    curves = deletion_curves(*known, 1, orders)
    np.testing.assert_allclose(curves[0], [half, even, even, even], rtol=1e-5)
    np.testing.assert_allclose(curves[1], [half, whole, even, even], rtol=1e-5)
    np.testing.assert_allclose(curves[2], [half, half, whole, even], rtol=1e-5)


def test_the_right_order_has_a_positive_area_and_the_wrong_one_a_negative(known):
    right, wrong = deletion_curves(*known, 1, np.array([[SPEAKS, 0, SILENT], [0, SILENT, SPEAKS]]))
    assert area_between(right, np.stack([right, wrong])) > 0.05
    assert area_between(wrong, np.stack([right, wrong])) < -0.05
    assert area_between(right, right[None]) == 0.0


def test_energy_in_a_mask_is_its_share_of_what_is_positive():
    image, mask = np.zeros((2, 3, 4), np.float32), np.zeros((2, 3, 4), bool)
    mask[0, 0] = True
    image[0, 0] = 1.0
    image[1, 0, :4] = (3.0, 1.0, -7.0, 0.0)
    assert energy_share(image, mask) == 0.5
    assert energy_share(np.ones_like(image), mask) == pytest.approx(mask.mean())
    assert energy_share(image * 0, mask) is None


def test_a_shuffled_network_has_the_same_weights_elsewhere_and_its_original_is_untouched():
    student = with_opinions(build_student(small_plan(), small_dataset(), ("CT",)))
    before = {k: v.clone() for k, v in student.state_dict().items()}
    next(m for m in student.modules() if isinstance(m, RunningStandardisation)).weight += 0.5
    other = shuffled(student, seed=0)
    moved = 0
    for name, weight in other.named_parameters():
        torch.testing.assert_close(weight.flatten().sort().values, before[name].flatten().sort().values)
        moved += not torch.equal(weight, before[name])
    assert moved > 10
    for name, weight in student.named_parameters():
        assert torch.equal(weight, before[name])
    assert all(m.weight == 0 for m in other.modules() if isinstance(m, RunningStandardisation))


def test_rank_correlation_is_that_of_ranks_and_undefined_without_any():
    values = np.array([0.1, -2.0, 5.0, 3.0])
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1.0)
    assert rank_correlation(values, -values) == pytest.approx(-1.0)
    assert rank_correlation(values, np.zeros(4)) is None
    assert rank_correlation(values[:2], values[:2]) is None


def test_nodes_that_are_not_there_change_nothing(known):
    readout, run = known
    state = dataclasses.replace(run.state, features=run.state.features.index_fill(1, torch.tensor([3]), 9.0))
    orders = np.array([[SPEAKS, SILENT, 0]])
    again = deletion_curves(readout, dataclasses.replace(run, state=state), 1, orders)
    np.testing.assert_array_equal(deletion_curves(readout, run, 1, orders), again)
