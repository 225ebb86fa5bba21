import dataclasses

import numpy as np
import pytest
import torch

from reactkd_auto.plan import DosePlan
from reactkd_auto.preprocessing.batch import centre_window, collate
from reactkd_auto.regions import node_slots
from tests.builders import random_case, small_dataset, small_plan

PLAN, DATASET = small_plan(), small_dataset()
SLOTS = len(node_slots(PLAN.graph, DATASET))


def case(name: str, **arguments: object):
    return random_case(name, plan=PLAN, dataset=DATASET, slots=SLOTS, **arguments)


def test_a_batch_holds_real_units() -> None:
    cases = [case("a", seed=1), case("b", seed=2, label=None)]
    batch = collate(cases, PLAN, DATASET)
    assert batch.case == ["a", "b"]
    assert batch.label.tolist() == [0, -1]
    for i, c in enumerate(cases):
        assert np.array_equal(batch.image[i, 0].numpy(), c.image[0])
        assert batch.image[i, 1].numpy() == pytest.approx(c.image[1] * 0.01, abs=1e-5)
        assert batch.noise[i].numpy() == pytest.approx(c.noise * 0.1, abs=1e-4)
        assert batch.log_ratio[i].numpy() == pytest.approx(c.log_ratio * 0.001, abs=1e-6)
        assert np.array_equal(batch.nodes[i].numpy(), c.nodes)
        assert batch.edges[i].numpy() == pytest.approx(np.array(c.properties.edges))
        assert batch.node_geometry[i].numpy() == pytest.approx(np.array(c.properties.node_geometry))
    kinds = (batch.image, batch.valid, batch.nodes, batch.noise, batch.label)
    assert [t.dtype for t in kinds] == [torch.float32, torch.bool, torch.uint8, torch.float32, torch.int64]


def test_each_validity_bit_is_a_channel() -> None:
    one = case("a")
    valid = np.random.default_rng(0).integers(0, 8, one.valid.shape).astype(np.uint8)
    found = collate([dataclasses.replace(one, valid=valid)], PLAN, DATASET).valid[0].numpy()
    assert np.array_equal((found * np.array([1, 2, 4])[:, None, None, None]).sum(axis=0), valid)


def test_without_dose_and_graph_the_arrays_are_empty() -> None:
    graph = dataclasses.replace(PLAN.graph, enabled=False)
    plan = dataclasses.replace(PLAN, dose=DosePlan(False, (0.05, 1.0), ()), graph=graph)
    one = random_case("a", plan=plan, dataset=DATASET)
    bare = dataclasses.replace(one.properties, node_valid=(), node_geometry=(), node_voxels=(), edges=())
    batch = collate([dataclasses.replace(one, properties=bare)] * 2, plan, DATASET)
    assert batch.noise.shape[:2] == batch.log_ratio.shape[:2] == (2, 0)
    assert (batch.node_valid.shape, batch.node_geometry.shape, batch.edges.shape) == ((2, 0), (2, 0, 6), (2, 0, 0))


def test_a_case_of_another_plan_is_refused() -> None:
    with pytest.raises(ValueError, match=rf"'a' has 3 channels and {SLOTS + 1} node slots"):
        collate([random_case("a", plan=PLAN, dataset=DATASET, slots=SLOTS + 1)], PLAN, DATASET)


def test_the_centre_window_is_the_patch() -> None:
    inside = case("a").valid[centre_window(PLAN)]
    assert inside.shape == PLAN.patch_size
    assert [w.start for w in centre_window(PLAN)] == list(PLAN.context_voxels)


def test_a_batch_moves_whole() -> None:
    moved = collate([case("a")], PLAN, DATASET).to("meta")
    tensors = [v for v in vars(moved).values() if isinstance(v, torch.Tensor)]
    assert len(tensors) == 10
    assert {t.device.type for t in tensors} == {"meta"}
