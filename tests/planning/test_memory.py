"""How a batch is held in a GPU's memory."""

from dataclasses import replace

import pytest

from reactkd_auto.networks.cost import training_cost
from reactkd_auto.plan import GIGABYTE, EncoderPlan, NetworkPlan
from reactkd_auto.planning.rules.footprint import footprint
from reactkd_auto.planning.rules.hardware import Hardware
from reactkd_auto.planning.rules.memory import USABLE, Memory
from tests.planning.cohorts import CT, FDG, MR, new_case, new_dataset, nodule_like, plan_of, sarcoma_like

STRIDES = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
NETWORK = NetworkPlan(STRIDES, EncoderPlan(32, (1, 2, 2, 4)), EncoderPlan(16, (1, 1, 1, 1)), 64, (0, 1, 2, 3))
PATCH = (64, 96, 96)


def memory(gigabytes=24.0, batch=8):
    return Memory(Hardware("cuda", gigabytes), batch, encoders=3, nodes=32)


def gigabytes(held, checkpointing=False):
    return footprint(NETWORK, PATCH, encoders=3, nodes=32, samples=held, checkpointing=checkpointing)


def test_a_batch_is_held_whole_then_in_parts_then_with_checkpointing_then_sample_by_sample():
    ways = list(memory().ways(NETWORK, PATCH))
    order = [(way.checkpointing, -(-8 // way.accumulation_steps)) for way in ways]
    assert order == sorted(order, key=lambda w: (w[1] == 1, w[0], -w[1]))
    assert order[0] == (False, 8)
    assert order[-1] == (True, 1)


@pytest.mark.parametrize(
    ("takes", "expected"),
    [
        (gigabytes(8), (1, False)),
        (gigabytes(4), (2, False)),
        (gigabytes(2), (4, False)),
        (gigabytes(2, True), (4, True)),
        (gigabytes(1, True), (8, True)),
    ],
)
def test_the_first_way_that_fits_is_planned(takes, expected):
    way = memory(takes / USABLE + 0.01).way(NETWORK, PATCH)
    assert (way.accumulation_steps, way.checkpointing) == expected


def test_nothing_fits_where_one_sample_is_too_much():
    little = memory(gigabytes(1, True) / USABLE - 0.1)
    assert little.way(NETWORK, PATCH) is None
    (steps, reason), (checkpointing, _) = little.hold(NETWORK, PATCH)
    assert (steps, checkpointing) == (8, True)
    assert "run out of memory" in reason


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_every_way_holds_all_samples_of_the_batch(batch):
    for way in memory(batch=batch).ways(NETWORK, PATCH):
        assert 1 <= way.accumulation_steps <= batch


def test_the_footprint_grows_with_whatever_is_held():
    assert gigabytes(2) > gigabytes(1)
    assert gigabytes(2) > gigabytes(2, checkpointing=True)
    fewer = footprint(NETWORK, PATCH, encoders=1, nodes=32, samples=2, checkpointing=False)
    smaller = footprint(NETWORK, (32, 96, 96), encoders=3, nodes=32, samples=2, checkpointing=False)
    assert max(fewer, smaller) < gigabytes(2)


COHORTS = {
    "large tumours, two tracers": (sarcoma_like(), (CT, FDG, MR)),
    "small nodules, CT only": (nodule_like(100), (CT,)),
    "one tracer, thick slices": (
        [new_case(i, spacing_mm=(6.0, 0.9, 0.9), region_extent_mm=(120.0, 180.0, 160.0)) for i in range(50)],
        (CT, FDG),
    ),
}


@pytest.mark.parametrize(
    "name", [n if n.startswith("large") else pytest.param(n, marks=pytest.mark.slow) for n in COHORTS]
)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_rules_footprint_is_near_what_is_counted_on_the_networks(name, checkpointing):
    cases, channels = COHORTS[name]
    dataset = new_dataset(channels)
    plan = plan_of(cases, dataset, hardware=Hardware("cuda", 24.0), batch_size=4)
    plan = replace(plan, checkpointing=checkpointing, accumulation_steps=1)
    cost = training_cost(plan, dataset)
    estimate = footprint(
        plan.network, plan.patch_size, encoders=len(channels), nodes=32, samples=4, checkpointing=checkpointing
    )
    assert estimate * GIGABYTE == pytest.approx(cost.teachers.peak, rel=0.15)
    assert cost.peak == cost.teachers.peak
