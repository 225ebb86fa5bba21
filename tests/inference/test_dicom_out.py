"""`reactkd_predict --dicom`: read back with pydicom, compared voxel by voxel, and judged by dciodvfy."""

import csv
import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from reactkd_auto.fingerprint import DoseMeasurement, Fingerprint, write_fingerprint
from reactkd_auto.imageio import read_image
from reactkd_auto.imageio.sources import series_name_of
from reactkd_auto.inference.command import main
from reactkd_auto.model_folder import ModelFolder
from tests.dicom_writing import AXIAL, NAME, make_series, write_series
from tests.inference.conftest import measured_case, simulated_ct

ORIENTATIONS = {"LPS": AXIAL, "LIP": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)}
"""Axial slices, and coronal ones."""
KINDS = ("report", "regions", "explanation")


def _predict(images: Path, output: Path, model: object, *more: object) -> int:
    arguments = ["-i", images, "-o", output, "-m", model.path, "--device", "cpu", "--quiet", "--dicom", *more]
    return main([str(a) for a in arguments])


def _series(folder: Path, orientation: str = "LPS") -> tuple[Path, Path, str]:
    """A CT series with its files in wild order, its region map, and the name of its case."""
    ct, labels = (sitk.DICOMOrient(image, orientation) for image in simulated_ct(0))
    values = sitk.GetArrayFromImage(ct)
    slices = make_series(
        values, spacing=ct.GetSpacing()[::-1], origin=ct.GetOrigin(), orientation=ORIENTATIONS[orientation]
    )
    order = np.random.default_rng(1).permutation(len(slices)).tolist()
    write_series(folder / "in", slices, order=order)
    sitk.WriteImage(labels, str(folder / "regions.nii.gz"))
    return folder / "in", folder / "regions.nii.gz", series_name_of(slices[0].SeriesInstanceUID)


@pytest.fixture(scope="module", params=ORIENTATIONS)
def finished(request, model, tmp_path_factory):
    """(input, region map, output folder, case)."""
    folder = tmp_path_factory.mktemp(request.param)
    images, regions, case = _series(folder, request.param)
    assert _predict(images, folder / "out", model, "-r", regions) == 0
    return images, regions, folder / "out", case


@pytest.fixture(scope="module")
def objects(finished):
    return {kind: pydicom.dcmread(finished[2] / "dicom" / f"{finished[3]}_{kind}.dcm") for kind in KINDS}


