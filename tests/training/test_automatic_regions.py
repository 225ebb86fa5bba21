"""How often a feed shows the nodes of the localiser's maps instead of the drawn ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from reactkd_auto.cases import finished_cases, read_case, read_properties, write_properties
from reactkd_auto.ranks import ALONE
from reactkd_auto.regions import NodeMap
from reactkd_auto.training.automatic_regions import AUTOMATIC_SHARE, read_automatic, write_automatic
from reactkd_auto.training.loader import FeedLoader, case_feed, stream
from reactkd_auto.training.schedule import Schedule

LONG = Schedule(1, 300, 1e-3, 0.0, 0.9)
MARK = 0.25
"""Of automatic edges, which drawn nodes of the tiny cohort never have."""
UNDRAWN, UNSEEN = "case_04", "case_06"


def seen_everywhere(case) -> NodeMap:
    """The first node, all over the case."""
    count = len(case.properties.node_valid)
    layers = np.zeros_like(case.nodes)
    layers[0] = 1
    return NodeMap(
        layers=layers,
        valid=np.arange(count) < 1,
        geometry=np.full((count, 6), 7, np.float32),
        voxels=np.zeros(count, np.int64),
        edges=np.full((count, count), MARK, np.float32),
        merged_lesion_share=0.0,
    )


@pytest.fixture
def feed(make_cohort, tmp_path):
    """Of a cohort in which one case has no drawn nodes, and one no automatic ones."""
    cohort, folder = make_cohort(), tmp_path / "automatic"
    names = finished_cases(cohort.cases)
    for name in names:
        properties = read_properties(cohort.cases, name)
        nodes = seen_everywhere(read_case(cohort.cases, properties))
        if name == UNSEEN:
            nodes = replace(nodes, valid=nodes.valid & False)
        if name == UNDRAWN:
            write_properties(cohort.cases, replace(properties, node_valid=(False,) * len(properties.node_valid)))
        write_automatic(folder, name, nodes, "key")
    cases = [read_properties(cohort.cases, c) for c in names]
    automatic = read_automatic(folder, [*names, "case_of_another_fold"])
    return case_feed(cohort.cases, cases, cohort.plan, cohort.dataset, balanced=False, automatic=automatic)


def batches(feed, *, seed=0):
    return list(stream(feed, LONG, seed=seed, stage=0, first=0, device=torch.device("cpu")))


def marks(arrays) -> list[tuple[str, bool]]:
    """Each sample's case, and whether its nodes are the automatic ones; all fields must agree."""
    found = []
    for i, name in enumerate(arrays["names"]):
        automatic = bool((arrays["edges"][i] == MARK).all())
        assert bool((arrays["nodes"][i, 0] == 1).all()) == automatic
        assert bool((arrays["node_geometry"][i] == 7).all()) == automatic
        assert (arrays["node_valid"][i].tolist() == [True] + [False] * (arrays["node_valid"].shape[1] - 1)) == automatic
        found.append((name, automatic))
    return found


def test_half_of_the_times_a_case_shows_its_automatic_nodes_and_without_drawn_ones_always(feed):
    shown: dict[str, list[bool]] = {}
    for batch in batches(feed):
        for name, automatic in marks(batch):
            shown.setdefault(name, []).append(automatic)
    assert all(shown.pop(UNDRAWN))
    assert not any(shown.pop(UNSEEN))
    assert len(shown) == 8
    for seen in shown.values():
        assert len(seen) >= 50
        assert np.mean(seen) == pytest.approx(AUTOMATIC_SHARE, abs=0.2)
    every = [automatic for seen in shown.values() for automatic in seen]
    assert np.mean(every) == pytest.approx(AUTOMATIC_SHARE, abs=0.06)


def test_samples_of_one_batch_are_drawn_apart_and_seeds_differ(feed):
    first, second = ([marks(b) for b in batches(feed, seed=seed)] for seed in (0, 1))
    pairs = [tuple(automatic for _, automatic in batch) for batch in first]
    assert set(pairs) == {(True, True), (True, False), (False, True), (False, False)}
    assert [[a for _, a in batch] for batch in first] != [[a for _, a in batch] for batch in second]


def test_two_processes_or_three_workers_or_a_resumed_run_see_the_same(feed):
    whole = [marks(b) for b in batches(feed)]
    ranks = [
        FeedLoader(feed, LONG, seed=0, stage=0, first=0, workers=1, ranks=replace(ALONE, rank=rank, count=2))
        for rank in range(2)
    ]
    shared = [marks(a) + marks(b) for a, b in zip(*ranks, strict=True)]
    assert shared == whole
    workers = [FeedLoader(feed, LONG, seed=0, stage=0, first=7, workers=3) for _ in range(3)]
    for w, loader in enumerate(workers):
        loader.set_thread_id(w)
    made = [list(loader) for loader in workers]
    assert [marks(made[i % 3][i // 3]) for i in range(LONG.total - 7)] == whole[7:]


def test_files_removed_meanwhile_change_nothing(feed, tmp_path):
    before = [marks(b) for b in batches(feed)]
    for path in (tmp_path / "automatic").iterdir():
        path.unlink()
    assert [marks(b) for b in batches(feed)] == before
