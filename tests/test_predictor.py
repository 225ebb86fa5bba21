from dataclasses import replace

import pytest
import torch

from reactkd_auto.networks import build_student
from reactkd_auto.predictor import mirror_combinations, predict_batch
from reactkd_auto.preprocessing.batch import Batch
from tests.builders import with_opinions
from tests.networks.samples import make_dataset, make_plan, make_sample


def make_batch(plan, dataset) -> Batch:
    """Images in real units: HU, SUV."""
    sample = make_sample(plan, dataset)
    units = torch.tensor([100.0, *[5.0] * len(dataset.privileged)])[None, :, None, None, None]
    return Batch(
        case=["a", "b"],
        image=sample.image.abs() * units,
        valid=sample.valid,
        present=sample.present,
        nodes=sample.nodes,
        node_valid=sample.node_valid,
        node_geometry=sample.geometry,
        edges=sample.edges,
        noise=torch.zeros(2, 0, *plan.patch_size),
        log_ratio=torch.zeros(2, 0, *plan.patch_size),
        label=torch.tensor([0, -1]),
    )


def mirrored(batch: Batch, dims: list[int]) -> Batch:
    return replace(batch, image=batch.image.flip(dims), valid=batch.valid.flip(dims), nodes=batch.nodes.flip(dims))


def test_every_allowed_flip_is_a_distribution_over_classes():
    plan, dataset = make_plan(mirror_axes=(0, 2)), make_dataset()
    student = with_opinions(build_student(plan, dataset)).eval()
    prediction = predict_batch(student, make_batch(plan, dataset), plan, dataset, ("ct",), flips=True)
    assert prediction.flips == ((), (0,), (2,), (0, 2))
    assert prediction.probabilities.shape == (4, 2, 3)
    torch.testing.assert_close(prediction.probabilities.sum(dim=2), torch.ones(4, 2))
    expected = torch.softmax(prediction.outputs.logits, dim=1)
    torch.testing.assert_close(prediction.probabilities[0], expected)


def test_a_flip_predicts_the_mirror_image():
    plan, dataset = make_plan(mirror_axes=(1, 2)), make_dataset()
    student, batch = with_opinions(build_student(plan, dataset)).eval(), make_batch(plan, dataset)
    batch.valid[0, 0, :, :, 12:] = False
    flips = predict_batch(student, batch, plan, dataset, ("ct",), flips=True)
    assert not torch.allclose(flips.probabilities[0], flips.probabilities[3])
    for axes, probabilities in zip(flips.flips, flips.probabilities, strict=True):
        image = mirrored(batch, [a + 2 for a in axes])
        direct = predict_batch(student, image, plan, dataset, ("ct",), flips=False)
        torch.testing.assert_close(direct.probabilities[0], probabilities, rtol=1e-4, atol=1e-5)


def test_no_flip_unless_asked_for_or_where_none_is_allowed():
    dataset = make_dataset()
    for plan, flips in ((make_plan(mirror_axes=(0,)), False), (make_plan(mirror_axes=()), True)):
        student = with_opinions(build_student(plan, dataset)).eval()
        prediction = predict_batch(student, make_batch(plan, dataset), plan, dataset, ("ct",), flips=flips)
        assert prediction.flips == ((),)


@pytest.mark.parametrize("gradients", [False, True])
def test_gradients_of_the_unflipped_pass_only_where_asked_for(gradients):
    plan, dataset = make_plan(mirror_axes=(2,)), make_dataset()
    student, batch = with_opinions(build_student(plan, dataset)).eval(), make_batch(plan, dataset)
    prediction = predict_batch(student, batch, plan, dataset, ("ct",), flips=True, gradients=gradients)
    assert prediction.outputs.logits.requires_grad is gradients
    assert not prediction.probabilities.requires_grad
    if gradients:
        (gradient,) = torch.autograd.grad(prediction.outputs.logits[:, 1].sum(), prediction.outputs.node_features)
        assert gradient.abs().sum() > 0


def test_ct_only_prediction_does_not_depend_on_other_channels():
    plan, dataset = make_plan(), make_dataset()
    student, batch = with_opinions(build_student(plan, dataset)).eval(), make_batch(plan, dataset)
    with_pet = predict_batch(student, batch, plan, dataset, ("ct",), flips=False).probabilities
    batch.image[:, 1:] = 7
    batch.present[:, 1:] = False
    without = predict_batch(student, batch, plan, dataset, ("ct",), flips=False).probabilities
    assert torch.equal(with_pet, without)


def test_channels_are_taken_by_name():
    plan, dataset = make_plan(), make_dataset()
    student, batch = with_opinions(build_student(plan, dataset, ("ct", "pet1"))).eval(), make_batch(plan, dataset)
    before = predict_batch(student, batch, plan, dataset, ("ct", "pet1"), flips=False).probabilities
    batch.image[:, 1] = 9
    same = predict_batch(student, batch, plan, dataset, ("ct", "pet1"), flips=False).probabilities
    batch.image[:, 2] = 9
    other = predict_batch(student, batch, plan, dataset, ("ct", "pet1"), flips=False).probabilities
    assert torch.equal(before, same)
    assert not torch.allclose(before, other)


def test_combinations_begin_with_no_mirror():
    assert mirror_combinations(()) == ((),)
    assert len(mirror_combinations((0, 1, 2))) == 8
