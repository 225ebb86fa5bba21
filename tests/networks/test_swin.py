"""The SwinTransformer encoder on the plan's grids."""

import pytest
import torch

from reactkd_auto.networks import build_teachers
from reactkd_auto.networks.swin import SwinEncoder, describe
from reactkd_auto.plan import EncoderPlan

from .samples import ANISOTROPIC, ISOTROPIC, make_dataset, make_plan, make_sample

SMALL = EncoderPlan(6, (1, 1, 1, 1))


@pytest.mark.parametrize("strides", [ISOTROPIC, ANISOTROPIC])
def test_features_lie_on_the_planned_grids_whatever_the_patch(strides):
    encoder = SwinEncoder(2, SMALL, strides)
    features = encoder(torch.randn(1, 2, 8, 16, 24))
    total = [1, 1, 1]
    for stage, (feature, stride) in enumerate(zip(features, strides, strict=True)):
        total = [t * s for t, s in zip(total, stride, strict=True)]
        grid = [n // t for n, t in zip((8, 16, 24), total, strict=True)]
        assert feature.shape == (1, encoder.channels[stage], *grid)


def test_padding_goes_on_as_the_image_ends():
    encoder = SwinEncoder(1, SMALL, ISOTROPIC).eval()
    with torch.no_grad():
        small, large = (encoder(torch.full((1, 1, n, n, n), 3.0)) for n in (16, 32))
    for a, b in zip(small, large, strict=True):
        z, y, x = a.shape[2:]
        torch.testing.assert_close(a, b[:, :, :z, :y, :x])


def test_features_lie_where_the_image_shows_them():
    encoder = SwinEncoder(1, SMALL, ISOTROPIC).eval()
    image = torch.zeros(1, 1, 16, 16, 32)
    marked = image.clone()
    marked[..., 20:24] = 5.0
    with torch.no_grad():
        change = (encoder.forward(marked)[0] - encoder.forward(image)[0]).abs().sum((0, 1, 2, 3))
    assert int(change.argmax()) in (10, 11)


def test_teachers_of_it_answer_and_every_weight_learns(monkeypatch):
    monkeypatch.setattr("reactkd_auto.networks.swin.SIZES", {"cpu": SMALL})
    plan, dataset = make_plan(), make_dataset(privileged=1)
    teachers = build_teachers(plan, dataset, encoder="swin")
    sample = make_sample(plan, dataset)
    out = teachers(sample.image, sample.dose, sample.present, sample.valid, sample.graph(plan, dataset))
    assert out.fused.logits.shape == (2, 3)
    sum(m.square().mean() for outputs in (out.fused, out.structure, out.dose) for m in outputs.maps).backward()
    transformer = teachers.dose.encoder.transformer
    assert transformer.embed_dim == SMALL.width
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in transformer.layers4.parameters())


def test_the_log_says_how_large_it_is_and_what_padding_costs():
    assert describe(make_plan(patch=(16, 32, 32))) == (
        "SwinTransformer of feature size 12 (cpu); patches (16, 32, 32) are padded to (32, 32, 32), multiples of 32: "
        "2.0 × the work."
    )
    assert describe(make_plan(patch=(32, 96, 96))) == "SwinTransformer of feature size 12 (cpu)."
