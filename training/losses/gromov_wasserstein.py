"""Fused Gromov-Wasserstein discrepancy between graphs whose nodes need not correspond, a batch at a time.

Vayer et al. 2020 (arXiv 1811.02834) with square loss; the plan is found by proximal point steps (Xu et al. 2019,
arXiv 1901.06003, alg. 1), each a Sinkhorn scaling. Nothing here asks the device for a number.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reactkd_auto.networks.precision import full_precision

STEP = 0.2
"""Of the proximal iteration, in units of the cost: large steps settle in the first valley, small ones take long."""
PROXIMAL_STEPS = 40
SINKHORN_STEPS = 20


def fused_gromov_wasserstein(
    student: Tensor,
    teacher: Tensor,
    student_mask: Tensor,
    teacher_mask: Tensor,
    *,
    features: Tensor | None = None,
    structure: float = 1.0,
    proximal_steps: int = PROXIMAL_STEPS,
    sinkhorn_steps: int = SINKHORN_STEPS,
) -> tuple[Tensor, Tensor]:
    """min over P of (1 − a) Σ M_ij P_ij + a Σ (D_ik − D'_jl)² P_ij P_kl, P's marginals uniform over valid nodes.

    The plan is constant for the gradient (envelope theorem: at the optimum its own change adds nothing). Computed in
    float32 at least, also under autocast: in bfloat16 Sinkhorn's scalings are wrong by whole factors.

    Args:
        student, teacher: (B, N, N) and (B, M, M) symmetric distances between nodes, D and D'.
        student_mask, teacher_mask: (B, N) and (B, M) valid nodes; others get no mass and may hold anything.
        features: (B, N, M) cost M of matching two nodes; None: none, the pure Gromov-Wasserstein discrepancy.
        structure: a; 1 where there are no ``features``.
        proximal_steps, sinkhorn_steps: Fixed numbers, because stopping early would wait for the device.

    Returns:
        Discrepancy (B,), 0 where either graph has no node, and the plan (B, N, M).
    """
    with full_precision(student):
        kind = torch.promote_types(student.dtype, torch.float32)
        pairs = [m[:, :, None] & m[:, None, :] for m in (student_mask, teacher_mask)]
        d, e = (torch.where(m, x.to(kind), 0.0) for m, x in zip(pairs, (student, teacher), strict=True))
        both = student_mask[:, :, None] & teacher_mask[:, None, :]
        a = structure if features is not None else 1.0
        linear = torch.zeros_like(both, dtype=kind) if features is None else features.to(kind)
        linear = torch.where(both, (1 - a) * linear, 0.0)
        p, q = _uniform(student_mask, kind), _uniform(teacher_mask, kind)
        with torch.no_grad():
            plan = _proximal_plan(d, e, p, q, linear, both, a, steps=(proximal_steps, sinkhorn_steps))
        return (plan * linear).sum((1, 2)) + a * _distortion(d, e, plan), plan


def _uniform(mask: Tensor, kind: torch.dtype) -> Tensor:
    return mask.to(kind) / mask.sum(1, keepdim=True).clamp(min=1)


def _distortion(d: Tensor, e: Tensor, plan: Tensor) -> Tensor:
    """Σ (D_ik − D'_jl)² P_ij P_kl = Σ D² r r + Σ D'² c c − 2 Σ (D P D') P, with P's own marginals r and c."""
    rows, columns = plan.sum(2), plan.sum(1)
    squares = torch.einsum("bik,bi,bk->b", d**2, rows, rows) + torch.einsum("bjl,bj,bl->b", e**2, columns, columns)
    return (squares - 2 * ((d @ plan @ e) * plan).sum((1, 2))).clamp(min=0)


def _proximal_plan(  # noqa: PLR0917 (the problem's own letters)
    d: Tensor, e: Tensor, p: Tensor, q: Tensor, linear: Tensor, both: Tensor, a: float, *, steps: tuple[int, int]
) -> Tensor:
    """P ← argmin ⟨∇, P⟩ + step · KL(P ‖ last P), from the product of the marginals on."""
    plan = p[:, :, None] * q[:, None, :]
    constant = linear + 2 * a * ((d**2 @ p[:, :, None]) + (e**2 @ q[:, :, None]).transpose(1, 2))
    for _ in range(steps[0]):
        gradient = (constant - 4 * a * d @ plan @ e).masked_fill(~both, torch.inf)
        plan = _scaled(plan * torch.exp(-_shifted(gradient) / STEP), p, q, steps[1])
    return _rounded(plan, p, q)


def _shifted(gradient: Tensor) -> Tensor:
    """Minus each row's, then each column's minimum: scaling undoes it, and no row or column underflows."""
    for axis in (2, 1):
        minimum = gradient.amin(axis, keepdim=True)
        gradient = gradient - minimum.masked_fill(minimum == torch.inf, 0.0)
    return gradient


def _scaled(kernel: Tensor, p: Tensor, q: Tensor, steps: int) -> Tensor:
    """Sinkhorn & Knopp 1967: diag(u) K diag(v) with marginals p and q. Empty rows and columns stay empty."""
    tiny, transposed = torch.finfo(kernel.dtype).tiny, kernel.transpose(1, 2)
    p, q = p[:, :, None], q[:, :, None]
    u, v = p, torch.ones_like(q)
    for _ in range(steps):
        u = p / (kernel @ v).clamp_(min=tiny)
        v = q / (transposed @ u).clamp_(min=tiny)
    return u * kernel * v.transpose(1, 2)


def _rounded(plan: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """The nearby plan with exact marginals (Altschuler et al. 2017, arXiv 1705.09634, alg. 2)."""
    plan = plan * _ratio(p, plan.sum(2)).clamp(max=1)[:, :, None]
    plan = plan * _ratio(q, plan.sum(1)).clamp(max=1)[:, None, :]
    rows, columns = p - plan.sum(2), q - plan.sum(1)
    return plan + rows[:, :, None] * _ratio(columns, rows.sum(1, keepdim=True))[:, None, :]


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """above / below, 0 where below is."""
    return torch.where(below > 0, above / below.clamp(min=torch.finfo(below.dtype).tiny), 0.0)
