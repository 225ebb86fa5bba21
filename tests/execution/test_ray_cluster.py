"""Two nodes on loopback; one of them dies."""

import os
import sys
import time

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.execution import CaseFailure, Execution, map_cases

RAY = Execution(engine="ray")


def node_of(item):
    """Takes a while, leaves a trace of its beginning, and tells where it ran."""
    import ray

    case, folder = item
    (folder / f"{case}_{os.getpid()}").touch()
    time.sleep(1)
    return case, ray.get_runtime_context().get_node_id()


def test_without_ray_the_command_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'reactkd_auto\[ray\]'"):
        list(map_cases(len, ["a"], execution=RAY))


@pytest.fixture
def cluster():
    """A head and a second node of one core each."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    room = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
    made = Cluster(initialize_head=True, head_node_args={**room, "_system_config": quick})
    made.second = made.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.slow
def test_a_node_that_dies_in_mid_run_loses_no_case(cluster, tmp_path):
    cases, nodes, second = 12, {}, cluster.second.node_id
    arrived_before = None
    for (case, _), result in map_cases(node_of, [(i, tmp_path) for i in range(cases)], execution=RAY):
        assert not isinstance(result, CaseFailure), result.traceback
        assert result[0] == case
        assert case not in nodes
        nodes[case] = result[1]
        if arrived_before is None and second in nodes.values():
            time.sleep(0.5)  # in the middle of its next case
            cluster.remove_node(cluster.second, allow_graceful=False)
            arrived_before = len(nodes)
    assert sorted(nodes) == list(range(cases))
    assert arrived_before is not None
    assert arrived_before < cases - 2
    assert len(set(nodes.values())) == 2
    assert len(list(tmp_path.iterdir())) > cases  # what the dead node had in hand was begun anew
