"""`ray job submit` on a real head, as the README has it."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.storyboards import TWO_CHAINS, write
from ursa_ray.media import probe

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

REPOSITORY = Path(__file__).parent.parent.parent
RAY = Path(sys.executable).parent / "ray"


def free_port():
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return probe_socket.getsockname()[1]


@pytest.fixture
def head(tmp_path_factory):
    """A head on the loopback; its dashboard's address and the environment for its clients."""
    folder = tmp_path_factory.mktemp("ray")
    # Unix sockets have short names: the folder of a test is too deep for them.
    temp = Path("/tmp") / folder.parent.name[-8:] / folder.name
    port, dashboard = free_port(), free_port()
    environment = os.environ | {
        "RAY_AUTH_MODE": "disabled",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"]
    command += ["--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    command += [f"--temp-dir={temp}", "--object-store-memory=100000000"]
    with subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "Ray runtime started" not in (line := process.stdout.readline()):
            assert line, "the head did not start"
        yield f"http://127.0.0.1:{dashboard}", environment
        # A head that is asked politely drains for 30 s. All of its processes name its folder.
        process.kill()
        subprocess.run(["pkill", "-KILL", "-f", str(temp)], check=False)
    shutil.rmtree(temp)


def test_a_submitted_job_renders_the_film(head, tmp_path):
    address, environment = head
    board = write(tmp_path, TWO_CHAINS)
    command = [RAY, "job", "submit", "--address", address, "--working-dir", REPOSITORY / "jobs", "--"]
    command += [sys.executable, "render.py", board, "--run", tmp_path / "run", "--replicas", "2", "--json"]
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rendered = next(json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"film"'))
    assert rendered["generated_segments"] == 6
    assert probe(tmp_path / "run" / "film.mp4").num_frames == 63
