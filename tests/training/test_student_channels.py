"""A student that sees further channels wherever a case has them: asked for, trained, and asked with and without."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import Channel
from reactkd_auto.errors import UserError
from reactkd_auto.inference import predict
from reactkd_auto.networks import Student
from reactkd_auto.training import pretrain, train
from reactkd_auto.training.command import build_parser, main
from reactkd_auto.training.launch import arguments
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.student_stage import StudentTask
from reactkd_auto.training.variants import variant
from reactkd_auto.workspace import open_workspace

from .conftest import tiny_dataset

WITHOUT_TRACERS = {"case_07", "case_09"}


@pytest.fixture(autouse=True)
def _only_training(monkeypatch):
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)
    monkeypatch.setattr("reactkd_auto.training.validation.evaluate", lambda *_, **__: None)
    monkeypatch.setattr("reactkd_auto.training.stages.describe", lambda *_: {"parameters": 1, "flops": 1})


def run(cohort, **options):
    return train(0, workspace=cohort.workspace, device="cpu", quiet=True, **options)


def seeing(*channels: str):
    return replace(read_preset("auto"), student_channels=channels)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("CT,MR", "'MR' is unknown"),
        ("PET0,CT,PET0", "'PET0' is named twice"),
        ("CT,,PET0", "'' is unknown"),
        ("", "'' is unknown"),
        ("CT, PET0", "' PET0' is unknown"),
    ],
)
def test_channels_that_cannot_be_are_one_sentence(make_cohort, capsys, given, what):
    cohort = make_cohort()
    assert main(["0", "-w", str(cohort.workspace), "--device", "cpu", "--student_channels", given]) == 2
    expected = f"reactkd_train: --student_channels {given}: {what}, expected some of CT, PET0, each once.\n"
    assert capsys.readouterr().err == expected
    assert not cohort.results.exists()


def test_a_model_folder_is_called_by_its_channels_in_the_dataset_s_order_and_like_no_other():
    dataset = tiny_dataset(tracers=2)
    assert variant(seeing(), dataset, None, None) is None
    assert variant(seeing("CT"), dataset, None, None) is None
    assert variant(seeing("PET0"), dataset, None, None) == "CT+PET0"
    assert variant(seeing("PET1", "CT", "PET0"), dataset, None, None) == "CT+PET0+PET1"
    assert variant(seeing("PET1"), dataset, "in_sample", "pretrained_lora4") == "in_sample_pretrained_lora4_CT+PET1"
    odd = replace(dataset, channels=(*dataset.channels, Channel("PET0_covariates", "pet_suv")))
    covariates = replace(seeing("PET0"), student_covariates=True)
    assert variant(seeing("PET0_covariates"), odd, None, None) != variant(covariates, odd, None, None)


def test_a_channel_that_would_leave_the_model_folder_s_name_is_refused():
    dataset = tiny_dataset()
    dataset = replace(dataset, channels=(dataset.base, Channel("PET/../0", "pet_suv")))
    with pytest.raises(UserError, match=r"--student_channels: channel name 'PET/../0' may hold only letters"):
        variant(seeing("PET/../0"), dataset, None, None)
    assert variant(seeing(), dataset, None, None) is None


def test_channels_belong_to_what_a_student_depends_on_whatever_their_order(make_cohort):
    place = open_workspace(make_cohort(tracers=2).workspace)
    named = [(), ("CT",), ("PET0",), ("PET1",), ("PET0", "PET1"), ("PET1", "CT", "PET0")]
    runs = [open_run(place, preset=seeing(*names), device="cpu") for names in named]
    alone, base, *others = (run.settings("student") for run in runs)
    assert base == alone
    assert runs[0].name == runs[1].name == "auto_seed0"
    assert others[2] == others[3]
    assert len({settings["recipe"] for settings in (alone, *others)}) == 4
    assert all(run.settings("teachers") == runs[0].settings("teachers") for run in runs)


def test_channels_reach_the_processes_of_several_gpus(make_cohort, monkeypatch):
    launched = []
    monkeypatch.setattr("reactkd_auto.training.launch.launch", lambda _, options: launched.append(options))
    cohort = make_cohort(tracers=2)
    model = run(cohort, num_gpus=2, student_channels=["CT", "PET1"])
    assert model.path.name == "auto_CT+PET1_seed0"
    run(cohort, num_gpus=2)
    parsed = [build_parser().parse_args(arguments(options)).student_channels for options in launched]
    assert parsed == [["CT", "PET1"], None]


def test_modality_dropout_hides_channels_of_such_a_student_the_more_the_longer_it_warms_up(make_cohort, monkeypatch):
    """Nothing is hidden at first; here nearly everything but the base from the middle on."""
    certain = replace(read_preset("auto"), modality_dropout=0.9999, modality_dropout_warmup=0.5)
    monkeypatch.setattr("reactkd_auto.training.preset.read_preset", lambda _: certain)
    cases: list[list[str]] = []
    seen: list[list[list[bool]]] = []

    def step(self, inputs, *, before=StudentTask.step):
        cases.append(inputs.names)
        return before(self, inputs)

    def forward(self, images, present, *more, before=Student.forward, **options):
        if self.training:
            seen.append(present.tolist())
        return before(self, images, present, *more, **options)

    monkeypatch.setattr(StudentTask, "step", step)
    monkeypatch.setattr(Student, "forward", forward)
    run(make_cohort(), student_channels=["PET0"], teachers="in_sample", epochs=1, iterations=8)
    assert len(cases) == len(seen) == 8
    assert seen[0] == [[True, name not in WITHOUT_TRACERS] for name in cases[0]]
    assert any(pet for present in seen[:4] for _, pet in present)
    assert all(present == [[True, False]] * 2 for present in seen[4:])


@pytest.fixture
def taught(make_cohort):
    cohort = make_cohort()
    return cohort, run(cohort, student_channels=["CT", "PET0"])


def test_such_a_student_answers_with_a_pet_and_without(taught, tmp_path):
    cohort, model = taught
    assert model.path == cohort.results / "auto_CT+PET0_seed0"
    assert model.config.channels == ("CT", "PET0")
    assert model.finished_folds() == [0]
    images, regions = tmp_path / "in", tmp_path / "regions"
    images.mkdir()
    regions.mkdir()
    organ = np.zeros((12, 32, 32), np.uint8)
    organ[2:-2, 4:-4, 4:-4] = 1
    organ[4:8, 12:20, 12:20] = 2
    hu = np.random.default_rng(0).normal(40, 20, organ.shape)
    for case, channels in {"both": (hu, 5.0 * (organ == 2)), "alone": (hu,)}.items():
        for channel, values in enumerate(channels):
            write(images / f"{case}_{channel:04d}.nii.gz", values.astype(np.float32))
        write(regions / f"{case}.nii.gz", organ)
    answers = predict(images, tmp_path / "out", model=model.path, regions=regions, device="cpu", explanation=False)
    alone, both = answers.results
    assert (alone.case, alone.status, both.case, both.status) == ("alone", "classified", "both", "classified")
    assert alone.probabilities != both.probabilities


def test_its_encoder_may_begin_with_pretrained_weights(make_cohort):
    cohort = make_cohort()
    folder = pretrain(workspace=cohort.workspace, device="cpu", quiet=True)
    model = run(cohort, preset="baseline", student_channels=["PET0"], pretrained=folder, lora_rank=2)
    assert model.path.name == "baseline_pretrained_lora2_CT+PET0_seed0"
    assert model.finished_folds() == [0]
    log = (model.fold(0) / "training.log").read_text()
    assert "which sees further channels" in log


def write(path, values):
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((2.0, 2.0, 4.0))
    sitk.WriteImage(image, str(path))


def test_one_with_other_channels_lies_apart_shares_the_teachers_and_continues_nothing(taught):
    cohort, model = taught
    kept = {p: p.stat().st_mtime_ns for p in cohort.results.glob("**/*.safetensors")}
    plain = run(cohort)
    assert plain.path.name == "auto_seed0"
    assert plain.config.channels == ("CT",)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    begun = [json.loads((m.fold(0) / "settings.json").read_text()) for m in (model, plain)]
    assert {name for name in begun[0] if begun[0][name] != begun[1][name]} == {"recipe"}
    plain.student_weights(0).unlink()
    for name in ("settings.json", "latest.pt"):
        shutil.copyfile(model.fold(0) / name, plain.fold(0) / name)
    with pytest.raises(UserError, match=r"auto_seed0/fold_0: was trained with recipe .*--restart"):
        run(cohort)
