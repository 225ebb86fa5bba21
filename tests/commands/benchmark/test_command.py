"""`reactkd_benchmark`: what it refuses before it measures."""

import pytest

from reactkd_auto.commands.benchmark.command import main


@pytest.mark.parametrize("subject", ["dose", "training", "preprocess", "inference"])
def test_a_file_in_the_place_of_the_folder_is_refused_before_anything_is_measured(
    subject, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(f"reactkd_auto.commands.benchmark.{subject}.program", lambda **_: pytest.fail("measured first"))
    taken = tmp_path / "numbers"
    taken.write_text("mine", encoding="utf-8")
    assert main([subject, "-o", str(taken)]) == 2
    assert f"{taken}: a file, expected a folder for the numbers" in capsys.readouterr().err
    assert taken.read_text(encoding="utf-8") == "mine"
