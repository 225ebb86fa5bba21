"""`reactkd_degrade` from the command line: what it leaves behind, and what it says of CTs that it cannot use."""

import base64
import json
import re
import shlex

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from reactkd_auto.dose import DoseCalibration, degrade
from reactkd_auto.imageio.sources import series_name_of
from reactkd_auto.jsonio import read_document
from reactkd_auto.planning import degrade_ct
from reactkd_auto.planning.degrade.command import main
from tests.conftest import ROOT
from tests.cts import SPACING, image_of, read_hu, trunk, write_ct
from tests.dicom_writing import activity, make_series, write_series
from tests.test_documentation import commands


def run(*arguments: object) -> int:
    return main([*map(str, arguments), "--quiet", "--device", "cpu"])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One CT at two doses."""
    folder = tmp_path_factory.mktemp("one")
    write_ct(folder / "thorax.nii.gz")
    assert run("-i", folder / "thorax.nii.gz", "-o", folder / "out", "--dose", 0.25, 0.1) == 0
    return folder


def test_everything_promised_is_there(done):
    names = sorted(p.relative_to(done / "out").as_posix() for p in (done / "out").rglob("[!.]*") if p.is_file())
    assert names == [
        "cases/thorax.json",
        "pictures/thorax_calibration.svg",
        "pictures/thorax_maps.png",
        "pictures/thorax_slices.png",
        "pictures/thorax_spectra.svg",
        "report.html",
        "run.json",
        "thorax_calibration.json",
        "thorax_dose010.nii.gz",
        "thorax_dose025.nii.gz",
    ]


def test_results_lie_on_the_cts_own_grid_in_its_own_type(done):
    ct = sitk.ReadImage(str(done / "thorax.nii.gz"))
    low = sitk.ReadImage(str(done / "out" / "thorax_dose010.nii.gz"))
    assert low.GetPixelID() == ct.GetPixelID() == sitk.sitkInt16
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(low, name)() == pytest.approx(getattr(ct, name)(), abs=1e-4)


def test_noise_rises_as_the_dose_falls_and_the_mean_stays(done):
    full = trunk().astype(float)
    added = [read_hu(done / "out" / f"thorax_dose{d}.nii.gz") - full for d in ("025", "010")]
    body = full > -200
    sds = [a[body].std() for a in added]
    assert sds[1] / sds[0] == pytest.approx(np.sqrt(9 / 3), rel=0.05)
    assert all(abs(a[body].mean()) < 0.05 * s for a, s in zip(added, sds, strict=True))


def test_python_function_with_the_calibration_of_another_run_gives_the_same(done, tmp_path):
    calibration = done / "out" / "thorax_calibration.json"
    assert read_document(DoseCalibration, calibration).fallback is not None
    again = degrade_ct(done / "thorax.nii.gz", tmp_path, doses=(0.25, 0.1), calibration=calibration, quiet=True)
    assert again.failed == ()
    for name in again.results[0].files:
        assert (tmp_path / name).read_bytes() == (done / "out" / name).read_bytes()


def test_calibration_of_a_ct_of_another_length_is_used_with_its_median_flux(done, tmp_path):
    content = json.loads((done / "out" / "thorax_calibration.json").read_text())
    content["flux"] = [1e5, 2e5, 9e5]
    (tmp_path / "other.json").write_text(json.dumps(content))
    write_ct(tmp_path / "a.nii.gz", trunk(2))
    result = degrade_ct(
        tmp_path / "a.nii.gz", tmp_path / "out", doses=[0.1], calibration=tmp_path / "other.json", quiet=True
    ).results[0]
    assert result.calibration.flux == (2e5,)
    assert any("median flux" in w for w in result.warnings)
    assert read_hu(tmp_path / "out" / "a_dose010.nii.gz").shape == (2, 128, 128)


@pytest.mark.slow
def test_options_reach_the_noise(done, tmp_path):
    def body(name: str, *options: object) -> np.ndarray:
        assert run("-i", done / "thorax.nii.gz", "-o", tmp_path / name, "--dose", 0.25, 0.1, *options) == 0
        full = trunk().astype(float)
        return np.stack(
            [(read_hu(tmp_path / name / f"thorax_dose{d}.nii.gz") - full)[full > -200] for d in ("025", "010")]
        )

    plain = body("plain")
    assert np.corrcoef(plain)[0, 1] > 0.99
    assert abs(np.corrcoef(body("independent", "--coupling", "independent"))[0, 1]) < 0.1
    assert np.corrcoef(body("nested", "--coupling", "nested"))[0, 1] == pytest.approx(np.sqrt(3 / 9), abs=0.1)
    assert abs(np.corrcoef(plain[1], body("seed", "--seed", 1)[1])[0, 1]) < 0.1
    soft, sharp = (body(k, "--kernel", k)[1].std() for k in ("soft", "sharp"))
    assert sharp > 1.2 * soft


@pytest.mark.slow
def test_both_engines_make_the_noise_that_is_predicted(tmp_path):
    """On pixels that are fine enough for the kernel: on coarse ones counted noise folds over, as a scanner's does."""
    crop = np.random.default_rng(0).normal(40, 8, (2, 64, 64)).round().astype(np.int16)
    crop[:, :8] -= 140  # fat
    write_ct(tmp_path / "a.nii.gz", crop, spacing=(0.8, 0.8, 3.0))
    ratios = []
    for engine in ("fft", "fbp"):
        result = degrade_ct(tmp_path / "a.nii.gz", tmp_path / engine, doses=[0.1], engine=engine, quiet=True).results[0]
        assert result.sd[0].median == pytest.approx(1, abs=0.04)
        ratios.append((read_hu(tmp_path / engine / "a_dose010.nii.gz") - crop.astype(float)).std())
        page = (tmp_path / engine / "report.html").read_text(encoding="utf-8")
        assert ("drawn for every reading" in page) == (engine == "fbp")
    assert ratios[1] == pytest.approx(ratios[0], rel=0.05)