def _validate(folder: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy not found; install Debian's dicom3tools")
    paths = sorted(folder.glob("*.dcm"))
    assert paths
    for path in paths:
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
        assert (done.returncode, errors) == (0, []), path.name


def _slice(frame: pydicom.Dataset, image: sitk.Image) -> np.ndarray:
    """The image's slice at a frame's place in the patient."""
    place = [float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient]
    x, y, z = image.TransformPhysicalPointToIndex(place)
    assert (x, y) == (0, 0)
    return sitk.GetArrayViewFromImage(image)[z]


def test_dciodvfy_finds_no_error(finished):
    _validate(finished[2] / "dicom")


def test_every_object_belongs_to_the_study_and_names_the_slices_of_the_series(finished, objects):
    source = [pydicom.dcmread(p, stop_before_pixels=True) for p in finished[0].iterdir()]
    instances = {s.SOPInstanceUID for s in source}
    for kind, made in objects.items():
        assert made.StudyInstanceUID == source[0].StudyInstanceUID
        assert str(made.PatientName) == NAME
        series = made.CurrentRequestedProcedureEvidenceSequence[0] if kind == "report" else made
        named = {s.SeriesInstanceUID: s for s in series.ReferencedSeriesSequence}[source[0].SeriesInstanceUID]
        listed = named.get("ReferencedSOPSequence") or named.get("ReferencedInstanceSequence")
        assert {i.ReferencedSOPInstanceUID for i in listed} <= instances
        assert kind == "explanation" or len(listed) == len(instances)
    assert objects["regions"].FrameOfReferenceUID == source[0].FrameOfReferenceUID


def test_segments_are_the_region_map_slice_by_slice(finished, objects):
    regions, seg = sitk.ReadImage(str(finished[1])), objects["regions"]
    assert [(s.SegmentLabel, s.SegmentAlgorithmType) for s in seg.SegmentSequence] == [
        ("organ", "MANUAL"),
        ("lesion", "MANUAL"),
    ]
    counts = {1: 0, 2: 0}
    for frame, mask in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        number = int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        np.testing.assert_array_equal(mask, _slice(frame, regions) == number)
        counts[number] += int(mask.sum())
    labels = sitk.GetArrayViewFromImage(regions)
    assert counts == {1: int((labels == 1).sum()), 2: int((labels == 2).sum())}


def test_the_parametric_map_is_the_explanation_slice_by_slice(finished, objects):
    image = sitk.ReadImage(str(finished[2] / "explanation" / f"{finished[3]}_explanation.nii.gz"))
    made = objects["explanation"]
    frames = np.frombuffer(made.FloatPixelData, np.float32).reshape(-1, made.Rows, made.Columns)
    for frame, values in zip(made.PerFrameFunctionalGroupsSequence, frames, strict=True):
        np.testing.assert_allclose(values, _slice(frame, image), atol=1e-6)
    assert float(frames.sum()) == pytest.approx(float(sitk.GetArrayViewFromImage(image).sum()), rel=1e-4)
    assert frames.any()


def test_the_report_holds_what_the_tables_say(finished):
    output, case = finished[2:]
    with (output / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    report = highdicom.sr.srread(output / "dicom" / f"{case}_report.dcm")
    (whole, *lesions) = report.content.get_image_measurement_groups()
    numbers = {m.name.meaning: float(m.value) for m in whole.get_measurements()}
    assert numbers["Probability of low"] == pytest.approx(float(row["p_low"]), abs=1e-5)
    assert numbers["Probability of high"] == pytest.approx(float(row["p_high"]), abs=1e-5)
    assert whole.get_qualitative_evaluations()[0].value.meaning == row["predicted_class"]
    assert [g.tracking_identifier for g in lesions] == ["lesion_1", "lesion_2"]
    volumes = [g.get_measurements()[0].value for g in report.content.get_volumetric_roi_measurement_groups()]
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(finished[1])))
    assert volumes == pytest.approx([float((labels == v).sum()) * 2.5 * 1.5 * 1.5 for v in (1, 2)])
    assert "Research use only" in report.to_json()


@pytest.mark.parametrize("trained", [(8.0, "Within"), (80.0, "Below"), (1.0, "Above")])
def test_the_report_holds_prediction_set_and_noise(model, finished, tmp_path, monkeypatch, trained):
    """Of a model whose training saw CTs of such noise; of this one, 8 HU, too little is homogeneous to measure it."""
    monkeypatch.setattr("reactkd_auto.inference.answer.measured_noise", lambda image: 8.0)
    trained_hu, place = trained
    images, regions, _, case = finished
    folder = ModelFolder(tmp_path / "model")
    shutil.copytree(model.path, folder.path)
    dose = DoseMeasurement({}, (), None, patches=1, noise_hu=trained_hu)
    seen = tuple(measured_case(i, dose=dose) for i in range(6))
    write_fingerprint(folder.path, Fingerprint("Dataset001_Small", seen))
    assert _predict(images, tmp_path / "out", folder, "-r", regions, "--no_explanation") == 0
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    report = highdicom.sr.srread(tmp_path / "out" / "dicom" / f"{case}_report.dcm")
    whole = report.content.get_image_measurement_groups()[0]
    told = [(e.name.meaning, e.value.meaning) for e in whole.get_qualitative_evaluations()]
    assert [v for n, v in told if n == "Class in the prediction set"] == row["prediction_set"].split("|")
    assert [v for n, v in told if n.startswith("Noise of the CT")] == [f"{place} the range that training saw"]
    measured = {m.name.meaning: m for m in whole.get_measurements()}
    assert float(measured["Coverage that the prediction set promises"].value) == float(row["set_coverage"])
    for name, column in (
        ("Noise of the CT", "noise_hu"),
        ("Lowest noise that training saw", "noise_trained_low_hu"),
        ("Highest noise that training saw", "noise_trained_high_hu"),
    ):
        assert float(measured[name].value) == pytest.approx(float(row[column]), abs=0.05)
        assert measured[name].unit.value == "[hnsf'U]"
    _validate(tmp_path / "out" / "dicom")


