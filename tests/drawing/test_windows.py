import numpy as np

from reactkd_auto.drawing.windows import LUNG, SHAPE, SOFT_TISSUE, ct_window


def test_lung_is_taken_where_most_is_air_or_nothing_is_left():
    assert ct_window(np.array([-850, -900, 40])) is LUNG
    assert ct_window(np.array([-850, 30, 40])) is SOFT_TISSUE
    assert ct_window(np.array([])) is LUNG


def test_a_label_says_the_limits_where_there_is_a_unit():
    assert SOFT_TISSUE.label == "soft tissue, −160…240 HU"
    assert SHAPE.label == "shape mask"
