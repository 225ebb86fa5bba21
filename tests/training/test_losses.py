"""Losses against identities and independent references."""

import pytest
import torch
from torch.nn import functional

from reactkd_auto.training.losses import (
    CLASSIFICATION,
    NodeProjection,
    cross_entropy,
    dice_and_cross_entropy,
    dose_consistency,
    edge_loss,
    focal,
    logits_kl,
    node_logit_kl,
    node_loss,
    ordinal,
)

LABEL = torch.tensor([0, 2, 1, -1, 2])


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * 2


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1))


MASK = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 1, 0]], dtype=torch.bool)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 3.0, 0.5])])
def test_cross_entropy_is_torch_s_on_the_graded_samples(logits, weights):
    expected = functional.cross_entropy(logits, LABEL, weight=weights, ignore_index=-1)
    torch.testing.assert_close(cross_entropy(logits, LABEL, weights), expected)


def test_focal_without_focusing_is_cross_entropy(logits):
    torch.testing.assert_close(focal(logits, LABEL, gamma=0.0), cross_entropy(logits, LABEL))


def test_focal_follows_its_formula(logits):
    p = logits.softmax(1)[LABEL >= 0, LABEL[LABEL >= 0]]
    torch.testing.assert_close(focal(logits, LABEL), (-((1 - p) ** 2) * p.log()).mean())


def test_ordinal_of_two_classes_is_cross_entropy(logits):
    label = LABEL.clamp(max=1)
    torch.testing.assert_close(ordinal(logits[:, :2], label), cross_entropy(logits[:, :2], label))


def test_ordinal_is_the_cross_entropy_of_every_threshold(logits):
    p = logits.softmax(1)
    above = torch.stack([p[:, 1] + p[:, 2], p[:, 2]], 1)[LABEL >= 0]
    truth = (LABEL[LABEL >= 0, None] > torch.arange(2)).float()
    torch.testing.assert_close(ordinal(logits, LABEL), functional.binary_cross_entropy(above, truth))


def test_ordinal_punishes_two_grades_off_more_than_one():
    grade_0 = torch.tensor([0])
    assert ordinal(torch.tensor([[0.0, 0.0, 5.0]]), grade_0) > ordinal(torch.tensor([[0.0, 5.0, 0.0]]), grade_0)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_ungraded_samples_change_no_classification_loss_and_get_no_gradient(logits, name):
    changed = logits.clone()
    changed[3] = 100.0
    changed.requires_grad_()
    loss = CLASSIFICATION[name](changed, LABEL)
    torch.testing.assert_close(loss, CLASSIFICATION[name](logits, LABEL))
    loss.backward()
    assert changed.grad is not None
    assert not changed.grad[3].any()
    assert changed.grad[0].any()


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_a_batch_without_labels_costs_nothing(logits, name):
    assert CLASSIFICATION[name](logits, torch.full((5,), -1)) == 0


def test_logits_kl_is_torch_s_times_the_squared_temperature(logits):
    teacher, t = logits.flip(0), 2.0
    expected = functional.kl_div(
        (logits / t).log_softmax(1), (teacher / t).log_softmax(1), reduction="batchmean", log_target=True
    )
    torch.testing.assert_close(logits_kl(logits, teacher, temperature=t), t**2 * expected)


def test_identical_answers_cost_nothing(logits, features):
    nodes = features[..., :3]
    assert logits_kl(logits, logits, temperature=2.0).abs() < 1e-6
    assert dose_consistency(logits, logits).abs() < 1e-6
    assert node_logit_kl(nodes, nodes, MASK, temperature=2.0).abs() < 1e-6
    assert node_loss(features, features, MASK) == 0
    assert edge_loss(features, features, MASK) == 0


@pytest.mark.parametrize(
    "loss",
    [
        lambda s, t: logits_kl(s[:, 0], t[:, 0], temperature=2.0),
        lambda s, t: dose_consistency(s[:, 0], t[:, 0]),
        lambda s, t: node_logit_kl(s, t, MASK, temperature=2.0),
        lambda s, t: node_loss(s, t, MASK),
        lambda s, t: edge_loss(s, t, MASK),
    ],
    ids=["logits", "dose", "node logits", "node", "edge"],
)
def test_gradients_reach_the_student_and_not_the_teacher(features, loss):
    student, teacher = features.clone().requires_grad_(), features.flip(0).clone().requires_grad_()
    loss(student, teacher).backward()
    assert student.grad is not None
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize(
    "loss",
    [
        lambda s, t, m: node_logit_kl(s, t, m, temperature=2.0),
        node_loss,
        edge_loss,
    ],
    ids=["node logits", "node", "edge"],
)
def test_invalid_nodes_change_nothing_even_when_not_finite(features, loss):
    teacher, spoiled = features.flip(0), features.clone()
    spoiled[~MASK] = float("nan")
    spoiled.requires_grad_()
    value = loss(spoiled, teacher, MASK)
    torch.testing.assert_close(value, loss(features, teacher, MASK))
    assert loss(features, teacher, torch.zeros_like(MASK)) == 0


def test_edge_loss_is_the_mean_squared_difference_of_all_pairs_of_valid_cosines(features):
    teacher = features.flip(0)[..., :5]
    expected = []
    for s, t, m in zip(features, teacher, MASK, strict=True):
        difference = [
            (functional.cosine_similarity(s[i], s[j], 0) - functional.cosine_similarity(t[i], t[j], 0)) ** 2
            for i in range(6)
            for j in range(6)
            if m[i] and m[j]
        ]
        expected.append(torch.stack(difference).mean())
    torch.testing.assert_close(edge_loss(features, teacher, MASK), torch.stack(expected).mean())


def test_edge_loss_does_not_see_rotations_of_the_feature_space(features):
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(2)))[0]
    assert edge_loss(features, features @ rotation, MASK) < 1e-10


def test_node_statistics_are_those_of_the_nodes_seen_from_the_first_batch_on(features):
    projection = NodeProjection(8, 8)
    seen = projection.target(features, MASK)[MASK]
    torch.testing.assert_close(seen.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(0, correction=0), torch.ones(8), atol=1e-3, rtol=0)
    before = projection.target(features, torch.zeros_like(MASK))
    torch.testing.assert_close(projection.target(features, torch.zeros_like(MASK)), before, rtol=0, atol=0)
    torch.testing.assert_close(before[MASK], seen, rtol=0, atol=0)


def test_segmentation_loss_vanishes_for_a_sure_and_right_answer_only():
    labels = torch.zeros(1, 4, 4, 4, dtype=torch.int64)
    labels[:, :2] = 1
    sure = functional.one_hot(labels, 2).movedim(-1, 1).float() * 40
    assert dice_and_cross_entropy(sure, labels) < 1e-4
    assert dice_and_cross_entropy(sure, 1 - labels) > 1