def test_the_same_answer_has_the_same_uids_and_another_has_others(finished, model, objects, tmp_path):
    images, regions, _, case = finished
    more = ("-r", regions, "--no_explanation", "-f", 0)
    assert _predict(images, tmp_path / "other", model, *more) == 0
    assert _predict(images, tmp_path / "again", model, *more) == 0
    again, other = (pydicom.dcmread(tmp_path / f / "dicom" / f"{case}_report.dcm") for f in ("again", "other"))
    assert again.SOPInstanceUID == other.SOPInstanceUID != objects["report"].SOPInstanceUID
    assert not (tmp_path / "again" / "dicom" / f"{case}_explanation.dcm").exists()


def test_no_table_and_no_page_bears_the_patients_name(finished):
    output = finished[2]
    for path in output.rglob("*"):
        if path.is_file() and path.parent.name != "dicom":
            assert b"SECRET" not in path.read_bytes(), path.name


def test_a_ct_in_which_nothing_is_found_gets_a_report_that_says_so(model, tmp_path):
    images, _, case = _series(tmp_path)
    assert _predict(images, tmp_path / "out", model) == 0
    assert [p.name for p in (tmp_path / "out" / "dicom").iterdir()] == [f"{case}_report.dcm"]
    report = highdicom.sr.srread(tmp_path / "out" / "dicom" / f"{case}_report.dcm")
    (whole,) = report.content.get_image_measurement_groups()
    assert whole.get_qualitative_evaluations()[0].value.meaning == "Not classified"
    assert "found no lesion" in report.to_json()
    _validate(tmp_path / "out" / "dicom")


def test_an_archive_that_dropped_what_dicom_demands_costs_a_warning_at_most(model, tmp_path):
    images, regions, case = _series(tmp_path)
    for path in images.iterdir():
        header = pydicom.dcmread(path)
        for keyword in ("PatientID", "PatientName", "StudyDate"):
            delattr(header, keyword)
        header.save_as(path)
    assert _predict(images, tmp_path / "out", model, "-r", regions, "--no_explanation") == 0
    assert (tmp_path / "out" / "dicom" / f"{case}_regions.dcm").exists()
    _validate(tmp_path / "out" / "dicom")


def test_dicom_of_other_images_is_refused(model, cohort, tmp_path, capsys):
    assert _predict(cohort[0], tmp_path / "out", model) == 2
    assert "no DICOM series found" in capsys.readouterr().err


def test_without_highdicom_the_option_says_what_to_install(model, cohort, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("reactkd_auto.inference.dicom_out.writing.find_spec", lambda name: None)
    assert _predict(cohort[0], tmp_path / "out", model) == 2
    assert "pip install 'reactkd_auto[dicom]'" in capsys.readouterr().err


def test_a_real_ct_becomes_valid_objects(model, real_data, tmp_path):
    source = real_data / "ct_dicom_CRLM-CT-1004"
    ct = read_image(source)
    labels = np.zeros(ct.GetSize()[::-1], np.uint8)
    labels[10:30, 200:320, 150:300] = 1
    labels[15:20, 240:270, 200:230] = 2
    regions = sitk.GetImageFromArray(labels)
    regions.CopyInformation(ct)
    sitk.WriteImage(regions, str(tmp_path / "regions.nii.gz"))
    more = ("-r", tmp_path / "regions.nii.gz", "--no_explanation")
    assert _predict(source, tmp_path / "out", model, *more) == 0
    (path,) = (tmp_path / "out" / "dicom").glob("*_regions.dcm")
    seg = highdicom.seg.segread(path)
    read = seg.get_pixels_by_source_instance(
        [s[2] for s in seg.get_source_image_uids()], combine_segments=True, ignore_spatial_locations=True
    )
    assert {v: int((read == v).sum()) for v in (1, 2)} == {v: int((labels == v).sum()) for v in (1, 2)}
    _validate(tmp_path / "out" / "dicom")