def test_page_needs_nothing_but_itself_and_says_what_was_found(done):
    page = (done / "out" / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    pictures = re.findall(r"src=\"data:image/[a-z+]+;base64,([^\"]+)\"", page)
    assert [base64.b64decode(p)[:5] for p in pictures].count(b"\x89PNG\r") == 2
    assert len(pictures) == 4
    for words in ("thorax", "10 %", "Research use only", "preset", "too coarse", "measured / predicted"):
        assert words in page


def test_run_is_described_without_the_patient(done):
    description = json.loads((done / "out" / "run.json").read_text())
    assert description["options"]["doses"] == [0.25, 0.1]
    assert description["seed"] == 0
    assert description["versions"]["torch"]
    header = sitk.ImageFileReader()
    header.SetFileName(str(done / "out" / "thorax_dose010.nii.gz"))
    header.ReadImageInformation()
    assert header.GetMetaData("descrip") == ""


def test_of_a_folder_every_good_ct_is_done_and_the_bad_one_is_named(tmp_path, capsys):
    write_ct(tmp_path / "in" / "good one (1).mha")
    write_ct(tmp_path / "in" / "raw.nrrd", trunk() + 1024)
    (tmp_path / "in" / "notes.txt").write_text("not a CT")
    assert run("-i", tmp_path / "in", "-o", tmp_path / "out", "--dose", 0.1) == 3
    said = capsys.readouterr()
    assert "1 degraded, 1 failed" in said.out
    assert "lack the intercept −1024" in said.err
    assert [p.name for p in (tmp_path / "out").glob("*.nii.gz")] == ["good_one__1__dose010.nii.gz"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "lack the intercept −1024" in page
    assert "1 failed" in page
    assert str(tmp_path) not in page


def _rotated(array: np.ndarray, degrees: float, **more: object) -> sitk.Image:
    direction = Rotation.from_euler("x", degrees, degrees=True).as_matrix().ravel().tolist()
    return image_of(array, direction=direction, **more)


UNUSABLE = {
    "unshifted": (lambda: image_of(trunk() + 1024), "lack the intercept −1024"),
    "pet": (lambda: image_of(np.abs(trunk().astype(np.float32)) / 8), "none negative: a windowed image, or not a CT"),
    "mr": (lambda: image_of((trunk().astype(np.float32) + 1000) / 2 - 20), "PET, MR or unscaled CT cannot be degraded"),
    "normalised": (lambda: image_of(trunk() / 1000.0), "look normalised"),
    "air": (lambda: image_of(np.full((3, 128, 128), -1000, np.int16)), "-1000 in every voxel"),
    "padding": (lambda: image_of(np.full((3, 128, 128), -2048, np.int16)), "no finite value above -1024"),
    "nan": (lambda: image_of(np.full((3, 128, 128), np.nan, np.float32)), "no finite value above -1024"),
    "oblique": (lambda: _rotated(trunk(), 45), "oblique by more than 35°"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_is_no_ct_is_refused_in_one_sentence(tmp_path, capsys, kind):
    make, words = UNUSABLE[kind]
    sitk.WriteImage(make(), str(tmp_path / "scan.nii.gz"))
    assert run("-i", tmp_path / "scan.nii.gz", "-o", tmp_path / "out", "--dose", 0.1) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "scan.nii.gz" in said
    assert len(said.strip().splitlines()) == 1
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_four_dimensions_are_refused(tmp_path, capsys):
    image = sitk.JoinSeries([image_of(trunk(3)), image_of(trunk(3))])
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    assert run("-i", tmp_path / "scan.nii.gz", "-o", tmp_path / "out") == 2
    assert "expected three dimensions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: write_ct(p / "scan.nii.gz").write_bytes((p / "scan.nii.gz").read_bytes()[:20_000]), "cut off"),
        (lambda p: (p / "scan.nii.gz").write_bytes(b""), "an empty file"),
        (lambda p: None, "no such file or folder"),
    ],
)
def test_damaged_and_missing_files_are_named(tmp_path, capsys, make, words):
    make(tmp_path)
    assert run("-i", tmp_path / "scan.nii.gz", "-o", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert words in said.replace("cut-off", "cut off")
    assert "scan.nii.gz" in said


def test_places_without_a_ct_are_named(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run("-i", tmp_path / "empty", "-o", tmp_path / "out") == 2
    assert "no CT found in the folder" in capsys.readouterr().err
    (tmp_path / "scan.jpg").write_bytes(b"x")
    assert run("-i", tmp_path / "scan.jpg", "-o", tmp_path / "out") == 2
    assert "unknown file ending" in capsys.readouterr().err
    write_ct(tmp_path / "cts" / "a.nii.gz")
    assert run("-i", tmp_path / "cts", "-o", tmp_path / "cts") == 2
    assert "expected another folder" in capsys.readouterr().err
    write_ct(tmp_path / "cts" / "a.mha")
    assert run("-i", tmp_path / "cts", "-o", tmp_path / "out") == 2
    assert "the same name, a," in capsys.readouterr().err
    assert run("-i", tmp_path / "cts" / "a.mha", "-o", tmp_path / "scan.jpg") == 2
    assert "a file, expected a folder" in capsys.readouterr().err


def test_a_dicom_series_is_degraded_slice_by_slice_with_its_padding_untouched(tmp_path):
    hu = trunk(5).astype(float)
    hu[:, :20, :20] = -2000
    slices = make_series(hu, spacing=(4.0, 1.7, 1.7))
    write_series(tmp_path / "in" / "DOE" / "series", slices, order=(3, 1, 0, 4, 2))
    (result,) = degrade_ct(tmp_path / "in", tmp_path / "out", doses=[1, 0.1], quiet=True).results
    full, low = (sitk.ReadImage(str(tmp_path / "out" / name)) for name in result.files)
    assert result.files[0] == f"{series_name_of(slices[0].SeriesInstanceUID)}_dose100.nii.gz"
    assert full.GetPixelID() == sitk.sitkInt16
    assert np.array_equal(sitk.GetArrayFromImage(full), hu)
    assert low.GetOrigin() == pytest.approx((-10, -20, 30))
    assert (sitk.GetArrayFromImage(low)[:, :20, :20] == -2000).all()


def test_of_a_folder_of_series_the_pet_is_passed_over_and_a_spoilt_ct_named(tmp_path, capsys):
    write_series(tmp_path / "in" / "ct", make_series(trunk(2).astype(float), spacing=(4.0, 1.7, 1.7)))
    write_series(tmp_path / "in" / "pet", make_series(activity(), "PT", series="pet"))
    spoilt = write_series(tmp_path / "in" / "b", make_series(trunk(2).astype(float), series="b")) / "001.dcm"
    spoilt.write_bytes(spoilt.read_bytes()[:-100])
    assert run("-i", tmp_path / "in", "-o", tmp_path / "out", "--dose", 0.1) == 3
    assert "001.dcm" in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("ct_*_dose010.nii.gz"))) == 1
    assert run("-i", tmp_path / "in" / "pet", "-o", tmp_path / "out", "--dose", 0.1) == 2
    assert "no CT found" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.data
def test_a_real_abdomen_is_calibrated_and_its_noise_is_the_one_predicted(real_data, tmp_path):
    series = real_data / "ct_dicom_CRLM-CT-1004"
    (result,) = degrade_ct(series, tmp_path, doses=[0.5, 0.25, 0.1, 0.05], quiet=True).results
    assert result.size == (41, 512, 512)
    assert result.calibration.fallback is None
    assert all(a.median == pytest.approx(1, abs=0.01) for a in result.sd)
    assert all(a.rms < 1.2 * a.floor + 0.01 for a in result.sd)
    assert all(s.directional < 0.1 for s in result.spectra)
    padding = read_hu(tmp_path / result.files[0])[:, 0, 0]
    assert (padding < -1024).all()


@pytest.mark.slow
def test_the_how_to_runs_as_written(tmp_path, monkeypatch):
    write_ct(tmp_path / "ct.nii.gz", trunk(2))
    write_ct(tmp_path / "cts" / "a.nii.gz", trunk(2))
    write_series(tmp_path / "dicom_series", make_series(trunk(2).astype(float), spacing=(4.0, 1.7, 1.7)))
    monkeypatch.chdir(tmp_path)
    lines = commands(ROOT / "documentation" / "how-to" / "degrade-a-ct.md")
    assert len(lines) == 6
    for line in lines:
        assert main([*shlex.split(line)[1:], "--quiet"]) == 0
    assert (tmp_path / "same_scanner" / "ct_dose010.nii.gz").is_file()


def test_the_python_of_the_how_to_runs_as_written(tmp_path, monkeypatch):
    write_ct(tmp_path / "ct.nii.gz", trunk(2))
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "documentation" / "how-to" / "degrade-a-ct.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict = {}
    exec(block, names)
    full, low = (sitk.GetArrayFromImage(names[name]).astype(float) for name in ("ct", "tenth"))
    assert (low - full)[full > -200].std() > 5


@pytest.mark.parametrize(
    ("doses", "words"),
    [
        ((0.001,), "from 0.005 to 1"),
        ((0.5, 1.5), "from 0.005 to 1"),
        ((50,), "--dose: found dose fractions 50, "),
        ((50,), "(0.5 is 50 %)"),
        ((1,), "below 1"),
        ((0.1, 0.1), "0.1 twice"),
    ],
)
def test_fractions_out_of_range_are_refused_before_anything_is_done(tmp_path, capsys, doses, words):
    write_ct(tmp_path / "a.nii.gz")
    assert run("-i", tmp_path / "a.nii.gz", "-o", tmp_path / "out", "--dose", *doses) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_calibration_that_is_none_is_refused(tmp_path, capsys):
    write_ct(tmp_path / "a.nii.gz")
    (tmp_path / "c.json").write_text('{"flux": [1.0]}')
    assert run("-i", tmp_path / "a.nii.gz", "-o", tmp_path / "out", "--calibration", tmp_path / "c.json") == 2
    assert "c.json: key" in capsys.readouterr().err


def test_strange_slices_and_missing_voxels_are_carried_through_and_full_dose_is_the_ct(tmp_path):
    hu = trunk(6).astype(np.float32)
    hu[0], hu[1] = -1000, 3000
    hu[2, 40:50, 40:50] = 30000
    hu[3, 20:30] = np.nan
    hu[4, :10] = -3024
    write_ct(tmp_path / "a.nii.gz", hu)
    result = degrade_ct(tmp_path / "a.nii.gz", tmp_path / "out", doses=[1, 0.025], quiet=True).results[0]
    full, low = (nibabel.load(tmp_path / "out" / f).get_fdata().transpose(2, 1, 0) for f in result.files)
    assert result.files[1] == "a_dose002p5.nii.gz"
    assert np.array_equal(full, hu, equal_nan=True)
    assert np.array_equal(np.isnan(low), np.isnan(hu))
    assert np.isfinite(low[~np.isnan(hu)]).all()
    assert (low[4, :10] == -3024).all()
    assert any("1280 voxels are NaN" in w for w in result.warnings)


def test_a_coronal_acquisition_is_degraded_in_its_axial_planes(tmp_path):
    sitk.WriteImage(sitk.PermuteAxes(image_of(trunk(7)), (0, 2, 1)), str(tmp_path / "ct.nii.gz"))
    result = degrade_ct(tmp_path / "ct.nii.gz", tmp_path / "out", doses=[0.1], quiet=True).results[0]
    assert result.size == (7, 128, 128)
    assert result.spacing_mm == pytest.approx(SPACING[::-1])
    assert any("not stored in axial slices" in w for w in result.warnings)
    stored = sitk.ReadImage(str(tmp_path / "ct.nii.gz"))  # its spacing is rounded by the format
    (axial,) = degrade(sitk.PermuteAxes(stored, (0, 2, 1)), [0.1], result.calibration, 0, case="ct")
    expected = sitk.GetArrayFromImage(axial).transpose(1, 0, 2)
    assert np.array_equal(read_hu(tmp_path / "out" / "ct_dose010.nii.gz"), expected)


def test_a_crop_is_degraded_with_a_body_assumed_around_it(tmp_path):
    crop = np.random.default_rng(0).normal(-700, 150, (6, 12, 14)).clip(-1020, 200).astype(np.int16)
    write_ct(tmp_path / "nodule.nii.gz", crop, spacing=(0.7, 0.7, 1.25))
    result = degrade_ct(tmp_path / "nodule.nii.gz", tmp_path / "out", doses=[0.1], quiet=True).results[0]
    assert result.calibration.ellipse_mm is not None
    assert any("a body of" in w for w in result.warnings)
    assert (read_hu(tmp_path / "out" / "nodule_dose010.nii.gz") - crop.astype(float)).std() > 10
