"""`reactkd_export_model` and `reactkd_install_model`: what goes out, what is let in."""

import dataclasses
import json
import pickle
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from reactkd_auto.fingerprint import Fingerprint, ScanInfo, read_fingerprint, write_fingerprint
from reactkd_auto.inference.command import main as predict
from reactkd_auto.inference.export_command import main as export
from reactkd_auto.inference.install_command import main as install
from reactkd_auto.jsonio import write_json
from reactkd_auto.model_folder import ModelConfig, ModelFolder
from reactkd_auto.plan import ZoomedCase
from tests.inference.conftest import measured_case, plan_for_tests, write_cohort, write_model

SCORE = {"value": 0.8125, "low": 0.7, "high": 0.9, "method": "DeLong, logit", "reason": ""}
METRICS = {
    "n_cases": 30,
    "n_patients": 28,
    "macro_auc": SCORE,
    "quadratic_kappa": {
        "value": None,
        "low": None,
        "high": None,
        "method": "",
        "reason": "the classes are not ordered",
    },
    "per_class": [{"name": "low", "auc": SCORE}],
}


def _case(number: int):
    scan = ScanInfo(scanner="ACME One")
    name = f"DOE-JANE-{number}"
    flags = (f"{name} moved.",)
    return measured_case(number, case=name, patient=f"MRN-{number // 2}", flags=flags, scan=scan)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A model folder as training leaves it, with names of patients wherever they may stand."""
    plan = dataclasses.replace(plan_for_tests(), zoomed_cases=(ZoomedCase("DOE-JANE-1", 1.5),))
    model = write_model(tmp_path_factory.mktemp("trained"), plan).path
    write_fingerprint(model, Fingerprint("Dataset001_Small", tuple(_case(i) for i in range(6))))
    write_json(model / "cross_validation" / "metrics.json", METRICS)
    (model / "cross_validation" / "predictions.csv").write_text("case\nDOE-JANE-1\n")
    (model / "fold_0" / "latest.pt").write_bytes(pickle.dumps("state"))
    return model


@pytest.fixture
def exported(trained, tmp_path) -> Path:
    assert export(["-m", str(trained), "-o", str(tmp_path / "model.zip")]) == 0
    return tmp_path / "model.zip"


def _install(archive: Path, folder: Path) -> int:
    return install(["-i", str(archive), "-o", str(folder)])


def _changed(archive: Path, target: Path, changes: dict[str, bytes | None]) -> Path:
    """The zip with entries replaced, added (a path becomes a link) or left out, and its manifest as it was."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if name not in changes:
                new.writestr(name, old.read(name))
        for name, content in changes.items():
            if content is not None:
                entry = zipfile.ZipInfo(name)
                kind = stat.S_IFLNK if content.startswith(b"/") else stat.S_IFREG
                entry.create_system, entry.external_attr = 3, (kind | 0o644) << 16
                new.writestr(entry, content)
    return target


def test_what_is_handed_on_is_complete_and_nothing_else(exported):
    with zipfile.ZipFile(exported) as archive:
        assert archive.namelist() == [
            "MODEL_CARD.md",
            "calibration.json",
            "cross_validation/metrics.json",
            "dataset.json",
            "fingerprint.json",
            "fold_0/localiser.safetensors",
            "fold_0/student.safetensors",
            "fold_1/localiser.safetensors",
            "fold_1/student.safetensors",
            "manifest.json",
            "model.json",
            "plan.json",
        ]


def test_no_patient_is_named_anywhere_in_it(exported):
    data = exported.read_bytes()  # stored, not compressed
    assert b"DOE" not in data
    assert b"MRN" not in data
    assert b"0000000000000003" not in data  # hash of a scan


def test_pseudonyms_keep_measurements_and_who_belongs_together(trained, exported, tmp_path):
    assert _install(exported, tmp_path / "model") == 0
    before, after = read_fingerprint(trained).cases, read_fingerprint(tmp_path / "model").cases
    assert sorted(c.case for c in after) == [f"case_{i:04d}" for i in range(1, 7)]
    assert sorted(sum(o.patient == c.patient for o in after) for c in after) == [2] * 6
    for kept in ("label", "lesion_volumes_mm3", "intensities", "spacing_mm", "scan"):
        values = [sorted(repr(getattr(c, kept)) for c in cases) for cases in (before, after)]
        assert values[0] == values[1], kept


def test_the_same_model_gives_the_same_bytes(trained, exported, tmp_path):
    (trained / "plan.json").touch()
    assert export(["-m", str(trained), "-o", str(tmp_path / "folder")]) == 0
    assert (tmp_path / "folder" / f"Small_{trained.name}.zip").read_bytes() == exported.read_bytes()


