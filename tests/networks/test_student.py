import pytest
import torch

from reactkd_auto.errors import UserError
from reactkd_auto.networks import build_student, build_teachers
from tests.builders import with_opinions
from tests.networks.samples import ANISOTROPIC, ISOTROPIC, PLAIN_STEM, make_dataset, make_plan, make_sample

ALL = ("ct", "pet0", "pet1")


def run(student, sample, plan, dataset, channels=1):
    graph = sample.graph(plan, dataset)
    return student(sample.image[:, :channels], sample.present[:, :channels], sample.valid[:, :channels], graph)


@pytest.mark.parametrize("strides", [ISOTROPIC, ANISOTROPIC, PLAIN_STEM])
def test_student_features_pair_with_the_teachers_node_by_node(strides):
    plan, dataset = make_plan(strides=strides, width=16), make_dataset()
    sample = make_sample(plan, dataset)
    teachers, student = build_teachers(plan, dataset), build_student(plan, dataset)
    graph = sample.graph(plan, dataset)
    teacher = teachers(sample.image, sample.dose, sample.present, sample.valid, graph).fused
    out = run(student, sample, plan, dataset)
    assert out.node_features.shape == teacher.node_features.shape
    assert out.node_logits.shape == teacher.node_logits.shape
    assert [a.shape for a in out.attention] == [a.shape for a in teacher.attention]


def test_attention_is_handed_over_from_the_teachers():
    plan, dataset = make_plan(), make_dataset()
    teachers, student = build_teachers(plan, dataset, seed=1), build_student(plan, dataset, seed=2)
    student.cbam.load_state_dict(teachers.cbam.state_dict())
    x = torch.randn(1, 8, 4, 4, 4)
    torch.testing.assert_close(student.cbam(x)[1], teachers.cbam(x)[1])


def test_the_input_of_a_student_does_not_tell_where_the_base_image_ends():
    plan, dataset = make_plan(), make_dataset()
    for channels in ((), ALL):
        student, sample = with_opinions(build_student(plan, dataset, channels)).eval(), make_sample(plan, dataset)
        graph, count = sample.graph(plan, dataset), max(1, len(channels))
        whole = student(sample.image[:, :count], sample.present[:, :count], sample.valid[:, :count], graph)
        sample.valid[:, 0, :8] = False
        cut = student(sample.image[:, :count], sample.present[:, :count], sample.valid[:, :count], graph)
        assert torch.equal(whole.logits, cut.logits)


def test_content_of_an_absent_channel_changes_nothing():
    plan, dataset = make_plan(), make_dataset()
    student, sample = with_opinions(build_student(plan, dataset, ALL)).eval(), make_sample(plan, dataset)
    sample.present[0, 1] = False
    before = run(student, sample, plan, dataset, 3).logits
    sample.image[0, 1] = 1000
    torch.testing.assert_close(run(student, sample, plan, dataset, 3).logits, before)
    sample.image[0, 2] = 1000
    assert not torch.allclose(run(student, sample, plan, dataset, 3).logits, before)


def test_a_missing_channel_is_told_from_a_measured_zero():
    plan, dataset = make_plan(), make_dataset()
    student, sample = with_opinions(build_student(plan, dataset, ALL)).eval(), make_sample(plan, dataset)
    sample.image[0, 1] = 0  # the token begins at 0 too: the presence plane must tell them apart
    measured = run(student, sample, plan, dataset, 3).logits
    sample.present[0, 1] = False
    assert not torch.allclose(run(student, sample, plan, dataset, 3).logits[0], measured[0])


def test_distillation_gradients_reach_every_student_weight_and_no_teacher_weight():
    plan, dataset = make_plan(), make_dataset()
    sample = make_sample(plan, dataset)
    teachers, student = build_teachers(plan, dataset), build_student(plan, dataset, ALL)
    graph = sample.graph(plan, dataset)
    with torch.no_grad():
        target = teachers(sample.image, sample.dose, sample.present, sample.valid, graph).fused
    sample.present[0, 1:] = False
    out = run(student, sample, plan, dataset, 3)
    loss = (out.logits - target.logits).square().mean() + (out.node_features - target.node_features).square().mean()
    loss.backward()
    assert [n for n, p in student.named_parameters() if p.grad is None] == []
    assert [n for n, p in teachers.named_parameters() if p.grad is not None] == []


@pytest.mark.parametrize("channels", [("pet0",), ("pet0", "ct"), ("ct", "ct"), ("ct", "mri")])
def test_channels_that_make_no_sense_are_refused(channels):
    with pytest.raises(UserError, match="channel"):
        build_student(make_plan(), make_dataset(), channels)
