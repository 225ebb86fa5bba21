"""Pictures of preprocessed cases show the patient the right way round, what is there and what is missing."""

import dataclasses
import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from reactkd_auto.dataset import Channel
from reactkd_auto.planning.report.tile import KIND_COLOURS, OUTSIDE, draw_tile
from reactkd_auto.regions.slots import node_slots
from tests.builders import random_case, small_dataset, small_plan

PLAN, DATASET = small_plan(), small_dataset()
SLOTS = node_slots(PLAN.graph, DATASET)
LESION = next(s for s in SLOTS if s.kind == "lesion")


@pytest.fixture
def case():
    """A lesion at the patient's left and front, in the upper slices; everything is measured."""
    case = random_case("a", plan=PLAN, dataset=DATASET, slots=len(SLOTS))
    nodes = np.zeros_like(case.nodes)
    nodes[LESION.layer, 12:16, 3:7, 13:18] = LESION.index + 1
    count = len(SLOTS)
    properties = dataclasses.replace(
        case.properties,
        present=(True, True, True),
        node_valid=tuple(s.index == LESION.index for s in SLOTS),
        edges=tuple((0.0,) * count for _ in range(count)),
    )
    return dataclasses.replace(case, nodes=nodes, valid=np.full_like(case.valid, 7), properties=properties)


def drawn(case, plan=PLAN, dataset=DATASET, slots=SLOTS):
    return imread(io.BytesIO(draw_tile(case, plan, dataset, slots)))[..., :3]


def near(picture, colour):
    return np.abs(picture - np.array(to_rgb(colour))).max(axis=-1) < 0.06


def panels(picture, count):
    return np.array_split(picture, count, axis=1)


def test_the_lesion_is_outlined_where_it_lies_seen_from_below(case):
    first = panels(drawn(case), 4)[0]
    rows, columns = np.nonzero(near(first, KIND_COLOURS["lesion"]))
    height, width = first.shape[:2]
    title = height - width  # 20 × 20 voxels of equal size
    depth, span = case.valid.shape[1:]
    assert (rows.mean() - title) / width == pytest.approx(5.0 / depth, abs=0.04)
    assert columns.mean() / width == pytest.approx(15.5 / span, abs=0.04)


def test_a_missing_channel_is_an_empty_panel(case):
    missing = dataclasses.replace(case, properties=dataclasses.replace(case.properties, present=(True, False, True)))
    shares = [near(p, OUTSIDE).mean() for p in panels(drawn(missing), 4)]
    assert shares[1] > 0.8
    assert max(shares[0], shares[2], shares[3]) < 0.1


def test_what_was_not_measured_is_dark(case):
    valid = case.valid.copy()
    valid[:, :, :10] = 5  # the first tracer ends in the middle
    shares = [near(p, OUTSIDE).mean() for p in panels(drawn(dataclasses.replace(case, valid=valid)), 4)]
    assert shares[1] > 0.35
    assert max(shares[0], shares[2]) < 0.1


def test_without_a_graph_there_is_no_graph_panel_and_many_channels_take_several_rows(case):
    with_graph, without = drawn(case), drawn(case, slots=())
    assert without.shape[1] < 0.8 * with_graph.shape[1]
    channels = (*DATASET.channels, Channel("T1", "mr"), Channel("T2", "mr"))
    mr = dataclasses.replace(PLAN.normalisation["CT"], scheme="mr", storage_scale=0.001)
    plan = dataclasses.replace(PLAN, normalisation={**PLAN.normalisation, "T1": mr, "T2": mr})
    properties = dataclasses.replace(case.properties, present=(True,) * 5)
    image = np.concatenate([case.image, case.image[:2]])
    more = dataclasses.replace(case, image=image, properties=properties)
    taller = drawn(more, plan, dataclasses.replace(DATASET, channels=channels))
    assert taller.shape[0] == pytest.approx(2 * with_graph.shape[0], abs=2)
