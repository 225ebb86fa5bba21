import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactkd_auto.errors import UserError
from reactkd_auto.planning.sidecar import read_sidecar


def written(tmp_path, document):
    path = tmp_path / "case_0000.json"
    path.write_text(json.dumps(document))
    return read_sidecar(path)


def test_a_case_without_a_sidecar_has_none(tmp_path):
    assert read_sidecar(tmp_path / "absent_0000.json") is None


def test_scanner_kernel_voltage_and_exposure_are_read(tmp_path):
    scan = written(
        tmp_path,
        {"Manufacturer": "GE", "ManufacturersModelName": "LightSpeed16", "ConvolutionKernel": "STANDARD", "KVP": 120,
         "XRayExposure": 43, "XRayTubeCurrent": 203, "ExposureTime": 1.325},
    )  # fmt: skip
    assert scan is not None
    assert (scan.scanner, scan.kernel, scan.kilovolts, scan.exposure_mas) == ("GE LightSpeed16", "STANDARD", 120.0, 43)
    assert not scan.iterative


@pytest.mark.parametrize(("time", "mas"), [(0.5, 100.0), (500, 100.0)])
def test_exposure_is_current_times_time_in_seconds_or_milliseconds(tmp_path, time, mas):
    scan = written(tmp_path, {"XRayTubeCurrent": 200, "ExposureTime": time})
    assert scan is not None
    assert scan.exposure_mas == pytest.approx(mas)


@pytest.mark.parametrize(
    ("document", "iterative"),
    [
        ({"ConvolutionKernel": "B30f"}, False),
        ({"ConvolutionKernel": "I30f"}, True),
        ({"ConvolutionKernel": ["Br40d", "3"]}, True),
        ({"ConvolutionKernel": "Br40d"}, False),
        ({"ConvolutionKernel": "STANDARD", "ReconstructionMethod": "ASIR 40%"}, True),
        ({"ReconstructionAlgorithm": "FILTER_BACK_PROJ"}, False),
    ],
)
def test_iterative_reconstructions_are_recognised_by_name(tmp_path, document, iterative):
    scan = written(tmp_path, document)
    assert scan is not None
    assert scan.iterative is iterative


def test_a_broken_sidecar_is_refused_by_name(tmp_path):
    path = tmp_path / "case_0000.json"
    path.write_text("{")
    with pytest.raises(UserError, match=r"case_0000\.json"):
        read_sidecar(path)
    path.write_text("[1]")
    with pytest.raises(UserError, match="expected a JSON object"):
        read_sidecar(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
KEYS = st.sampled_from(["Manufacturer", "ConvolutionKernel", "KVP", "XRayExposure", "XRayTubeCurrent", "ExposureTime"])


@given(st.dictionaries(KEYS | st.text(max_size=5), JSON, max_size=6))
def test_any_json_object_gives_positive_numbers_or_none(tmp_path_factory, document):
    scan = written(tmp_path_factory.mktemp("sidecar"), document)
    assert scan is not None
    for value in (scan.exposure_mas, scan.kilovolts):
        assert value is None or value > 0
