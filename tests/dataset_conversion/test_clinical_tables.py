"""Clinical tables: headers of any spelling, CSV and Excel alike, contradictions refused, classes from free text."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactkd_auto.dataset_conversion.clinical_tables import binary_label, class_values, find_table, read_column
from reactkd_auto.errors import UserError

CELLS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs"), exclude_characters='"'), max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(CELLS.map(str.strip), min_size=1, max_size=6))
def test_excel_and_csv_say_the_same(tmp_path: Path, texts: list[str]) -> None:
    texts = [t for t in texts if not t.startswith("=")] or ["a"]  # Excel takes those for formulas
    table = pd.DataFrame({"Patient ID": [f"P{i}" for i in range(len(texts))], "Age": 61.5, "Outcome": texts})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_excel(tmp_path / "t.xlsx", index=False)
    expected = dict(zip(table["Patient ID"], texts, strict=True))
    assert read_column(tmp_path / "t.csv", "PatientID", "outcome") == expected
    assert read_column(tmp_path / "t.xlsx", "PatientID", "outcome") == expected


def test_numbers_and_empty_cells_of_excel_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    pd.DataFrame({"ID": ["a", "b", "c"], "whole": [1, 0, 1], "part": [1.0, None, 0.5]}).to_excel(path, index=False)
    assert read_column(path, "ID", "whole") == {"a": "1", "b": "0", "c": "1"}
    assert read_column(path, "ID", "part") == {"a": "1", "b": "", "c": "0.5"}


def test_an_exact_header_goes_before_one_that_begins_alike_and_two_alike_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Patient-ID,HPV status (date),HPV Status,T stage a,T stage b\np,2001,1,x,y\n,,notes below,,\n")
    assert read_column(path, "patient id", "HPV status") == {"p": "1"}
    assert read_column(path, "patient id", "hpv status d") == {"p": "2001"}
    for column in ("T stage", "N stage"):
        with pytest.raises(UserError, match=f"expected one called '{column}'"):
            read_column(path, "patient id", column)


def test_rows_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,x\np,1\np,1\n")
    assert read_column(path, "id", "x") == {"p": "1"}
    path.write_text("id,x\np,1\np,2\n")
    with pytest.raises(UserError, match="id p has more than one x"):
        read_column(path, "id", "x")


def test_a_table_is_found_by_its_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,x\np,1\n")
    (tmp_path / "b.csv").write_text("id,y\np,1\n")
    (tmp_path / "c.csv").write_text("")
    assert find_table(tmp_path, "ID", "Y") == tmp_path / "b.csv"
    for columns, found in ((("id", "z"), "none"), (("id",), "a.csv, b.csv")):
        with pytest.raises(UserError, match=f": {found}, expected one"):
            find_table(tmp_path, *columns)


def test_classes_are_the_texts_as_names_or_those_wanted() -> None:
    path, texts = Path("t.csv"), {"a": "Stage-A", "b": "stage a", "c": "Stage-C", "d": "", "e": "not stated"}
    names, labels = class_values(path, texts, None)
    assert names == ("not_stated", "stage_a", "stage_c")
    assert labels == {"a": "stage_a", "b": "stage_a", "c": "stage_c", "d": "", "e": "not_stated"}
    names, labels = class_values(path, texts, ["Stage-C", "Stage-A"])
    assert names == ("stage_c", "stage_a")
    assert labels["e"] == labels["d"] == ""
    for wanted in (["Stage-A"], ["Stage-A", "stage a"], ["Stage-A", "Stage-B"]):
        with pytest.raises(UserError, match="found classes not_stated, stage_a, stage_c, expected"):
            class_values(path, texts, wanted)


def test_binary_labels() -> None:
    texts = {"0": 0, "1": 1, "1.0": 1, "0.0": 0, "": None, "NaN": None}
    assert {t: binary_label(Path("t"), "p", "x", t) for t in texts} == texts
    with pytest.raises(UserError, match="patient p has x 'yes'"):
        binary_label(Path("t"), "p", "x", "yes")
