"""Clusters of several nodes and renders, ended with the test whatever becomes of it."""

import pytest

from tests.cluster.nodes import SETTINGS, Nodes, short_path
from tests.processes import Process


@pytest.fixture
def start_nodes(tmp_path, monkeypatch):
    """Start a cluster with the arguments of `Nodes` and settings of Ray."""
    started = []

    def start(settings=SETTINGS, **arguments):
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        started.append(Nodes(short_path(tmp_path), **arguments))
        started[-1].start()
        return started[-1]

    yield start
    for nodes in started:
        nodes.stop()


@pytest.fixture
def render(tmp_path):
    """Start to render a storyboard to `name` in the test's folder; with another module, by that."""
    processes = []

    def start(board, *options, name="run", module="ursa_ray"):
        folder = tmp_path / f"{name}-log"
        folder.mkdir()
        command = ["render", board, "--run"] if module == "ursa_ray" else [board]
        processes.append(Process(folder, *command, tmp_path / name, *options, module=module))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
