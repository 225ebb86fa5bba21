"""Zips: deterministic to write, distrusted to read."""

import io
import stat
import zipfile

import pytest

from reactkd_auto.archive import Limits, pack, unpack
from reactkd_auto.errors import UserError


def write_zip(path, entries, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


def special(name, kind):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    return entry


def encrypted(path):
    """A zip whose only entry says that it is encrypted."""
    buffer = io.BytesIO()
    write_zip(buffer, [("a", "b")])
    data = bytearray(buffer.getvalue())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + offset] |= 1
    path.write_bytes(data)


def test_the_same_contents_give_the_same_bytes_whatever_order_or_time(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"weights")
    pack(tmp_path / "one.zip", {"x/a.bin": tmp_path / "a.bin", "b.txt": b"text"})
    (tmp_path / "a.bin").touch()
    pack(tmp_path / "two.zip", {"b.txt": b"text", "x/a.bin": tmp_path / "a.bin"})
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    unpack(tmp_path / "one.zip", tmp_path / "out")
    assert (tmp_path / "out" / "x" / "a.bin").read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:/evil", "a\\..\\evil"])
def test_a_name_that_leaves_the_folder_is_refused_and_nothing_is_written(tmp_path, name):
    path = write_zip(tmp_path / "x.zip", [("good", "1"), (name, "2")])
    with pytest.raises(UserError, match="would leave its folder"):
        unpack(path, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "x.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(tmp_path, kind):
    with pytest.raises(UserError, match="link or device"):
        unpack(write_zip(tmp_path / "x.zip", [(special("link", kind), "/etc/passwd")]), tmp_path / "out")


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(size=100), "expected at most 0.0 MiB"),
        (Limits(files=1), "2 files, expected at most 1"),
        (Limits(allowed_anyway=1000), "at most 100 times as much"),
    ],
)
def test_a_bomb_is_one_sentence(tmp_path, limits, sentence):
    path = write_zip(tmp_path / "x.zip", [("a", bytes(1_000_000)), ("b", b"")])
    with pytest.raises(UserError, match=sentence):
        unpack(path, tmp_path / "out", limits)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_entry_that_lies_about_its_size_stops_at_what_it_declared(tmp_path):
    path = write_zip(tmp_path / "x.zip", [("a", bytes(1_000_000))])
    data = path.read_bytes().replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(UserError, match="not a whole zip file"):
        unpack(path, tmp_path / "out")
    assert (tmp_path / "out" / "a").stat().st_size <= 10


@pytest.mark.parametrize("damage", ["not a zip", "cut off", "changed", "encrypted", "twice"])
def test_damage_is_one_sentence(tmp_path, damage):
    path = tmp_path / "x.zip"
    write_zip(path, [("a", "x" * 1000)], zipfile.ZIP_STORED)
    if damage == "not a zip":
        path.write_text("hello")
    elif damage == "cut off":
        path.write_bytes(path.read_bytes()[:-30])
    elif damage == "changed":
        path.write_bytes(path.read_bytes().replace(b"xxx", b"xyx", 1))
    elif damage == "encrypted":
        encrypted(path)
    else:
        write_zip(path, [("a", "1"), ("A", "2")])
    with pytest.raises(UserError, match=r"not a whole zip file|is encrypted|stands in it twice") as error:
        unpack(path, tmp_path / "out")
    assert "\n" not in str(error.value)
