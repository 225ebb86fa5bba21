import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from reactkd_auto.regions.distance import distance_to


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(bool, st.tuples(*[st.integers(1, 9)] * 3)).filter(np.any),
    st.tuples(*[st.floats(0.3, 6)] * 3),
)
def test_distances_are_those_of_scipy_to_rounding_of_float32(mask, spacing):
    expected = ndimage.distance_transform_edt(~mask, sampling=spacing)
    np.testing.assert_allclose(distance_to(mask, spacing), expected, rtol=1e-6, atol=1e-6)
