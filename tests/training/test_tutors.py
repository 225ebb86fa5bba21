"""Which teacher answers for which case."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from reactkd_auto.networks import GraphInputs, Outputs
from reactkd_auto.training.augment import Views
from reactkd_auto.training.tutors import Panel, Tutors

FOLDS = {"a": 1, "b": 2, "c": 1, "u": -1}


class Sayer(nn.Module):
    """A teacher whose every answer is its own number times the sample's first voxel."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number))

    def forward(self, image, base_dose, present, valid, graph, *, covariates=None):
        def say(factor: float) -> Outputs:
            value = factor * self.number * image[:, 0, 0, 0, :1]
            nodes = (value * graph.geometry[:, :, 0])[:, :, None]
            return Outputs(value, value, nodes, nodes, nodes[:, :, 0], graph.node_valid, (), ())

        return SimpleNamespace(fused=say(1.0), structure=say(2.0), dose=say(3.0))


class Pair(Sayer):
    """Two classes: the answer, and 0."""

    def forward(self, *inputs, covariates=None):
        heads = vars(super().forward(*inputs))
        return SimpleNamespace(**{name: _with_zero(out) for name, out in heads.items()})


@pytest.fixture
def batch():
    """Four samples, told apart by their voxels, and by the geometry of their two nodes."""
    size = torch.arange(1.0, 5.0)
    image = size.view(4, 1, 1, 1, 1).expand(4, 1, 2, 2, 2)
    flags = torch.ones(4, 2, dtype=torch.bool)
    node_valid = torch.ones(4, 2, dtype=torch.bool)
    geometry = size.view(4, 1, 1).expand(4, 2, 6)
    edges = torch.zeros(4, 2, 2)
    nodes = torch.zeros(4, 3, 2, 2, 2, dtype=torch.uint8)
    views = Views(image, image, image > 0, flags, nodes, node_valid, geometry, edges, torch.zeros(4, dtype=torch.int64))
    return views, GraphInputs((image,), (image,), node_valid, geometry, edges)


def test_logits_come_from_teachers_that_never_saw_the_case_and_features_from_one_space(batch):
    tutors = Tutors(Sayer(1.0), {1: Sayer(10.0), 2: Sayer(100.0)}, FOLDS)
    answer = tutors.answer(*batch, ["a", "b", "c", "u"])
    torch.testing.assert_close(answer.logits[:, 0], torch.tensor([10.0, 200.0, 30.0, 4.0]))
    torch.testing.assert_close(answer.node_logits[:, 0, 0], torch.tensor([10.0, 400.0, 90.0, 16.0]))
    torch.testing.assert_close(answer.node_features[:, 0, 0], torch.tensor([1.0, 4.0, 9.0, 16.0]))


def test_an_in_sample_teacher_answers_alone(batch):
    answer = Tutors(Sayer(2.0), {}, FOLDS).answer(*batch, ["a", "b", "c", "u"])
    torch.testing.assert_close(answer.logits[:, 0], torch.tensor([2.0, 4.0, 6.0, 8.0]))


def test_a_panel_of_one_is_that_teacher(batch):
    answer = Tutors(Sayer(1.0), {1: Sayer(10.0)}, FOLDS, Panel(("dose",))).answer(*batch, ["a", "b", "c", "u"])
    torch.testing.assert_close(answer.logits[:, 0], torch.tensor([30.0, 6.0, 90.0, 12.0]))
    torch.testing.assert_close(answer.node_features[:, 0, 0], torch.tensor([3.0, 12.0, 27.0, 48.0]))


def test_a_panel_of_several_answers_with_the_mixture_of_their_unbiased_logits(batch):
    panel = Panel(("fused", "structure"), "mean", temperature=2.0)
    answer = Tutors(Pair(0.1), {1: Pair(0.2)}, FOLDS, panel).answer(*batch, ["a", "b", "c", "u"])
    said = torch.tensor([[0.2, 0.4], [0.2, 0.4], [0.6, 1.2], [0.4, 0.8]])
    expected = (said / 2).sigmoid().mean(1)
    torch.testing.assert_close((answer.logits / 2).softmax(1)[:, 0], expected)
    nodes = torch.sigmoid(torch.tensor([0.6, 1.2]) * 3 / 2).mean()
    torch.testing.assert_close((answer.node_logits / 2).softmax(2)[2, :, 0], nodes.expand(2))
    torch.testing.assert_close(answer.node_features[:, 0, 0], torch.tensor([0.1, 0.4, 0.9, 1.6]))


def test_a_structure_function_teacher_without_pet_says_nothing(batch):
    views, graph = batch
    views.present[1, 1] = False
    panel = Panel(("structure", "dose"), "mean", temperature=2.0)
    logits = Tutors(Pair(0.1), {}, FOLDS, panel).answer(views, graph, ["a", "b", "c", "u"]).logits
    torch.testing.assert_close((logits / 2).softmax(1)[1, 0], torch.tensor(0.6 / 2).sigmoid())
    torch.testing.assert_close((logits / 2).softmax(1)[0, 0], torch.tensor([0.2 / 2, 0.3 / 2]).sigmoid().mean())


def _with_zero(out: Outputs) -> Outputs:
    logits, nodes = (torch.cat([x, torch.zeros_like(x)], -1) for x in (out.logits, out.node_logits))
    return replace(out, logits=logits, node_logits=nodes)


def test_teachers_get_no_gradient(batch):
    answer = Tutors(Sayer(1.0), {1: Sayer(2.0)}, FOLDS).answer(*batch, ["a", "b", "c", "u"])
    assert not answer.logits.requires_grad
    assert not answer.node_features.requires_grad
