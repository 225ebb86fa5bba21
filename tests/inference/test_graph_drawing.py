"""The drawing of the region graph: places, edges and colours are those of the case."""

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reactkd_auto.inference.graph_drawing import GAP, HEIGHT, WIDTH, lay_out, move_apart, node_marks, write_graph
from reactkd_auto.inference.results import RegionRow
from reactkd_auto.regions.slots import Slot
from tests.builders import random_case, small_dataset, small_plan

SLOTS = (Slot("organ", "organ", 0, 0), Slot("lesion_1", "lesion", 0, 1), Slot("lesion_2", "lesion", 0, 2))
ROWS = tuple(RegionRow(s.name, s.kind, 100.0, 0.5, share) for s, share in zip(SLOTS, (0.1, 0.6, -0.3), strict=True))


@pytest.fixture
def case():
    """An organ, one lesion to the patient's right and at the top, one to the left and at the bottom."""
    made = random_case("a", plan=small_plan(), dataset=small_dataset(), slots=3)
    nodes = np.zeros((3, 40, 40, 40), np.uint8)
    nodes[0, 5:35, 5:35, 5:35] = 1
    nodes[0, 30:33, 10:13, 7:10] = 2
    nodes[0, 7:10, 10:13, 30:33] = 3
    edges = ((0.0, 0.9, 0.5), (0.9, 0.0, 0.001), (0.5, 0.001, 0.0))
    return dataclasses.replace(made, nodes=nodes, properties=dataclasses.replace(made.properties, edges=edges))


def test_the_patients_right_is_left_and_the_head_is_up(case):
    organ, right_top, left_bottom = lay_out(case, SLOTS, ROWS).nodes
    assert right_top.x < organ.x < left_bottom.x
    assert right_top.y < organ.y < left_bottom.y


def test_only_edges_of_some_weight_are_drawn(case):
    assert sorted(e.weight for e in lay_out(case, SLOTS, ROWS).edges) == [0.5, 0.9]


def test_what_speaks_for_the_answer_is_red_and_what_speaks_against_it_blue(case):
    _, first, second = lay_out(case, SLOTS, ROWS).nodes
    red, blue = (int(first.colour[i : i + 2], 16) for i in (1, 5))
    assert red > blue
    red, blue = (int(second.colour[i : i + 2], 16) for i in (1, 5))
    assert blue > red
    assert first.radius > second.radius


def test_a_node_outside_the_patch_is_not_drawn(case):
    case.nodes[case.nodes == 2] = 1
    assert [n.name for n in lay_out(case, SLOTS, ROWS).nodes] == ["organ", "lesion_2"]


@given(
    arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.floats(150, 300)),
    st.floats(8, 20),
)
def test_circles_never_overlap_and_stay_on_the_page(homes, radius):
    radii = np.full(len(homes), radius)
    places = move_apart(homes, radii)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(len(homes)) * 1e9
    assert distance.min() > 2 * radius + GAP - 1.5
    assert (places >= radius).all()
    assert (places <= np.array([WIDTH, HEIGHT]) - radius).all()


def test_circles_with_room_stay_where_they_are():
    homes = np.array([[100.0, 100.0], [300.0, 100.0]])
    np.testing.assert_allclose(move_apart(homes, np.array([10.0, 10.0])), homes, atol=0.01)


def test_marks_are_short_and_different():
    rows = [RegionRow(n, k, 1.0) for n, k in (
        ("organ", "organ"), ("parcel_1", "parcel"), ("lesion_1", "lesion"), ("ring_1", "ring"), ("rings", "ring"),
        ("other_lesions", "other_lesions"), ("spleen", "context"), ("aorta", "context"),
    )]  # fmt: skip
    assert list(node_marks(rows).values()) == ["O", "P1", "L1", "R1", "R", "L+", "C1", "C2"]


def test_the_file_is_svg_with_a_circle_a_node(case, tmp_path):
    write_graph(tmp_path / "a.svg", case, SLOTS, ROWS)
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["organ: +0.10", "lesion 1: +0.60", "lesion 2: -0.30"]
