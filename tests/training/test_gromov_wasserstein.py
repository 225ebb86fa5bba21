"""The solver against POT, finite differences and identities; the two losses that use it."""

import numpy as np
import ot
import pytest
import torch
from ot.batch import solve_gromov_batch
from torch.utils._python_dispatch import TorchDispatchMode

from reactkd_auto.training.losses import edge_loss, fused_gromov_wasserstein, fused_gw_loss, gw_loss, node_loss
from reactkd_auto.training.losses import gromov_wasserstein as module
from reactkd_auto.training.losses.edge import cosine_matrix


def features(batch: int, nodes: int, *, seed: int = 0, kind: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(batch, nodes, 8, generator=torch.Generator().manual_seed(seed), dtype=kind)


def distances(x: torch.Tensor) -> torch.Tensor:
    return 1 - cosine_matrix(x)


def full(x: torch.Tensor) -> torch.Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


def objective(d: torch.Tensor, e: torch.Tensor, plan: torch.Tensor) -> torch.Tensor:
    """Σ (D_ik − D'_jl)² P_ij P_kl, term by term."""
    squares = (d[:, :, None, :, None] - e[:, None, :, None, :]) ** 2
    return torch.einsum("bijkl,bij,bkl->b", squares, plan, plan)


@pytest.fixture
def graphs():
    """Eight pairs of graphs of 7 and 5 nodes, and the cost of matching their nodes."""
    x, y = features(8, 7), features(8, 5, seed=1)
    return x, y, torch.cdist(x, y) / 4


@pytest.mark.parametrize("fused", [False, True])
def test_step_for_step_it_is_the_batched_solver_of_pot(graphs, fused):
    x, y, costs = graphs
    value, plan = fused_gromov_wasserstein(
        *(distances(x), distances(y), full(x), full(y)),
        features=costs if fused else None,
        structure=0.5,
        proximal_steps=4,
        sinkhorn_steps=200,
    )
    options = {"M": costs, "alpha": 0.5} if fused else {}
    theirs = solve_gromov_batch(
        *(distances(x), distances(y)),
        reg=module.STEP,
        max_iter=4,
        max_iter_inner=200,
        tol=0,
        tol_inner=0,
        **options,
    )
    torch.testing.assert_close(plan, theirs.plan, atol=1e-5, rtol=0)
    torch.testing.assert_close(value, theirs.value, atol=1e-5, rtol=0)


def test_the_value_is_the_objective_at_the_plan(graphs):
    x, y, costs = graphs
    d, e = distances(x), distances(y)
    value, plan = fused_gromov_wasserstein(d, e, full(x), full(y), features=costs, structure=0.3)
    torch.testing.assert_close(value, 0.7 * (costs * plan).sum((1, 2)) + 0.3 * objective(d, e, plan))


def test_it_is_as_good_as_pot_s_conditional_gradient(graphs):
    x, y, costs = graphs
    value, _ = fused_gromov_wasserstein(distances(x), distances(y), full(x), full(y), features=costs, structure=0.5)
    theirs = [
        float(ot.gromov.fused_gromov_wasserstein2(m.numpy(), c.numpy(), d.numpy(), alpha=0.5, symmetric=True))
        for m, c, d in zip(costs, distances(x), distances(y), strict=True)
    ]
    assert float(value.mean()) <= np.mean(theirs) + 2e-3


def test_marginals_are_exact_and_invalid_nodes_get_nothing(graphs):
    x, y, costs = graphs
    a, b = full(x), full(y)
    a[:, 5:], b[0, 3:] = False, False
    d, e = distances(x), distances(y)
    d[:, 5:], costs[:, 5:] = float("nan"), float("nan")
    value, plan = fused_gromov_wasserstein(d, e, a, b, features=costs, structure=0.5)
    torch.testing.assert_close(plan.sum(2), a / a.sum(1, keepdim=True).double())
    torch.testing.assert_close(plan.sum(1), b / b.sum(1, keepdim=True).double())
    cut, _ = fused_gromov_wasserstein(distances(x[:, :5]), e, a[:, :5], b, features=costs[:, :5], structure=0.5)
    torch.testing.assert_close(value, cut)


def test_a_graph_without_nodes_costs_nothing_and_has_no_gradient():
    x, y = features(2, 4).requires_grad_(), features(2, 4, seed=1)
    none = full(x)
    none[1] = False
    value, _ = fused_gromov_wasserstein(distances(x), distances(y), none, full(y))
    assert value[1] == 0
    assert gw_loss(x, y, none, full(y)) > 0
    value.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert not x.grad[1].any()


def test_permuted_graphs_cost_nothing():
    x = features(8, 9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    value, plan = fused_gromov_wasserstein(distances(x), distances(x[:, order]), full(x), full(x))
    assert value.max() < 1e-5
    torch.testing.assert_close(plan.argmax(2), order.argsort().expand(8, 9))


def test_large_costs_do_not_underflow():
    """In float32 e^{−cost / step} is 0 beyond a cost of about 20."""
    x = features(4, 6, kind=torch.float32)
    costs = 100 * (2 - torch.eye(6).expand(4, 6, 6))
    value, plan = fused_gromov_wasserstein(distances(x), distances(x), full(x), full(x), features=costs, structure=0.5)
    torch.testing.assert_close(plan, torch.eye(6).expand(4, 6, 6) / 6)
    torch.testing.assert_close(value, torch.full((4,), 50.0))


def test_with_one_to_one_nodes_gw_is_the_edge_loss_and_no_solver_runs(monkeypatch):
    x, y = features(4, 6), features(4, 6, seed=1)
    mask = full(x)
    mask[0, 3:] = False
    value, plan = fused_gromov_wasserstein(distances(x), distances(x), mask, mask)
    assert value.max() < 1e-6
    identity = torch.diag_embed(mask / mask.sum(1, keepdim=True).double())
    torch.testing.assert_close(plan, identity, atol=1e-3, rtol=0)
    torch.testing.assert_close(objective(distances(x), distances(y), identity).mean(), edge_loss(x, y, mask))
    monkeypatch.setattr("reactkd_auto.training.losses.gw.fused_gromov_wasserstein", None)
    torch.testing.assert_close(gw_loss(x, y, mask, mask), edge_loss(x, y, mask))


def test_differing_node_sets_are_matched_and_never_cost_more_than_the_identity():
    x, y = features(4, 6), features(4, 6, seed=1)
    same, other = full(x), full(x)
    assert gw_loss(x, y, same, other) <= edge_loss(x, y, same)
    costs = {"projected": x, "target": y}
    fused = fused_gw_loss(x, y, same, other, **costs)
    assert 0 < fused <= 0.5 * node_loss(x, y, same) + 0.5 * edge_loss(x, y, same)


def test_the_gradient_is_that_of_finite_differences():
    """Of graphs that are noisy permutations, so that the plan is at a corner and does not move."""
    x = features(1, 5)
    y = x[:, [3, 1, 4, 0, 2]] + 0.1 * features(1, 5, seed=1)

    def values(z: torch.Tensor) -> torch.Tensor:
        other = y.expand_as(z)
        options = {"features": torch.cdist(z, other) / 4, "structure": 0.5, "proximal_steps": 60}
        return fused_gromov_wasserstein(distances(z), distances(other), full(z), full(z), **options)[0]

    z = x.clone().requires_grad_()
    values(z).sum().backward()
    steps = 1e-5 * torch.eye(40, dtype=torch.float64).view(40, 5, 8)
    differences = (values(x + steps) - values(x - steps)) / 2e-5
    torch.testing.assert_close(z.grad.flatten(), differences, rtol=1e-5, atol=1e-8)


def test_under_autocast_it_is_what_it_is_without():
    x, y = features(4, 6, kind=torch.float32), features(4, 6, seed=1, kind=torch.float32)
    value, _ = fused_gromov_wasserstein(distances(x), distances(y), full(x), full(y))
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = fused_gromov_wasserstein(distances(x), distances(y), full(x), full(y))
    torch.testing.assert_close(half, value, rtol=0, atol=0)


class Recorder(TorchDispatchMode):
    """Names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_nothing_waits_for_the_device():
    """Branching on a value, and shapes that depend on values, would need one of these operations."""
    x, y = features(2, 4), features(2, 3, seed=1)
    with Recorder() as recorder:
        gw_loss(x, y, full(x), full(y))
    assert "bmm" in recorder.names
    assert not recorder.names & {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal"}
