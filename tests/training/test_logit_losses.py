"""Losses of logits against brute force and independent references."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from reactkd_auto.training.losses import dist, dkd, logits_kl, logits_mse, standardised_kl
from reactkd_auto.training.losses.dkd import OTHERS, TARGET

LABEL = torch.tensor([0, 2, 1, -1, 2, 1, 0, -1])


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor]:
    """Of a student and a teacher, 8 samples of 3 classes."""
    random = torch.Generator().manual_seed(0)
    return torch.randn(8, 3, generator=random) * 2, torch.randn(8, 3, generator=random) * 2


def test_mse_is_the_limit_of_kl_at_high_temperatures(logits):
    student, teacher = (z.double() for z in logits)
    torch.testing.assert_close(
        logits_kl(student, teacher, temperature=100.0), logits_mse(student, teacher), rtol=2e-2, atol=0
    )


def test_mse_does_not_see_what_all_logits_share(logits):
    student, teacher = logits
    torch.testing.assert_close(logits_mse(student + 5, teacher), logits_mse(student, teacher))


def brute_dkd(student, teacher, label, t):
    """Both terms sample by sample, from probabilities."""
    values = []
    for s, z, given in zip(student, teacher, label, strict=True):
        p, q = (s / t).softmax(0), (z / t).softmax(0)
        y = int(given) if given >= 0 else int(z.argmax())
        rest = [k for k in range(len(p)) if k != y]
        b_s, b_t = (torch.stack([x[y], 1 - x[y]]) for x in (p, q))
        n_s, n_t = (x[rest] / x[rest].sum() for x in (p, q))
        terms = [(a * (a / b).log()).sum() for a, b in ((b_t, b_s), (n_t, n_s))]
        values.append(t**2 * (TARGET * terms[0] + OTHERS * terms[1]))
    return torch.stack(values).mean()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_dkd_is_its_two_terms(logits, temperature):
    expected = brute_dkd(*logits, LABEL, temperature)
    torch.testing.assert_close(dkd(*logits, LABEL, temperature=temperature), expected, rtol=1e-4, atol=1e-6)


def test_dkd_of_two_classes_is_kl(logits):
    student, teacher = (z[:, :2] for z in logits)
    expected = logits_kl(student, teacher, temperature=2.0)
    torch.testing.assert_close(dkd(student, teacher, LABEL.clamp(max=1), temperature=2.0), expected)


def test_dist_is_pearson_s_correlation_of_rows_and_columns(logits):
    p, q = ((z / 2).softmax(1).double().numpy() for z in logits)
    inter = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    intra = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T, strict=True)])
    assert float(dist(*logits, temperature=2.0)) == pytest.approx(4 * (inter + intra), rel=1e-4)


def test_dist_of_two_classes_is_its_intra_class_term(logits):
    p, q = (z[:, :2].softmax(1).double().numpy() for z in logits)
    intra = 1 - np.corrcoef(p[:, 0], q[:, 0])[0, 1]
    assert float(dist(logits[0][:, :2], logits[1][:, :2], temperature=1.0)) == pytest.approx(intra, rel=1e-4)


def test_dist_of_a_student_that_has_no_opinion_has_a_finite_gradient(logits):
    student = torch.zeros(8, 3, requires_grad=True)
    dist(student, logits[1], temperature=1.0).backward()
    assert torch.isfinite(student.grad).all()


def test_standardised_kl_is_kl_of_z_scores(logits):
    s, t = (
        torch.from_numpy((z.numpy() - z.numpy().mean(1, keepdims=True)) / z.numpy().std(1, keepdims=True))
        for z in logits
    )
    expected = 4 * functional.kl_div((s / 2).log_softmax(1), (t / 2).softmax(1), reduction="batchmean")
    torch.testing.assert_close(standardised_kl(*logits, temperature=2.0), expected)


def test_standardised_kl_does_not_see_size_and_shift(logits):
    student, teacher = logits
    expected = standardised_kl(student, teacher, temperature=2.0)
    torch.testing.assert_close(standardised_kl(3 * student + 1, 0.5 * teacher - 2, temperature=2.0), expected)


def test_standardised_kl_of_a_student_that_has_no_opinion_has_a_finite_gradient(logits):
    student = torch.zeros(8, 3, requires_grad=True)
    standardised_kl(student, logits[1], temperature=2.0).backward()
    assert torch.isfinite(student.grad).all()
