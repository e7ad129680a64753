"""SIGKILL of drivers, replicas and raylets on a real cluster of several nodes."""

import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.heads import RAY, free_port, of_session
from tests.processes import Process
from tests.storyboards import TWO_CHAINS, write
from ursa_ray.ledger import Run
from ursa_ray.ledger.log import Log

pytestmark = [pytest.mark.ray, pytest.mark.timeout(3600)]

# A node that is gone is found in seconds, not in a minute.
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}
KINDS = ("replica", "raylet", "driver")


class Nodes:
    """A head without CPUs and nodes with one CPU each, every one a group of processes."""

    def __init__(self, temp: Path):
        self.port, self._temp, self._groups = free_port(), temp, []
        self.address = f"127.0.0.1:{self.port}"
        self._start("--head", f"--port={self.port}", f"--temp-dir={temp}", "--include-dashboard=false", "--num-cpus=0")

    def add(self) -> None:
        self._start(f"--address={self.address}", "--num-cpus=1")

    def _start(self, *options: str) -> None:
        command = [RAY, "start", "--block", "--node-ip-address=127.0.0.1", "--object-store-memory=100000000", *options]
        log = self._temp.with_name(f"{self._temp.name}.{len(self._groups)}.log")
        with log.open("w") as said:
            process = subprocess.Popen(list(map(str, command)), stdout=said, stderr=said, start_new_session=True)
        self._groups.append(process)
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)

    def raylets(self) -> list[int]:
        """Of the nodes that are not the head."""
        return [pid for group in self._groups[1:] for pid in of_session(group.pid, "/raylet ")]

    def replicas(self) -> list[int]:
        return [pid for group in self._groups[1:] for pid in of_session(group.pid, "ray::Replica")]

    def stop(self) -> None:
        for group in self._groups:
            for pid in of_session(group.pid):
                os.kill(pid, signal.SIGKILL)
            group.wait()
        for log in self._temp.parent.glob(f"{self._temp.name}.*.log"):
            log.unlink()


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    # Unix sockets have short names: the folder of a test is too deep for them.
    temp = Path("/tmp") / f"{tmp_path.parent.name[-8:]}-{os.getpid()}"
    nodes = Nodes(temp)
    try:
        nodes.add()
        nodes.add()
        yield nodes
    finally:
        nodes.stop()
        shutil.rmtree(temp, ignore_errors=True)


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
