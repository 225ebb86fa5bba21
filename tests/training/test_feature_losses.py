"""Losses of feature maps against brute force."""

import pytest
import torch
from torch.nn import functional

from reactkd_auto.training.losses import attention_transfer, cross_image_relations, hint_loss


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of a student and a teacher, and what was measured: one plane was not, one case not at all."""
    random = torch.Generator().manual_seed(0)
    measured = torch.ones(3, 1, 2, 3, 2)
    measured[0, :, 0] = 0
    measured[2] = 0
    return torch.randn(3, 4, 2, 3, 2, generator=random), torch.randn(3, 5, 2, 3, 2, generator=random), measured


def test_hints_are_half_the_mean_squared_difference_where_it_was_measured(maps):
    student, teacher, measured = maps
    where = measured.bool().expand_as(student)
    expected = 0.5 * (student - teacher[:, :4])[where].square().mean()
    torch.testing.assert_close(hint_loss(student, teacher[:, :4], measured), expected)


def test_attention_transfer_is_half_the_squared_distance_of_unit_attention_maps(maps):
    student, teacher, _ = maps
    whole = torch.ones(3, 1, 2, 3, 2)
    values = []
    for s, t in zip(student, teacher, strict=True):
        q, r = ((f**2).sum(0).flatten() for f in (s, t))
        values.append(0.5 * ((q / q.norm() - r / r.norm()) ** 2).sum())
    torch.testing.assert_close(attention_transfer(student, teacher, whole), torch.stack(values).mean())


def test_attention_transfer_does_not_see_the_size_of_features(maps):
    student, teacher, measured = maps
    expected = attention_transfer(student, teacher, measured)
    torch.testing.assert_close(attention_transfer(3 * student, 0.1 * teacher, measured), expected)


def test_cross_image_relations_are_kl_of_each_voxel_s_similarities_to_each_image(maps):
    student, teacher, measured = maps
    valid = measured.flatten(1).bool()
    values = []
    for i in range(3):
        for j in range(3):
            rows = []
            for f in (student, teacher):
                a, b = (functional.normalize(f[k].flatten(1).T[valid[k]], dim=1) for k in (i, j))
                rows.append((a @ b.T / 0.1).log_softmax(1))
            values += list((rows[1].exp() * (rows[1] - rows[0])).sum(1)) if valid[j].any() else []
    torch.testing.assert_close(cross_image_relations(student, teacher, measured), torch.stack(values).mean())


@pytest.mark.parametrize("loss", [attention_transfer, cross_image_relations])
def test_what_was_not_measured_changes_nothing(maps, loss):
    student, teacher, measured = maps
    spoiled = student.masked_fill(measured == 0, 1e3).requires_grad_()
    value = loss(spoiled, teacher, measured)
    torch.testing.assert_close(value, loss(student, teacher, measured))
    value.backward()
    assert torch.isfinite(spoiled.grad).all()


def test_cross_image_relations_do_not_see_rotations_of_the_feature_space(maps):
    student, _, measured = maps
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(2)))[0]
    rotated = torch.einsum("bczyx,cd->bdzyx", student, rotation)
    assert cross_image_relations(student, rotated, measured) < 1e-6
