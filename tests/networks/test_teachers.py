from dataclasses import replace

import pytest
import torch

from reactkd_auto.networks import TeacherOutputs, Teachers, build_teachers
from reactkd_auto.networks.cbam3d import CBAM3D
from tests.builders import with_opinions
from tests.networks.samples import (
    ANISOTROPIC,
    ISOTROPIC,
    PLAIN_STEM,
    Sample,
    make_dataset,
    make_plan,
    make_sample,
)


def run(teachers: Teachers, sample: Sample, plan, dataset) -> TeacherOutputs:
    graph = sample.graph(plan, dataset)
    return teachers(sample.image, sample.dose, sample.present, sample.valid, graph)


@pytest.fixture
def parts():
    plan, dataset = make_plan(), make_dataset()
    return with_opinions(build_teachers(plan, dataset)).eval(), make_sample(plan, dataset), plan, dataset


@pytest.mark.parametrize("strides", [ISOTROPIC, ANISOTROPIC, PLAIN_STEM])
def test_every_teacher_answers_on_the_planned_grids(strides):
    plan, dataset = make_plan(strides=strides, patch=(8, 16, 16), pooled=(0, 1)), make_dataset()
    sample = make_sample(plan, dataset)
    answers = run(build_teachers(plan, dataset), sample, plan, dataset)
    nodes = sample.node_valid.shape[1]
    for out in (answers.fused, answers.structure, answers.dose):
        assert out.logits.shape == out.gap_logits.shape == (2, 3)
        assert out.node_logits.shape == (2, nodes, 3)
        assert out.node_features.shape == (2, nodes, 2 * 2 * 8)
        assert out.node_attention.shape == out.node_valid.shape == (2, nodes)
        for stage, attention in enumerate(out.attention):
            stride = plan.network.cumulative_stride(stage)
            assert attention.shape == (2, 1, 8 // stride[0], 16 // stride[1], 16 // stride[2])


def test_one_cbam_serves_every_branch(parts):
    teachers, sample, plan, dataset = parts
    assert sum(isinstance(m, CBAM3D) for m in teachers.modules()) == 1
    before = run(teachers, sample, plan, dataset)
    with torch.no_grad():
        teachers.cbam.spatial.bias += 1
    after = run(teachers, sample, plan, dataset)
    for name in ("fused", "structure", "dose"):
        assert not torch.allclose(getattr(before, name).logits, getattr(after, name).logits)


def test_content_of_an_absent_channel_changes_nothing(parts):
    teachers, sample, plan, dataset = parts
    sample.present[0, 1] = False
    before = run(teachers, sample, plan, dataset)
    sample.image[0, 1] = 1000
    sample.valid[0, 1] = False
    after = run(teachers, sample, plan, dataset)
    for name in ("fused", "structure", "dose"):
        torch.testing.assert_close(getattr(before, name).logits, getattr(after, name).logits)
        torch.testing.assert_close(getattr(before, name).node_features, getattr(after, name).node_features)


def test_an_absent_channel_is_not_an_empty_image(parts):
    teachers, sample, plan, dataset = parts
    sample.image[0, 1] = 0
    empty = run(teachers, sample, plan, dataset).structure.logits
    sample.present[0, 1] = False
    missing = run(teachers, sample, plan, dataset).structure.logits
    assert not torch.allclose(empty[0], missing[0])
    torch.testing.assert_close(empty[1], missing[1])


def test_a_case_is_answered_the_same_whichever_channels_its_batch_lacks(parts):
    teachers, sample, plan, dataset = parts
    both = run(teachers, sample, plan, dataset).fused.logits
    sample.present[0, 1:] = False
    torch.testing.assert_close(run(teachers, sample, plan, dataset).fused.logits[1], both[1], rtol=1e-4, atol=1e-5)


def test_a_branch_that_no_case_has_is_not_computed(parts, monkeypatch):
    teachers, sample, plan, dataset = parts
    sample.present[:, 1] = False

    def refuse(image):
        raise AssertionError("computed")

    monkeypatch.setattr(teachers.privileged["1"].encoder, "forward", refuse)
    assert run(teachers, sample, plan, dataset).structure.logits.isfinite().all()
    sample.present[0, 1] = True
    with pytest.raises(AssertionError, match="computed"):
        run(teachers, sample, plan, dataset)


def test_where_a_channel_was_not_measured_its_content_counts_only_by_context(parts):
    teachers, sample, plan, dataset = parts
    sample.valid[:, 1] = False
    masked = run(teachers, sample, plan, dataset).structure.logits
    sample.present[:, 1] = False
    torch.testing.assert_close(masked, run(teachers, sample, plan, dataset).structure.logits)


def test_dose_teacher_sees_the_dose_image_only_and_structure_teacher_does_not(parts):
    teachers, sample, plan, dataset = parts
    before = run(teachers, sample, plan, dataset)
    sample.dose = sample.dose + torch.randn_like(sample.dose)
    noisy = run(teachers, sample, plan, dataset)
    torch.testing.assert_close(before.structure.logits, noisy.structure.logits)
    assert not torch.allclose(before.dose.logits, noisy.dose.logits)
    assert not torch.allclose(before.fused.logits, noisy.fused.logits)


@pytest.mark.parametrize(("privileged", "wanted"), [(0, True), (2, False)])
def test_without_structure_function_teacher_only_the_dose_teacher_is_built(privileged, wanted):
    plan, dataset = make_plan(structure_function=wanted), make_dataset(privileged)
    teachers = build_teachers(plan, dataset)
    answers = run(teachers, make_sample(plan, dataset), plan, dataset)
    assert answers.structure is None
    assert answers.fused is answers.dose
    assert len(teachers.privileged) == 0
    assert list(teachers.readouts) == ["dose"]


def test_every_weight_learns_when_something_is_missing(parts):
    teachers, sample, plan, dataset = parts
    sample.present[0, 1] = sample.present[1, 2] = False
    answers = run(teachers, sample, plan, dataset)
    sum(out.logits.square().sum() for out in (answers.fused, answers.structure, answers.dose)).backward()
    idle = [name for name, p in teachers.named_parameters() if p.grad is None]
    assert idle == []


def test_cases_without_regions_get_finite_logits_from_gap():
    plan, dataset = make_plan(nodes=False), make_dataset()
    teachers, sample = build_teachers(plan, dataset), make_sample(plan, dataset)
    fused = run(teachers, sample, plan, dataset).fused
    torch.testing.assert_close(fused.logits, fused.gap_logits)
    replaced = replace(plan, network=replace(plan.network, pooled_stages=(0,)))
    assert build_teachers(replaced, dataset).stages == (0, 2)


def test_half_precision_gives_nearly_the_same_answers_in_float32(parts):
    teachers, sample, plan, dataset = parts
    sample.present[0, 1] = False
    full = run(teachers, sample, plan, dataset).fused
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = run(teachers, sample, plan, dataset).fused
    for name in ("logits", "gap_logits", "node_logits", "node_features", "node_attention"):
        assert getattr(half, name).dtype == torch.float32
        torch.testing.assert_close(getattr(half, name), getattr(full, name), rtol=0.1, atol=0.1)
