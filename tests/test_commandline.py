"""Options that all commands share are refused the same way, before anything is done."""

from importlib import import_module

import pytest

SEEDED = {
    "planning.command": (),
    "planning.degrade.command": (),
    "training.command": (),
    "training.pretrain_command": (),
    "inference.command": (),
    "inference.evaluate_command": (),
    "dataset_conversion.demo_command": (),
    "commands.demo": (),
    "commands.benchmark.command": ("dose",),
}
PARALLEL = {
    "planning.command": (),
    "inference.command": (),
    "dataset_conversion.dicom.command": (),
    "dataset_conversion.hecktor": (),
    "dataset_conversion.region_making.command": (),
    "commands.benchmark.command": ("preprocess",),
}


def refusal(module, capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        import_module(f"reactkd_auto.{module}").main(list(arguments))
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("module", SEEDED)
@pytest.mark.parametrize("value", ["-1", "1.5", "x"])
def test_a_seed_is_a_whole_number_from_0_on(module, value, capsys):
    said = refusal(module, capsys, *SEEDED[module], "--seed", value)
    assert f"argument --seed: {value}: expected a whole number, 0 or more" in said


@pytest.mark.parametrize("module", PARALLEL)
@pytest.mark.parametrize("value", ["0", "-3"])
def test_workers_are_one_or_more(module, value, capsys):
    said = refusal(module, capsys, *PARALLEL[module], "--workers", value)
    assert f"argument --workers: {value}: expected a whole number, 1 or more" in said


def test_the_demo_refuses_no_epochs_before_it_simulates(tmp_path, capsys):
    said = refusal("commands.demo", capsys, "-w", str(tmp_path), "--epochs", "0")
    assert "argument --epochs: 0: expected a whole number, 1 or more" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "arguments", "sentence"),
    [
        ("inference.command", "-i ct -o out -m model -d 99", "--dataset: says where to look for a model"),
        ("inference.command", "-i ct -o out -m model -w nowhere", "--workspace: says where to look for a model"),
        (
            "inference.command",
            "-i ct -o out -m model --check_explanations --no_explanation",
            "--check_explanations: judges explanations, expected without --no_explanation",
        ),
        ("inference.export_command", "-o out.zip -m model -d 99", "--dataset: says where to look for a model"),
        ("inference.export_onnx_command", "-i ct.nii.gz -m model -w x", "--workspace: says where to look for a model"),
        ("dataset_conversion.verify_command", "--folder F -d 1", "--dataset: says which dataset of a workspace"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(module, arguments, sentence, capsys):
    assert import_module(f"reactkd_auto.{module}").main(arguments.split()) == 2
    assert sentence in capsys.readouterr().err
