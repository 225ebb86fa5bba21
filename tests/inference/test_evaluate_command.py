"""`reactkd_evaluate` as a person at the keyboard meets it."""

import json
from pathlib import Path

import pytest

from reactkd_auto.inference.evaluate_command import main

PREDICTIONS = "case,status,predicted_class,p_a,p_b\n" + "".join(
    f"c{i},classified,{'b' if i > 3 else 'a'},{1 - i / 10:.1f},{i / 10:.1f}\n" for i in range(1, 9)
)
LABELS = "case,label\n" + "".join(f"c{i},{'ab'[i in (3, 5, 6, 8)]}\n" for i in range(1, 9))


@pytest.fixture
def arguments(tmp_path):
    (tmp_path / "predictions.csv").write_text(PREDICTIONS, encoding="utf-8")
    (tmp_path / "labels.csv").write_text(LABELS, encoding="utf-8")
    predictions, labels, output = (str(tmp_path / n) for n in ("predictions.csv", "labels.csv", "out"))
    return ["-p", predictions, "-l", labels, "-o", output, "--quiet"]


def test_command_writes_the_evaluation_and_succeeds(arguments, tmp_path):
    assert main([*arguments, "--seed", "7"]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["seed"] == 7
    # 16 pairs; lost: 3 to 4 and 7, 5 to 7, 6 to 7.
    assert metrics["macro_auc"]["value"] == pytest.approx(12 / 16)
    assert (tmp_path / "out" / "evaluation.html").exists()


@pytest.mark.parametrize(
    "bad",
    [
        ("predictions.csv", "", "empty"),
        ("predictions.csv", PREDICTIONS.replace("status", "x"), "column 'status' is missing"),
        ("predictions.csv", PREDICTIONS.replace("0.2", "two"), "'two'"),
        ("predictions.csv", PREDICTIONS.replace("c2", "c1"), "more than one row"),
        ("labels.csv", LABELS.replace("c4,a", "c4,z"), "'z'"),
        ("labels.csv", LABELS.replace("c", "d").replace("dase", "case"), "expected the same case names"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, capsys, bad):
    file, content, message = bad
    path = Path(arguments[1]).with_name(file)
    path.write_text(content, encoding="utf-8")
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert file in errors
    assert len(errors.strip().splitlines()) == 1
    assert "Traceback" not in errors


def test_missing_files_are_named(arguments, capsys, tmp_path):
    (tmp_path / "labels.csv").unlink()
    assert main(arguments) == 2
    assert "labels.csv: file not found" in capsys.readouterr().err
    assert main([*arguments, "-p", str(tmp_path / "nothing.csv")]) == 2
    assert "nothing.csv: file not found" in capsys.readouterr().err
    assert main([*arguments, "--dataset_json", str(tmp_path / "no.json")]) == 2
    assert "file not found" in capsys.readouterr().err


def test_help_reads_without_loading_heavy_libraries(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["-h"])
    assert ended.value.code == 0
    assert "predicted_class" in capsys.readouterr().out
