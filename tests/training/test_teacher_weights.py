"""How teachers are weighed, and what learning from several means."""

import math
from dataclasses import replace

import pytest
import torch

from reactkd_auto.training.losses.kl import logits_kl, softened_kl
from reactkd_auto.training.teacher_weights import WEIGHTINGS, Votes, mixture, weigh

LABEL = torch.tensor([0, 2, 1, -1])


@pytest.fixture
def votes() -> Votes:
    """Of three teachers on four cases of three classes; the last is ungraded, the second teacher saw half of case 1."""
    logits = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0)) * 2
    saw = torch.ones(4, 3)
    saw[1, 1] = 0.5
    return Votes(logits, saw, LABEL, torch.tensor([0.5, 0.9, 1.1]))


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("known", [True, False])
def test_weights_are_positive_and_sum_to_one_also_where_nothing_is_graded(votes, name, known):
    for label in (LABEL, torch.full((4,), -1)):
        weights = weigh(replace(votes, label=label, losses=votes.losses if known else None), name)
        torch.testing.assert_close(weights.sum(1), torch.ones(4))
        assert (weights > 0).all()


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_teacher_that_saw_nothing_says_nothing(votes, name):
    saw = votes.saw.clone()
    saw[2, 1] = 0
    weights = weigh(replace(votes, saw=saw), name)
    assert weights[2, 1] == 0
    assert weights[2, 0] > 0


def test_ca_mkd_follows_the_paper_case_by_case(votes):
    weights = weigh(votes, "ca_mkd")
    losses = [-float(z[0].log_softmax(0)[0]) for z in votes.logits]
    total = sum(math.exp(x) for x in losses)
    expected = torch.tensor([(1 - math.exp(x) / total) / 2 for x in losses])
    torch.testing.assert_close(weights[0], expected)


def test_ca_mkd_of_ungraded_cases_follows_losses_out_of_fold(votes):
    expected = (1 - votes.losses.softmax(0)) / 2
    torch.testing.assert_close(weigh(votes, "ca_mkd")[3], expected)
    torch.testing.assert_close(weigh(replace(votes, losses=None), "ca_mkd")[3], torch.full((3,), 1 / 3))


def test_entropy_gives_the_sure_teacher_the_say_and_less_to_one_that_saw_half(votes):
    logits = torch.tensor([[[9.0, 0, 0]], [[9.0, 0, 0]], [[0.0, 0, 0]]])
    weights = weigh(Votes(logits, torch.tensor([[1.0, 0.5, 1.0]]), LABEL[:1], None), "entropy_presence")[0]
    assert weights[0] == pytest.approx(2 * float(weights[1]))
    assert weights[2] == pytest.approx(0, abs=1e-6)


def test_performance_follows_losses_out_of_fold_or_else_of_the_batch(votes):
    torch.testing.assert_close(weigh(votes, "performance")[0], (-votes.losses).softmax(0))
    graded = torch.stack([-z[:3].log_softmax(1)[torch.arange(3), LABEL[:3]] for z in votes.logits]).mean(1)
    torch.testing.assert_close(weigh(replace(votes, losses=None), "performance")[3], (-graded).softmax(0))


def test_a_mixture_has_the_weighted_probabilities(votes):
    weights = weigh(votes, "ca_mkd")
    expected = sum(w[:, None] * (z / 2).softmax(1) for w, z in zip(weights.T, votes.logits, strict=True))
    torch.testing.assert_close((mixture(votes.logits, weights, 2.0) / 2).softmax(1), expected)
    one = torch.tensor([0.0, 1.0, 0.0]).expand(4, 3)
    nodes = votes.logits[:, :, None].expand(3, 4, 2, 3)
    torch.testing.assert_close(mixture(nodes, one, 2.0).softmax(-1), nodes[1].softmax(-1))


def test_learning_from_the_mixture_is_learning_from_every_teacher_by_its_weight(votes):
    student = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    weights = weigh(votes, "entropy_presence")
    mixed = logits_kl(student, mixture(votes.logits, weights, 2.0), temperature=2.0)
    each = sum((w * softened_kl(student, z, 2.0)).mean() for w, z in zip(weights.T, votes.logits, strict=True))
    torch.testing.assert_close(*(torch.autograd.grad(loss, student)[0] for loss in (mixed, each)))
