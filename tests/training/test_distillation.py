"""What holds for every loss of distillation, and which conditions are refused."""

from dataclasses import replace

import pytest
import torch

from reactkd_auto.errors import UserError
from reactkd_auto.training.distillation import distillation_losses
from reactkd_auto.training.losses import DISTILLATION
from reactkd_auto.training.preset import read_preset

from .conftest import tiny_dataset, tiny_plan
from .lessons import leaves, make_lesson, make_outputs, make_setting


def prepared(name, student, teacher):
    """A loss whose projections, where it has any, map the teacher's features onto its own targets."""
    loss = DISTILLATION[name](make_setting())
    with torch.no_grad():
        if name == "fitnet":
            loss.regressor.weight.copy_(torch.eye(6)[:, :, None, None, None])
            loss.regressor.bias.zero_()
        if name in ("node", "fgw"):
            projection = loss.projection
            projection.target(teacher.node_features, teacher.node_valid)
            mean, sd = projection.standardisation.moments()
            projection.linear.weight.copy_(torch.diag(1 / sd))
            projection.linear.bias.copy_(-mean / sd)
    return loss


@pytest.mark.parametrize("name", DISTILLATION)
def test_identical_answers_cost_nothing(name):
    student = teacher = make_outputs(1)
    assert prepared(name, student, teacher)(make_lesson(student, teacher)).abs() < 1e-5


@pytest.mark.parametrize("name", DISTILLATION)
def test_different_answers_cost_and_gradients_reach_the_student_and_not_the_teacher(name):
    student, teacher = make_outputs(1), make_outputs(2)
    value = prepared(name, student, teacher)(make_lesson(student, teacher))
    assert value.ndim == 0
    assert value > 1e-3
    value.backward()
    assert sum(float(x.grad.abs().sum()) for x in leaves(student) if x.grad is not None) > 0
    assert all(x.grad is None for x in leaves(teacher))


@pytest.mark.parametrize("name", DISTILLATION)
def test_ungraded_cases_take_part_in_every_loss(name):
    student, teacher = make_outputs(1), make_outputs(2)
    lesson = make_lesson(student, teacher, torch.full((8,), -1))
    prepared(name, student, teacher)(lesson).backward()
    gradients = [x.grad.flatten(1).abs().sum(1) for x in leaves(student) if x.grad is not None]
    assert gradients
    assert (torch.stack(gradients).sum(0) > 0).all()


@pytest.mark.parametrize("name", [n for n, loss in DISTILLATION.items() if loss.needs_graph])
def test_nodes_that_are_not_valid_change_nothing(name):
    student, teacher = make_outputs(1), make_outputs(2)
    value = prepared(name, student, teacher)(make_lesson(student, teacher))
    spoiled = []
    for outputs in (student, teacher):
        invalid = ~outputs.node_valid[:, :, None]
        features, logits = (x.detach().masked_fill(invalid, 7e3) for x in (outputs.node_features, outputs.node_logits))
        spoiled.append(replace(outputs, node_features=features, node_logits=logits))
    spoiled[1] = replace(spoiled[1], node_valid=spoiled[0].node_valid)
    teacher = replace(teacher, node_valid=student.node_valid)
    value = prepared(name, student, teacher)(make_lesson(student, teacher))
    torch.testing.assert_close(prepared(name, *spoiled)(make_lesson(*spoiled)), value)


@pytest.mark.parametrize("name", DISTILLATION)
def test_under_autocast_losses_are_float32(name):
    student, teacher = make_outputs(1), make_outputs(2)
    loss, lesson = prepared(name, student, teacher).eval(), make_lesson(student, teacher)
    value = loss(lesson)
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(lesson)
    assert half.dtype == torch.float32
    # Learned projections run in bfloat16; everything else gives the very same number.
    exact = name not in ("node", "fgw", "fitnet")
    torch.testing.assert_close(half, value, rtol=1e-6 if exact else 2e-2, atol=1e-7)


def test_a_preset_gets_the_losses_that_it_names_and_graph_losses_only_with_a_graph():
    dataset = tiny_dataset()
    plan, auto = tiny_plan(dataset), read_preset("auto")
    assert list(distillation_losses(auto, plan, dataset)) == ["kl", "node", "node_logit", "edge"]
    without = replace(plan, graph=replace(plan.graph, enabled=False))
    assert list(distillation_losses(auto, without, dataset)) == ["kl"]
    assert distillation_losses(read_preset("baseline"), plan, dataset) == {}


def test_conditions_that_a_plan_does_not_meet_are_one_sentence():
    dataset = tiny_dataset()
    plan = tiny_plan(dataset)
    with pytest.raises(
        UserError, match=r"--preset dist: DIST .* found 2 samples in one, expected at least 8; plan with"
    ):
        distillation_losses(read_preset("dist"), plan, dataset)
    assert list(distillation_losses(read_preset("dist"), replace(plan, batch_size=8), dataset)) == ["dist"]
    with pytest.raises(UserError, match=r"--preset logit_std: two standardised logits .* found 2 classes, expected 3"):
        distillation_losses(read_preset("logit_std"), plan, dataset)
    three = replace(dataset, classes=("a", "b", "c"))
    assert list(distillation_losses(read_preset("logit_std"), plan, three)) == ["logit_std"]


def test_dist_refuses_a_batch_that_was_split_into_small_ones():
    student, teacher = make_outputs(1, batch=4), make_outputs(2, batch=4)
    with pytest.raises(UserError, match="found 4 samples"):
        DISTILLATION["dist"](make_setting())(make_lesson(student, teacher))


@pytest.mark.parametrize(
    ("name", "remark"), [("dkd", "its second term vanishes"), ("dist", "only the intra-class one")]
)
def test_terms_that_two_classes_do_not_have_are_said(name, remark):
    assert remark in DISTILLATION[name](make_setting(classes=2)).remark
    assert DISTILLATION[name](make_setting()).remark is None
