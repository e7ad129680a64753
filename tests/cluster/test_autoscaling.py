"""Nodes come with the work and go with it: Ray's own autoscaler, with nodes that are processes of this machine."""

import subprocess
import sys
import time

import pytest

from tests.storyboards import TWO_SHORT_ONE_LONG, write

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

# The long chain, of 8 segments, outlasts the others by far more than the 6 s after which a node goes.
BOARD = TWO_SHORT_ONE_LONG.replace("STEPS", "100").replace("frames: 48", "frames: 96")
ONE_CPU = {"resources": {"CPU": 1}, "min_workers": 0, "max_workers": 3, "node_config": {}}


@pytest.fixture
def nodes(start_nodes):
    return start_nodes(worker_types={"one-cpu": ONE_CPU})


@pytest.fixture
def num_nodes(nodes, tmp_path):
    """The numbers of nodes that the cluster has had so far, besides its head."""
    file = tmp_path / "timeline"
    command = [sys.executable, "-m", "tests.cluster.timeline", nodes.address, tmp_path / "run-log" / "stderr.log"]
    with file.open("w") as written, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=written) as process:
        yield lambda: [int(line.split()[2]) for line in file.read_text().splitlines() if " nodes " in line]
        assert process.stdin is not None
        process.stdin.close()
    print(file.read_text())  # noqa: T201


def test_nodes_come_with_the_work_go_as_chains_end_and_the_film_is_the_same(nodes, num_nodes, render, tmp_path):
    board = write(tmp_path, BOARD)
    alone = render(board, name="alone")
    driver = render(board, "--address", nodes.address, "--device", "cpu", "--replicas", "3")
    driver.wait_until(lambda: 3 in num_nodes() and num_nodes()[-1] == 1)
    assert "long[7] committed" not in driver.log.read_text(), "nodes went only with the render"
    assert "failed" not in driver.end()
    alone.end()
    assert (tmp_path / "run" / "film.mp4").read_bytes() == (tmp_path / "alone" / "film.mp4").read_bytes()
    until = time.monotonic() + 60
    while num_nodes()[-1] and time.monotonic() < until:
        time.sleep(0.2)
    assert rises_then_falls(num_nodes()), num_nodes()


def rises_then_falls(numbers):
    """From 0 to 3 and back."""
    top = numbers.index(3)
    up, down = numbers[: top + 1], numbers[top:]
    return numbers[0] == numbers[-1] == 0 and up == sorted(up) and down == sorted(down, reverse=True)