def test_an_installed_model_predicts_the_same_bytes(trained, exported, tmp_path):
    images, regions = write_cohort(tmp_path)
    assert _install(exported, tmp_path / "model") == 0
    for name, model in (("one", trained), ("two", tmp_path / "model")):
        options = ["-i", images, "-r", regions, "-o", tmp_path / name, "-m", model, "--device", "cpu", "--quiet"]
        assert predict([str(o) for o in options]) == 0
    for file in ("predictions.csv", "regions.csv", "explanation/a_explanation.nii.gz", "explanation/b_regions.nii.gz"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_the_card_says_what_the_folder_holds(exported):
    with zipfile.ZipFile(exported) as archive:
        card = archive.read("MODEL_CARD.md").decode()
    for line in (
        "| cases | 6 |",
        "| patients | 3 |",
        "| class low | 3 |",
        "| scanner ACME One | 6 |",
        "| AUC, macro | 0.81 (0.70–0.90) | DeLong, logit |",
        "| low: AUC | 0.81 (0.70–0.90) | DeLong, logit |",
        "* Trained on 6 cases only: expect wide error margins.",
        "* 2 of 3 folds are finished: the spread between folds is underestimated.",
        "**Not a medical device.**",
        "External validation: none is recorded",
        "120 out-of-fold",
        "Prediction sets promise 90 % coverage,\nfor each class.",
    ):
        assert line in card
    assert "learnt on images of at most" in card
    assert "kappa" not in card


def test_the_card_tells_what_the_student_sees_from_what_only_its_teachers_saw(trained, tmp_path):
    model = ModelFolder(shutil.copytree(trained, tmp_path / "model"))
    model.write_config(ModelConfig("auto", ("CT", "FDG"), 0))
    assert export(["-m", str(model.path), "-o", str(tmp_path / "x.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        card = archive.read("MODEL_CARD.md").decode()
    assert "| looks at | CT, FDG |\n| channels that only its teachers saw | ACE |" in card


def test_without_evidence_the_card_claims_none(model, tmp_path):
    assert export(["-m", str(model.path), "-o", str(tmp_path / "bare.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "bare.zip") as archive:
        card = archive.read("MODEL_CARD.md").decode()
    assert "None: the model folder holds no cross-validation" in card
    assert "nothing can be said about the cohort" in card
    assert "AUC" not in card


def test_a_document_that_names_a_case_is_not_handed_on(trained, tmp_path, capsys):
    model = shutil.copytree(trained, tmp_path / "model")
    write_json(model / "cross_validation" / "metrics.json", {**METRICS, "worst": ["DOE-JANE-3"]})
    assert export(["-m", str(model), "-o", str(tmp_path / "x.zip")]) == 2
    assert "names a case or patient" in capsys.readouterr().err
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"plan.json": b"{}"}, "plan.json is not what was exported"),
        ({"fold_0/student.safetensors": None}, "fold_0/student.safetensors is missing"),
        ({"manifest.json": None}, "no manifest.json"),
        ({"manifest.json": b"{}"}, "key 'files' is missing"),
        ({"cross_validation/thresholds.json": b"{}"}, "thresholds.json is not in its manifest"),
        ({"fold_0/latest.pt": pickle.dumps(1)}, "holds 'fold_0/latest.pt', which has no place"),
        ({"fold_0/student.pkl": pickle.dumps(1)}, "has no place"),
        ({"../evil.json": b"{}"}, "would leave its folder"),
        ({"dataset.json": b"/etc/passwd"}, "is a link or device"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_zip_that_is_not_what_was_exported_is_refused_and_leaves_nothing(
    exported, tmp_path, capsys, changes, sentence
):
    wicked = _changed(exported, tmp_path / "wicked.zip", changes)
    assert _install(wicked, tmp_path / "models" / "x") == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert list((tmp_path / "models").iterdir()) == []
    assert not list(tmp_path.rglob("evil*"))


def test_a_zip_that_is_too_large_is_refused(exported, tmp_path, capsys, monkeypatch):
    from reactkd_auto.archive import Limits

    monkeypatch.setattr("reactkd_auto.inference.handover.install.LIMITS", Limits(size=1000))
    assert _install(exported, tmp_path / "x") == 2
    assert "unpacked, expected at most" in capsys.readouterr().err


def test_hashes_that_fit_do_not_save_weights_of_another_model(exported, tmp_path, capsys):
    with zipfile.ZipFile(exported) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        localiser = archive.read("fold_0/localiser.safetensors")
    manifest["files"]["fold_0/student.safetensors"] = manifest["files"]["fold_0/localiser.safetensors"]
    changes = {"fold_0/student.safetensors": localiser, "manifest.json": json.dumps(manifest).encode()}
    wicked = _changed(exported, tmp_path / "wicked.zip", changes)
    assert _install(wicked, tmp_path / "x") == 2
    assert "no usable model: fold_0/student.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_installing_again_is_fine_but_nothing_is_overwritten(exported, tmp_path, capsys):
    assert _install(exported, tmp_path / "x") == 0
    assert _install(exported, tmp_path / "x") == 0
    (tmp_path / "x" / "plan.json").write_text("{}")
    assert _install(exported, tmp_path / "x") == 2
    assert "was changed after it was installed" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    assert _install(exported, tmp_path / "mine") == 2
    assert "holds something else already" in capsys.readouterr().err
