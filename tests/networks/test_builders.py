from dataclasses import replace

import pytest
import torch

from reactkd_auto.errors import UserError
from reactkd_auto.networks import build_localiser, build_student, build_teachers
from tests.networks.samples import ISOTROPIC, make_dataset, make_plan, make_sample


@pytest.mark.parametrize("build", [build_teachers, build_student, build_localiser])
def test_initial_weights_follow_the_seed_and_leave_the_global_generator_alone(build):
    plan, dataset = make_plan(), make_dataset()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = build(plan, dataset, seed=1)
    assert torch.equal(torch.rand(3), expected)
    again, other = build(plan, dataset, seed=1), build(plan, dataset, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_default_student_is_light():
    strides = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))
    plan = make_plan(strides=strides, patch=(16, 16, 16), width=32, student_width=16, embedding=64, pooled=(0, 1, 2))
    student = build_student(plan, make_dataset())
    assert sum(p.numel() for p in student.parameters()) <= 2_000_000


def test_memory_layout_does_not_change_results():
    plan, dataset = make_plan(), make_dataset()
    sample = make_sample(plan, dataset)
    graph = sample.graph(plan, dataset)
    inputs = (sample.image, sample.dose, sample.present, sample.valid, graph)
    plain = build_teachers(plan, dataset)(*inputs).fused
    other = build_teachers(plan, dataset, channels_last=True)(*inputs).fused
    torch.testing.assert_close(plain.logits, other.logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(plain.node_features, other.node_features, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("build", [build_teachers, build_student])
def test_a_patch_that_the_strides_do_not_divide_is_refused(build):
    plan = replace(make_plan(strides=ISOTROPIC), patch_size=(16, 16, 20))
    with pytest.raises(UserError, match="patch_size"):
        build(plan, make_dataset())


def test_an_unknown_encoder_is_refused():
    with pytest.raises(UserError, match="expected one of segres"):
        build_student(make_plan(), make_dataset(), encoder="mystery")


def test_running_statistics_reach_over_as_many_batches_in_however_many_parts_they_come():
    plan = replace(make_plan(), batch_size=8)
    whole, parts = (build_student(replace(plan, accumulation_steps=n), make_dataset()).readout for n in (1, 4))
    assert parts.own.decay**4 == pytest.approx(whole.own.decay)
