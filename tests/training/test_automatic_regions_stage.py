"""What a fold's localiser sees in its training cases, as nodes on their grids."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from reactkd_auto.cases import read_case, read_properties, write_case
from reactkd_auto.fingerprint import CaseFingerprint, Fingerprint, write_fingerprint
from reactkd_auto.networks import build_localiser, save_weights
from reactkd_auto.plan import LocaliserPlan
from reactkd_auto.preprocessing import preprocess_case
from reactkd_auto.regions.plausible import LesionLimits
from reactkd_auto.regions.slots import node_slots
from reactkd_auto.training.assignment import student_assignment, teachers_assignment
from reactkd_auto.training.automatic_regions import AUTOMATIC_SHARE, FOLDER
from reactkd_auto.training.automatic_regions_stage import (
    automatic_nodes,
    automatic_regions,
    draw_automatic_regions,
)
from reactkd_auto.training.folders import forget
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.stop import StopRequest
from reactkd_auto.workspace import open_workspace
from tests.preprocessing.samples import dataset, plan, raw_case

from .interrupting import Killed, kill_at

DRAW = "reactkd_auto.training.automatic_regions_stage.automatic_nodes"
ANYTHING = LesionLimits(0.0)
ORGAN, LESION = (dataset().region_values(role)[0] for role in ("organ", "lesion"))
TURNED = tuple(
    np.array(
        [
            [math.cos(0.4), -math.sin(0.4) * math.cos(0.3), math.sin(0.4) * math.sin(0.3)],
            [math.sin(0.4), math.cos(0.4) * math.cos(0.3), -math.cos(0.4) * math.sin(0.3)],
            [0.0, math.sin(0.3), math.cos(0.3)],
        ]
    )
    .ravel()
    .tolist()
)


class Oracle(torch.nn.Module):
    """Stands for a localiser that sees what was drawn: the class of each voxel of the coarse image."""

    def __init__(self, classes: np.ndarray) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert image.shape[2:] == self.classes.shape
        return 20 * torch.from_numpy(np.stack([self.classes == i for i in range(3)])[None].astype(np.float32))


def preprocessed(folder, coarse_mm: float, **raw: object):
    """A case in a folder, and its plan."""
    wanted = plan(
        patch_size=(32, 32, 32), spacing_mm=(1.5, 1.5, 1.5), localiser=LocaliserPlan(True, (coarse_mm,) * 3, (16,) * 3)
    )
    drawn = raw_case(**{"shape": (24, 48, 44), "box": ((5, 19), (10, 34), (9, 31)), **raw})
    case = preprocess_case(drawn, plan=wanted, dataset=dataset(), patient="p", label=1)
    write_case(folder, case)
    return case, wanted


def seen_by(localiser, case, wanted, folder):
    return automatic_nodes(
        localiser,
        case.properties,
        folder=folder,
        plan=wanted,
        dataset=dataset(),
        limits=ANYTHING,
        device=torch.device("cpu"),
    )


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"direction": TURNED, "origin": (-300.0, 12.5, 77.0)},
        {"direction": TURNED, "spacing": (4.0, 1.6, 2.2), "shape": (20, 40, 34), "box": ((5, 15), (7, 32), (9, 29))},
    ],
)
def test_a_localiser_that_sees_what_was_drawn_gives_the_drawn_nodes_in_their_place(tmp_path, geometry):
    case, wanted = preprocessed(tmp_path, 2.0, **geometry)
    found = seen_by(Oracle(case.coarse[1]), case, wanted, tmp_path)
    assert found.valid.tolist() == list(case.properties.node_valid)
    for slot in node_slots(wanted.graph, dataset()):
        if found.valid[slot.index]:
            drawn, seen = (layers[slot.layer] == slot.index + 1 for layers in (case.nodes, found.layers))
            assert dice(drawn, seen) > (0.85 if slot.kind in ("organ", "parcel") else 0.7), slot.name
            places = [np.argwhere(m).mean(axis=0) for m in (drawn, seen)]
            assert places[0] == pytest.approx(places[1], abs=0.75), slot.name
    drawn = np.array(case.properties.node_geometry)
    assert found.geometry[found.valid] == pytest.approx(drawn[found.valid], abs=0.6)
    assert found.edges == pytest.approx(np.array(case.properties.edges), abs=0.1)


def test_what_is_seen_beyond_the_image_or_nowhere_is_no_node(tmp_path):
    case, wanted = preprocessed(tmp_path, 7.0, shape=(10, 20, 20), box=((2, 8), (4, 16), (4, 16)))
    everywhere = seen_by(Oracle(np.full(case.coarse[1].shape, LESION)), case, wanted, tmp_path)
    measured = (case.valid & 1) > 0
    assert np.array_equal(everywhere.layers[0] > 0, measured)
    assert not measured.all()
    nowhere = seen_by(Oracle(np.zeros_like(case.coarse[1])), case, wanted, tmp_path)
    assert not nowhere.valid.any()
    assert nowhere.layers.shape == case.nodes.shape


def test_lesions_of_implausible_sizes_are_no_nodes(tmp_path):
    case, wanted = preprocessed(tmp_path, 2.0)
    lesion = next(s.index for s in node_slots(wanted.graph, dataset()) if s.kind == "lesion")
    arguments = {"folder": tmp_path, "plan": wanted, "dataset": dataset(), "device": torch.device("cpu")}
    oracle = Oracle(case.coarse[1])
    assert automatic_nodes(oracle, case.properties, limits=LesionLimits(1.0), **arguments).valid[lesion]
    assert not automatic_nodes(oracle, case.properties, limits=LesionLimits(1e6), **arguments).valid.any()


def test_what_prediction_would_not_classify_has_no_nodes(tmp_path):
    case, wanted = preprocessed(tmp_path, 2.0)
    assert ORGAN in case.coarse[1]
    organ_alone = np.where(case.coarse[1] == LESION, ORGAN, case.coarse[1])
    assert not seen_by(Oracle(organ_alone), case, wanted, tmp_path).valid.any()


def opened(cohort):
    return open_run(
        open_workspace(cohort.workspace),
        preset=read_preset("baseline"),
        device="cpu",
        epochs=1,
        iterations=1,
        quiet=True,
    )


def draw(run, *, lesion: float = 5.0) -> list[str]:
    """Let a localiser that sees the same everywhere draw, and tell which cases it was asked for."""
    localiser = build_localiser(run.plan, run.dataset)
    last = localiser.network.conv_final[-1].conv
    torch.nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([0.0, 0.0, lesion])
    save_weights(run.localiser_folder(0) / "localiser.safetensors", localiser)
    return draw_again(run)


def draw_again(run) -> list[str]:
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch, StopRequest() as stop:

        def remember(localiser, case, **options):
            asked.append(case.case)
            return automatic_nodes(localiser, case, **options)

        patch.setattr(DRAW, remember)
        draw_automatic_regions(run, 0, stop)
    return asked


TRAINING = ["case_01", "case_03", "case_05", "case_07", "case_08", "case_09"]


def test_maps_of_all_training_cases_are_drawn_once_and_told(make_cohort, caplog):
    cohort = make_cohort(localiser=True)
    run = opened(cohort)
    (run.case_folder / "case_03_coarse.b2nd").unlink()
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        assert draw(run) == [c for c in TRAINING if c != "case_03"]
    assert "drew region maps of 5 training cases for the student; nothing plausible in 0." in caplog.text
    assert sorted(automatic_regions(run, 0)) == [c for c in TRAINING if c != "case_03"]
    assert draw_again(run) == []


def test_cases_in_which_nothing_is_plausible_have_no_map_and_are_counted(make_cohort, caplog):
    run = opened(make_cohort(localiser=True))
    draw(run)
    with caplog.at_level(logging.INFO, logger="reactkd_auto"):
        assert draw(run, lesion=-5.0) == TRAINING
    assert "nothing plausible in 6." in caplog.text
    assert automatic_regions(run, 0) == {}
    assert not list(run.localiser_folder(0).glob(f"{FOLDER}/*.b2nd"))
    assert draw_again(run) == []


def test_after_kill_9_finished_maps_stay_and_half_written_ones_are_drawn_again(make_cohort, tmp_path):
    run = opened(make_cohort(localiser=True))
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "reactkd_auto.training.automatic_regions.write_json", 3)
        with pytest.raises(Killed):
            draw(run)
    folder = run.localiser_folder(0) / FOLDER
    assert sorted(p.name for p in folder.glob("*.b2nd")) == [f"{c}.b2nd" for c in TRAINING[:3]]
    assert sorted(automatic_regions(run, 0)) == TRAINING[:2]
    (folder / f"{TRAINING[1]}.json").write_text('{"key": ')
    assert draw_again(run) == TRAINING[1:]
    whole = opened(make_cohort(localiser=True, workspace=tmp_path / "whole"))
    draw(whole)
    assert automatic_regions(run, 0) == automatic_regions(whole, 0)


def test_another_localiser_or_another_case_draws_anew(make_cohort):
    run = opened(make_cohort(localiser=True))
    draw(run)
    assert draw(run, lesion=6.0) == TRAINING
    path = run.case_folder / "case_05.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"made_of": {"files": "others"}}))
    run = replace(run, cases=run.cases | {"case_05": read_properties(run.case_folder, "case_05")})
    assert draw_again(run) == ["case_05"]


def test_a_restart_forgets_them(make_cohort):
    run = opened(make_cohort(localiser=True))
    draw(run)
    forget(run, 0)
    assert not list(run.localiser_folder(0).glob(f"{FOLDER}/*"))
    assert automatic_regions(run, 0) == {}


def test_without_a_localiser_there_are_none_and_nothing_is_asked_for(make_cohort):
    run = opened(make_cohort())
    (run.preprocessed / "fingerprint.json").unlink()
    assert draw_again(run) == []
    assert draw(run) == []  # weights of an earlier plan
    assert automatic_regions(run, 0) == {}


def test_lesions_are_limited_by_those_of_the_cohort(make_cohort, tmp_path):
    one = CaseFingerprint(
        "case_01", "p", 0, "", (9, 9, 9), (1.0, 1.0, 1.0), (True,), (1.0,), {}, None, (400.0,), (), None, ()
    )
    for known, found in (((), len(TRAINING)), ((one,), 0)):
        run = opened(make_cohort(localiser=True, workspace=tmp_path / str(found)))
        write_fingerprint(run.preprocessed, Fingerprint("Tiny", known))
        draw(run)
        assert len(automatic_regions(run, 0)) == found


def test_the_student_is_fed_with_them_and_the_teachers_are_not(make_cohort):
    run = opened(make_cohort(localiser=True))
    draw(run)
    case = run.cases["case_01"]
    drawn = read_case(run.case_folder, case).nodes
    times = 200
    for assignment, share in ((student_assignment, AUTOMATIC_SHARE), (teachers_assignment, 0.0)):
        feed = assignment(run, (0,)).feed
        shown = [feed.load([case], Moment(0, 0, 0, i))["nodes"][0].numpy() for i in range(times)]
        other = [not np.array_equal(nodes, drawn) for nodes in shown]
        assert np.mean(other) == pytest.approx(share, abs=0.12)
