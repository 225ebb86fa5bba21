"""Counted memory and work of a training step."""

from dataclasses import fields, replace

import pytest
import torch

from reactkd_auto.networks import build_localiser, build_student, describe
from reactkd_auto.networks.cost import localiser_cost, student_cost, teachers_cost
from reactkd_auto.networks.counting import BLOCK, Counting
from reactkd_auto.plan import StepCost
from tests.networks.samples import make_dataset, make_plan

COSTS = {"teachers": teachers_cost, "student": student_cost, "localiser": localiser_cost}


def test_bytes_live_from_the_first_tensor_of_a_storage_to_its_last():
    with Counting() as count:
        a = torch.zeros(1024)
        view = a[10:].reshape(-1, 2)
        assert count.now == 4096
        b = a + 1
        assert count.now == 8192
        del a, b
        assert count.now == 4096  # the view keeps it
        del view
        assert (count.now, count.peak) == (0, 8192)


def test_bytes_come_in_blocks_and_need_no_memory():
    with Counting() as count, torch.device("meta"):
        kept = [torch.empty(1), torch.empty(10**12)]
        assert count.now == BLOCK + 4 * 10**12
    assert kept[1].is_meta


def test_work_of_a_product_is_two_operations_for_each_multiplication():
    with Counting() as count:
        torch.ones(3, 4) @ torch.ones(4, 5)
    assert count.flops == 2 * 3 * 4 * 5


@pytest.mark.parametrize(("name", "device"), [("teachers", "cuda"), ("student", "cpu"), ("localiser", "cuda")])
def test_parts_add_up_to_the_peak(name, device):
    cost = COSTS[name](replace(make_plan(), device=device), make_dataset())
    parts = [getattr(cost, f.name) for f in fields(StepCost) if f.name not in {"peak", "flops"}]
    assert cost.peak == sum(parts)
    assert all(part > 0 for part in parts)
    assert cost.optimiser == 2 * cost.gradients


def test_a_step_takes_three_times_the_work_of_a_forward_pass():
    plan, dataset = make_plan(), make_dataset()
    forward = describe(build_localiser(plan, dataset), plan, dataset)["flops"]
    assert localiser_cost(plan, dataset).flops / 2 == pytest.approx(3 * forward, rel=0.05)


def test_more_samples_take_more_and_a_batch_in_parts_less_memory_for_the_same_work():
    plan, dataset = replace(make_plan(patch=(16, 32, 32)), batch_size=4), make_dataset(1)
    whole, parts = (student_cost(replace(plan, accumulation_steps=n), dataset) for n in (1, 4))
    assert parts.activations == pytest.approx(whole.activations / 4, rel=0.1)
    assert parts.weights == whole.weights
    assert parts.batch == pytest.approx(whole.batch, rel=0.05)  # all parts are prepared before the first is learnt from
    assert parts.flops == pytest.approx(whole.flops, rel=0.01)


def test_checkpointing_takes_less_memory_and_more_work():
    plan, dataset = replace(make_plan(patch=(16, 32, 32)), device="cuda"), make_dataset(1)
    plain, thrifty = (teachers_cost(replace(plan, checkpointing=c), dataset) for c in (False, True))
    assert thrifty.activations < 0.6 * plain.activations
    assert thrifty.peak < plain.peak
    assert plain.flops < thrifty.flops < 1.4 * plain.flops


def test_a_plan_without_a_graph_can_be_counted():
    plan = make_plan(nodes=False, structure_function=False)
    assert teachers_cost(plan, make_dataset(0)).peak > 0
    assert describe(build_student(plan, make_dataset(0)), plan, make_dataset(0))["flops"] > 0
