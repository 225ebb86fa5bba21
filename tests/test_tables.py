"""Tables as people's programs save them: rows, or one sentence."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactkd_auto.errors import UserError
from reactkd_auto.tables import csv_text, read_csv

COLUMNS = ("case", "label")
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r")).map(str.strip)


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_what_is_written_is_read(rows, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(csv_text(COLUMNS, rows).encode())
    assert read_csv(path, COLUMNS) == [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def test_a_mark_at_the_beginning_spaces_short_rows_and_columns_without_a_name_are_normal(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfcase , label,,note\r\n a, "b" ,x\r\n\r\nc,,,M\xc3\xbcller,,\r\n')
    assert read_csv(path, COLUMNS) == [
        {"case": "a", "label": "b", "note": ""},
        {"case": "c", "label": "", "note": "Müller"},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty, expected a CSV with columns case, label."),
        (b"case,label\n", "no rows, expected one row a case."),
        (
            b"case,grade\na,b\n",
            "column 'label' is missing (found case, grade), expected a CSV with columns case, label.",
        ),
        (b"name,grade\na,b\n", "columns 'case', 'label' are missing (found name, grade), expected a CSV with"),
        (b"case,label\na,b,c\n", "line 2 has 3 cells, expected 2 as in the header"),
        (
            "case,label\na,b\nMüller,b\n".encode("latin-1"),
            "line 3 is not readable as UTF-8, expected a CSV with columns",
        ),
        ("case,label\na,b\n".encode("utf-16"), "line 1 is not readable as UTF-8, expected a CSV with columns"),
        (b"case;label\na;b,5\n", "a table separated by semicolons, expected a CSV with columns case, label, separated"),
        (b"case\tlabel\na\tb\n", "a table separated by tabs, expected a CSV with columns case, label, separated"),
        (b"case,label\na," + b"b" * 200_000, "not readable as a CSV (field larger than field limit"),
    ],
)
def test_a_fault_is_one_sentence_that_names_the_file(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(f"{path}: {message}")):
        read_csv(path, COLUMNS)


def test_how_to_save_a_table_is_told(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"case,label\nM\xfcller,b\n")
    with pytest.raises(UserError, match="save it as 'CSV UTF-8'"):
        read_csv(path, COLUMNS)


def test_no_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv: file not found, expected a CSV\."):
        read_csv(tmp_path / "none.csv", ())
    with pytest.raises(UserError, match=r"not readable \(Is a directory\), expected a CSV with columns case, label\."):
        read_csv(tmp_path, COLUMNS)


@given(content=st.binary() | st.text("case,label\n\r;\t\"'\0 ü").map(str.encode))
def test_no_bytes_end_in_anything_but_rows_or_one_sentence(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes(content)
    for columns in ((), COLUMNS):
        try:
            rows = read_csv(path, columns)
        except UserError:
            continue
        assert rows
        assert all(set(columns) <= set(row) for row in rows)
