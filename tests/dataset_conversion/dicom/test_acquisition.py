"""How a CT was acquired reaches the fingerprint; who was scanned does not."""

import json
from pathlib import Path

import pytest

from reactkd_auto.dataset import read_dataset, read_labels
from reactkd_auto.dataset_conversion.dicom.acquisition import read_acquisition
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.planning.fingerprint import fingerprint_case
from tests.dataset_conversion.dicom.studies import PATIENTS, convert, ct_of
from tests.dicom_writing import write_series

SCANNER = {
    "Manufacturer": "GE MEDICAL SYSTEMS",
    "ManufacturerModelName": "LightSpeed16",
    "ConvolutionKernel": "STANDARD",
    "KVP": "120",
}
CURRENTS = (100, 200, 300, 200, 100, 300)


def acquired(patient: str, seed: int = 0, **changes: object) -> list:
    """Slices whose tube current follows the body."""
    slices = ct_of(patient, seed, **{**SCANNER, "ExposureTime": 1325, **changes})
    for made, current in zip(slices, CURRENTS, strict=True):
        made.XRayTubeCurrent = current
    return slices


def test_scanner_kernel_voltage_and_exposure_reach_the_fingerprint(tree: Path, labels: Path, tmp_path: Path) -> None:
    siemens = {"Manufacturer": "SIEMENS", "ManufacturerModelName": "Force", "ConvolutionKernel": ["Br40d", "3"]}
    write_series(tree / "disc0/A0/deep/er/S1", acquired(PATIENTS[0]))
    write_series(tree / "disc1/A1/deep/er/S1", acquired(PATIENTS[1], 1, Exposure=90, **siemens))
    folder = convert(tree, labels).folder
    assert verify_dataset(folder) == []
    dataset = read_dataset(folder)
    rows = read_labels(folder / "labelsTr.csv", dataset.classes)
    scans = [fingerprint_case(row, raw=folder, dataset=dataset, store=tmp_path / "store").scan for row in rows[:3]]
    assert scans[2] is None, "a CT whose headers say nothing"
    first, second = scans[:2]
    assert first is not None
    assert (first.scanner, first.kernel, first.kilovolts) == ("GE MEDICAL SYSTEMS LightSpeed16", "STANDARD", 120)
    assert first.exposure_mas == pytest.approx(200 * 1.325)
    assert not first.iterative
    assert second is not None
    assert (second.scanner, second.kernel, second.exposure_mas) == ("SIEMENS Force", "Br40d\\3", 90)
    assert second.iterative


def test_values_are_in_the_units_and_under_the_keys_of_dcm2niix(tmp_path: Path) -> None:
    files = sorted(write_series(tmp_path, acquired("P1", Exposure=42)).iterdir())
    assert read_acquisition(files) == {
        "Manufacturer": "GE MEDICAL SYSTEMS",
        "ManufacturersModelName": "LightSpeed16",
        "ConvolutionKernel": "STANDARD",
        "KVP": 120.0,
        "XRayExposure": 42.0,
        "XRayTubeCurrent": 200.0,
        "ExposureTime": 1.325,
    }


def test_what_slices_disagree_on_or_no_slice_says_is_left_out(tmp_path: Path) -> None:
    slices = acquired("P1")
    slices[3].ConvolutionKernel = "BONE"
    for made in slices:
        del made.KVP, made.Manufacturer
        made.ExposureTime = ""
    assert read_acquisition(sorted(write_series(tmp_path, slices).iterdir())) == {
        "ManufacturersModelName": "LightSpeed16",
        "XRayTubeCurrent": 200.0,
    }


@pytest.mark.parametrize(
    "kernel",
    ["for SECRET", "B30 secret", "P1X-4711", "19440404", "soft <script>", "Müller", ["B30f", "SECRET"]],
)
def test_text_that_names_a_patient_or_is_no_plain_word_is_left_out(tmp_path: Path, kernel: str | list[str]) -> None:
    slices = acquired("P1X-4711", ConvolutionKernel=kernel)
    for made in slices:
        made.SpecificCharacterSet = "ISO_IR 192"
        made.InstitutionName = "Clinic"
        made.StationName = made.ProtocolName = "SECRET"
    document = read_acquisition(sorted(write_series(tmp_path, slices).iterdir()))
    assert "ConvolutionKernel" not in document
    assert document["Manufacturer"] == "GE MEDICAL SYSTEMS"
    assert not any(word in json.dumps(document) for word in ("SECRET", "Clinic", "4711"))


def test_a_case_that_is_made_anew_takes_its_sidecar_along(tree: Path, labels: Path) -> None:
    write_series(tree / "disc0/A0/deep/er/S1", acquired(PATIENTS[0]))
    path = convert(tree, labels).folder / "imagesTr/case_0001_0000.json"
    before = path.read_bytes()
    path.unlink()
    convert(tree, labels)
    assert path.read_bytes() == before
    write_series(tree / "disc0/A0/deep/er/S1", ct_of(PATIENTS[0]))
    convert(tree, labels)
    assert not path.exists()


@pytest.mark.data
def test_a_real_ct_says_how_it_was_acquired(real_data: Path) -> None:
    document = read_acquisition(sorted((real_data / "ct_dicom_CRLM-CT-1004").glob("*.dcm")))
    assert (document["ManufacturersModelName"], document["ConvolutionKernel"]) == ("LightSpeed16", "STANDARD")
    assert (document["KVP"], document["XRayTubeCurrent"], document["ExposureTime"]) == (120, 200, 1.325)
