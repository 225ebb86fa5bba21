"""The section ``sessions`` of ``dataset.json``: every valid one comes back, every other is refused by name."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactkd_auto.dataset import Channel, Dataset, Session, read_dataset, write_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import from_plain, to_plain

CHANNELS = tuple(f"tracer_{i}" for i in range(5))
DATASET = Dataset("Two", (Channel("CT", "ct"), *(Channel(c, "pet_suv") for c in CHANNELS)), ("low", "high"))
NAMES = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=8)


@st.composite
def sessions(draw) -> tuple[Session, ...]:
    """Some of the channels, dealt out to sessions of different names."""
    names = draw(st.lists(NAMES, unique=True, max_size=3))
    dealt = draw(st.lists(st.sampled_from([*names, None]), min_size=len(CHANNELS), max_size=len(CHANNELS)))
    owned = {n: tuple(c for c, owner in zip(CHANNELS, dealt, strict=True) if owner == n) for n in names}
    kinds = st.sampled_from(("rigid", "rigid_bspline"))
    return tuple(Session(n, owned[n], draw(kinds)) for n in names if owned[n])


@settings(max_examples=50)
@given(sessions())
def test_every_valid_section_comes_back_and_channels_know_their_session(section):
    dataset = replace(DATASET, sessions=section)
    assert from_plain(Dataset, json.loads(json.dumps(to_plain(dataset))), where="dataset.json") == dataset
    for index, channel in enumerate(dataset.channels):
        owner = dataset.session_of(index)
        assert [s for s in section if channel.name in s.channels] == ([owner] if owner else [])


def test_a_dataset_without_sessions_needs_no_section(tmp_path):
    write_dataset(tmp_path, DATASET)
    document = json.loads((tmp_path / "dataset.json").read_text())
    del document["sessions"]
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    assert read_dataset(tmp_path) == DATASET


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ([{"name": "a", "channels": ["nothing"]}], "session 'a' has the channel 'nothing', expected some of tracer_0"),
        ([{"name": "a", "channels": ["CT"]}], "the base image has its own CT"),
        ([{"name": "a", "channels": []}], "session 'a' has no channels"),
        ([{"name": "../a", "channels": ["tracer_0"]}], "session name '../a' may hold only"),
        ([{"name": "a", "channels": ["tracer_0"], "transform": "affine"}], "'rigid', 'rigid_bspline'"),
        ([{"name": "a", "channels": ["tracer_0"], "ct": "CT2"}], "unknown key 'ct'"),
        ([{"name": "a", "channels": ["tracer_0"]}, {"name": "a", "channels": ["tracer_1"]}], "session names"),
        ([{"name": "a", "channels": ["tracer_0"]}, {"name": "b", "channels": ["tracer_0"]}], "channels of sessions"),
    ],
)
def test_what_is_wrong_with_a_section_is_named(tmp_path, section, message):
    write_dataset(tmp_path, DATASET)
    document = json.loads((tmp_path / "dataset.json").read_text()) | {"sessions": section}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=re.escape(message)):
        read_dataset(tmp_path)


def test_shapes_without_hu_cannot_be_registered():
    shape = replace(DATASET, channels=(Channel("shape", "binary_mask"), *DATASET.channels[1:]))
    with pytest.raises(ValueError, match="registered by their CTs"):
        replace(shape, sessions=(Session("a", ("tracer_0",)),))
