import numpy as np
import pytest
from matplotlib.figure import Figure

from reactkd_auto.drawing.marks import draw_contour, scale_bar


@pytest.fixture
def axes():
    return Figure().add_axes((0, 0, 1, 1))


@pytest.mark.parametrize(("width", "length"), [(10.0, 5), (70.0, 20), (180.0, 50), (900.0, 100)])
def test_a_scale_bar_is_round_and_at_most_a_third_wide_where_5_mm_are(axes, width, length):
    scale_bar(axes, width, 100.0)
    x = axes.lines[0].get_xdata()
    assert x[1] - x[0] == length
    assert axes.texts[0].get_text() == f"{length} mm"


def test_a_contour_lies_on_the_mask_in_mm_and_is_closed_at_the_border(axes):
    mask = np.zeros((10, 20), bool)
    mask[:4, 5:15] = True
    draw_contour(axes, mask, 40.0, 30.0, colors=["red"])
    (path,) = [p for c in axes.collections for p in c.get_paths() if len(p.vertices)]
    low, high = path.vertices.min(axis=0), path.vertices.max(axis=0)
    np.testing.assert_allclose(low, [10.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(high, [30.0, 12.0], atol=1e-6)
    assert axes.get_ylim() == (30.0, 0.0)


def test_an_empty_mask_draws_nothing(axes):
    draw_contour(axes, np.zeros((5, 5), bool), 5.0, 5.0)
    assert not axes.collections
