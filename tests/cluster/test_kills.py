"""SIGKILL of drivers, replicas and raylets on a real cluster of several nodes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.cluster.nodes import SETTINGS
from tests.processes import Process
from tests.storyboards import TWO_CHAINS, write
from ursa_ray.ledger import Run
from ursa_ray.ledger.log import Log

pytestmark = [pytest.mark.ray, pytest.mark.timeout(3600)]

# A node that is gone is found in seconds, not in a minute.
FAST_SETTINGS = SETTINGS | {
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}
KINDS = ("replica", "raylet", "driver")


@pytest.fixture
def nodes(start_nodes):
    nodes = start_nodes(FAST_SETTINGS)
    nodes.add()
    nodes.add()
    return nodes


def start_render(folder, *options):
    return Process(folder, "render", write(folder, TWO_CHAINS), "--run", folder / "run", "--json", *options)


def num_at_work(driver):
    said = driver.log.read_text()
    return said.count(" begins") + said.count("joining")


def strike(kind, nodes, driver, rng):
    """Kill one of a kind once something is being made; whether there was one."""
    time.sleep(rng.uniform(0, 1))
    victims = {"driver": lambda: [driver.pid], "replica": nodes.replicas, "raylet": nodes.raylets}[kind]()
    if driver.poll() is not None or not victims:
        return False
    os.kill(rng.choice(victims), signal.SIGKILL)
    if kind == "raylet":
        nodes.add()
    return True


@pytest.mark.parametrize("num_kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_whatever_is_killed_the_film_is_the_same_and_nothing_is_committed_twice(nodes, tmp_path, num_kills):
    alone = start_render(tmp_path / "alone")
    alone.end(600)
    expected = (tmp_path / "alone" / "run" / "film.mp4").read_bytes()
    rng, struck, film = random.Random(5), Counter(), 0
    while struck.total() < num_kills:
        assert film < 4 * num_kills, f"nothing is found to be killed: {struck}"
        folder = tmp_path / str(film)
        driver = start_render(folder, "--address", nodes.address, "--replicas", "2")
        num_before = num_at_work(driver)
        driver.wait_until(lambda driver=driver, num=num_before: num_at_work(driver) > num, 300)
        kind = KINDS[struck.total() % len(KINDS)]
        struck[kind] += strike(kind, nodes, driver, rng)
        driver.communicate(timeout=600)
        assert driver.returncode == (-signal.SIGKILL if kind == "driver" and driver.returncode else 0), (
            driver.log.read_text()
        )
        if driver.returncode == 0:
            require_whole(folder, expected)
            film += 1
    assert set(struck) == set(KINDS)


def require_whole(folder, expected):
    assert (folder / "run" / "film.mp4").read_bytes() == expected
    entries = Counter((entry.kind, entry.key) for entry in Log(Run.open(folder / "run").store).read_new().commits)
    assert [num for (kind, _), num in entries.items() if kind == "segment"] == [1] * 6
    committed = set()
    for line in (folder / "stderr.log").read_text().splitlines():
        _, _, said = line.partition(" ")  # after its time
        name, _, what = said.partition(" ")
        assert what != "begins" or name not in committed, line
        committed |= {name} if what.startswith("committed after") else set()


def test_a_lost_node_costs_no_attempt_and_a_crash_does(nodes, tmp_path):
    nodes.add()
    command = [sys.executable, "-m", "tests.cluster.losses", nodes.address, tmp_path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reported = json.loads(done.stdout.splitlines()[-1])
    assert reported == {"replica": "ReplicaError", "raylet": "LostError", "nodes": 1, "on blocked": 0}
