"""Renders on real Ray clusters, through the command line: each in a process of its own, as users have it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import kill
from tests.storyboards import TWO_CHAINS, write
from ursa_ray.ledger import Run
from ursa_ray.media import probe

pytestmark = pytest.mark.ray

# A cluster takes 5 s to start, a replica 3 s, and both compete with other tests.
LIMIT_S = 100


def start_render(folder, *options):
    board = write(folder, TWO_CHAINS)
    command = [sys.executable, "-m", "ursa_ray", "render", board, "--run", folder / "run", "--json", *options]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    return finish_with_log(process)[0]


def finish_with_log(process):
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1]), err


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The film of one replica without a cluster."""
    return finish(start_render(tmp_path_factory.mktemp("alone")))


def replicas_below(process):
    """Processes of the replicas that a render has started."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=2) for line in found.stdout.splitlines()]
    children = {pid: parent for pid, parent, _ in rows}

    def is_below(pid):
        while pid in children and pid != str(process.pid):
            pid = children[pid]
        return pid == str(process.pid)

    return [int(pid) for pid, _, name in rows if "Replica" in name and is_below(pid)]


def test_two_replicas_give_the_same_bytes_as_one(alone, tmp_path):
    rendered = finish(start_render(tmp_path, "--replicas", "2"))
    assert rendered["generated_segments"] == 6
    assert Path(rendered["film"]).read_bytes() == Path(alone["film"]).read_bytes()
    assert probe(Path(rendered["film"])).num_frames == 63


def test_replicas_that_are_killed_are_replaced_and_cost_nothing_that_is_committed(alone, tmp_path):
    process = start_render(tmp_path, "--replicas", "2")
    deadline = time.monotonic() + LIMIT_S
    log = tmp_path / "run" / "log"
    # One entry is the epoch, one the plan; from three on a segment is committed.
    while not (log.exists() and len(list(log.glob("*.parquet"))) >= 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    victims = replicas_below(process)
    assert victims
    kill(victims)
    rendered, log_lines = finish_with_log(process)
    assert "failed, trying again: its replica failed" in log_lines
    assert rendered["sha256"] == alone["sha256"]
    run = Run.open(tmp_path / "run")
    # An epoch, a plan, six segments, a film: nothing was committed twice.
    assert len(list((tmp_path / "run" / "log").glob("*.parquet"))) == 2 + len(run.segments) + 1 == 9


def test_a_run_whose_disk_refuses_frames_ends_with_where_and_why_and_keeps_its_replicas(tmp_path):
    Run.create(tmp_path / "run")
    (tmp_path / "run" / "media").write_text("in the way of the folder")
    process = start_render(tmp_path, "--replicas", "2")
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 3
    assert err.splitlines()[-1].startswith(f"ursa-ray: {tmp_path / 'run' / 'media'}: cannot be written (File exists)")
    assert "failed 3 times" not in err
    assert 3 <= len(Run.open(tmp_path / "run").segments) <= 6
    assert err.count(" computes on ") <= 2


def test_a_cluster_of_our_own_is_gone_with_the_render_and_leaves_the_home_alone(tmp_path):
    process = start_render(tmp_path, "--replicas", "2")
    finish(process)
    left = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
    assert left.stdout == ""
    assert not (Path(os.environ["HOME"]) / ".ray").exists()


def test_a_cluster_that_is_not_there_is_named(tmp_path):
    process = start_render(tmp_path, "--address", "127.0.0.1:1")
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 6
    assert "no Ray cluster at 127.0.0.1:1" in err
