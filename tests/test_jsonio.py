import dataclasses
import errno
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import atomic_path, content_hash, from_plain, read_document, read_json, to_plain, write_json


@dataclasses.dataclass(frozen=True)
class Inner:
    size: tuple[int, int]
    note: str | None = None


@dataclasses.dataclass(frozen=True)
class Document:
    name: str
    weight: float
    inner: Inner
    table: dict[str, Inner]
    many: tuple[float, ...] = ()


EXAMPLE = Document("a", 0.5, Inner((1, 2)), {"x": Inner((3, 4), "ü")}, (1.0, 2.5))
PLAIN = to_plain(EXAMPLE)


def test_document_survives_a_round_trip(tmp_path):
    write_json(tmp_path / "d.json", EXAMPLE)
    assert read_document(Document, tmp_path / "d.json") == EXAMPLE


@given(
    st.text(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.tuples(st.integers(), st.integers()),
    st.none() | st.text(),
)
def test_any_valid_document_survives_a_round_trip(name, weight, size, note):
    document = Document(name, weight, Inner(size, note), {})
    assert from_plain(Document, json.loads(json.dumps(to_plain(document))), where="x") == document


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"surplus": 1}, "unknown key 'surplus'"),
        ({"weight": "heavy"}, "weight: found 'heavy', expected float"),
        ({"weight": True}, "weight: found True"),
        ({"inner": {"size": [1]}}, "inner: size: found 1 values, expected 2"),
        ({"inner": 7}, "expected an object for Inner"),
        ({"table": {"x": {}}}, "table: x: key 'size' is missing"),
    ],
)
def test_error_names_file_key_and_expectation(tmp_path, change, expected):
    write_json(tmp_path / "d.json", {**PLAIN, **change})
    with pytest.raises(UserError, match="d.json") as error:
        read_document(Document, tmp_path / "d.json")
    assert expected in str(error.value)


def test_missing_key_is_named(tmp_path):
    write_json(tmp_path / "d.json", {k: v for k, v in PLAIN.items() if k != "name"})
    with pytest.raises(UserError, match="key 'name' is missing"):
        read_document(Document, tmp_path / "d.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_broken_json_is_one_sentence(tmp_path, content):
    (tmp_path / "d.json").write_bytes(content)
    with pytest.raises(UserError, match=r"d\.json: not valid JSON"):
        read_json(tmp_path / "d.json")


def test_a_folder_is_no_json_and_a_file_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"not readable \(Is a directory\), expected a JSON document"):
        read_json(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: not a folder that can be made \(File exists\), expected one"):
        write_json(tmp_path / "file" / "d.json", {})


def test_where_nothing_can_be_removed_the_reason_for_not_writing_is_told(tmp_path, monkeypatch):
    """As on a file system that is only read, where even removing what is not there fails."""

    def read_only(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "replace", read_only)
    monkeypatch.setattr(os, "unlink", read_only)
    with pytest.raises(UserError, match=r"d\.json: could not be written \(Read-only file system\)"):
        write_json(tmp_path / "d.json", {})


def test_numpy_values_and_nan_become_plain_json(tmp_path):
    write_json(tmp_path / "n.json", {"a": np.float32(1.5), "b": np.arange(3), "c": float("nan"), "d": np.int64(4)})
    assert read_json(tmp_path / "n.json") == {"a": 1.5, "b": [0, 1, 2], "c": None, "d": 4}


def test_failed_write_leaves_the_old_file_and_no_remains(tmp_path):
    target = tmp_path / "f.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["f.txt"]


def test_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path):
    target = tmp_path / "f.txt"
    target.write_text("old")
    with pytest.raises(UserError, match=r"f\.txt: could not be written \(No space left on device\)"):
        with atomic_path(target) as temporary:
            temporary.symlink_to("/dev/full")
            with temporary.open("w") as file:
                file.write("x" * 100_000)
    assert target.read_text() == "old"


def test_hash_ignores_key_order_and_sees_values():
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1}) != content_hash({"a": 1, "b": 3})
