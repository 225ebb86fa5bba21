import json
import sys

import numpy as np
import pytest

from reactkd_auto.commands.benchmark.command import main
from reactkd_auto.commands.benchmark.dose_references import Insertion, installed_libraries
from reactkd_auto.commands.benchmark.phantom import trunk


@pytest.mark.parametrize(
    "library",
    [
        "scikit-image",
        pytest.param(
            "ASTRA", marks=pytest.mark.skipif("ASTRA" not in installed_libraries(), reason="ASTRA isn't installed")
        ),
    ],
)
def test_what_is_compared_with_inserts_noise_of_the_dose_law_and_keeps_the_mean(library):
    t = np.arange(128) - 63.5
    water = np.where(np.hypot(t[:, None], t[None]) < 50, 0, -1000).astype(np.float32)
    mu = 0.0192 * 2.0
    doses = (0.4, 0.1)
    images = Insertion(library, water, 2.0, 90, doses, seed=1).prepare()()
    centre = (slice(44, 84), slice(44, 84))
    hu = [(image[centre] / mu - 1) * 1000 for image in images]
    assert hu[1].std() / hu[0].std() == pytest.approx(2, rel=0.1)
    assert hu[0].std() > 3
    assert abs(hu[0].mean()) < 1


@pytest.mark.parametrize("content", ["raise ImportError('libcudart.so.12: no such file')", ""])
def test_a_library_that_cannot_be_loaded_is_left_out(tmp_path, monkeypatch, content):
    (tmp_path / "astra").mkdir()
    (tmp_path / "astra" / "__init__.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "astra", raising=False)
    assert installed_libraries() == ["scikit-image"]
    sys.modules.pop("astra", None)


def test_the_phantom_is_a_body_in_air_that_grows_from_slice_to_slice():
    volume = trunk(3, 64)
    assert volume.dtype == np.int16
    assert (volume[:, 0] == -1000).all()
    areas = (volume > -500).sum((1, 2))
    assert areas[0] < areas[1] < areas[2]


def test_the_command_prints_and_writes_every_row_and_honest_ratios(tmp_path, capsys):
    arguments = ["--size", "64", "--slices", "2", "--rounds", "2", "--views", "24", "--no_memory", "--device", "cpu"]
    assert main(["dose", "-o", str(tmp_path), *arguments, "--quiet"]) == 0
    document = json.loads((tmp_path / "dose.json").read_text())
    rows = {(row["method"], row["doses"]): row for row in document["rows"]}
    fft = [(f"fft, r = {r}", doses) for doses in (1, 4) for r in (8, 12, 16)]
    whole = [("degrade()", 4), ("noise_fields()", 4)]
    libraries = installed_libraries()
    assert list(rows) == [*fft, *whole, ("fbp", 1), *((name, 1) for name in libraries), (libraries[-1], 4)]
    for row in rows.values():
        assert 0 < row["cpu_ms"]["low"] <= row["cpu_ms"]["median"] <= row["cpu_ms"]["high"]
        assert row["cpu_ms"]["n"] == 2
    assert rows["fft, r = 16", 1]["bytes_per_slice"] > rows["fft, r = 8", 1]["bytes_per_slice"] > 64 * 64 * 4 * 8
    assert len(document["ratios"]) == 9
    for ratio in document["ratios"]:
        slow, fast = (
            row["cpu_ms"]["median"] / row["doses"]
            for row in (rows[libraries[-1], ratio["reference_doses"]], rows[ratio["method"], ratio["doses"]])
        )
        assert ratio["times"]["median"] == pytest.approx(slow / fast)
    assert document["machine"]["cores"] >= 1
    assert (tmp_path / "run.json").exists()
    printed = capsys.readouterr().out
    assert all(method in printed for method, _ in rows)
