"""A real Ray head on the loopback of this machine, as `ray start` makes it, and the end of all its processes."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import kill

RAY = Path(sys.executable).parent / "ray"


@dataclass(frozen=True)
class Head:
    """`dashboard` and `address` as clients name them, `metrics` as Prometheus does; `environment` is the clients'."""

    dashboard: str
    address: str
    metrics: str
    environment: dict[str, str]


def free_port() -> int:
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return probe_socket.getsockname()[1]


def of_session(session: int, words: str = "") -> list[int]:
    """Processes of a session that live and have these words in their command line."""
    found = subprocess.run(["ps", "-ewwo", "pid=,sid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=3) for line in found.stdout.splitlines()]
    return [int(pid) for pid, sid, stat, args in rows if int(sid) == session and stat[0] != "Z" and words in args]


@contextmanager
def started_head(folder: Path, **settings: str) -> Iterator[Head]:
    # Unix sockets have short names: the folder of a test is too deep for them.
    temp = Path("/tmp") / f"{folder.parent.name[-8:]}-{os.getpid()}-{folder.name}"
    port, dashboard, metrics = free_port(), free_port(), free_port()
    environment = os.environ | {
        # A job's python is that of the environment in which the head was started.
        "PATH": f"{RAY.parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        **settings,
    }
    command = [RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"]
    command += ["--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    # Jobs are started by the agent, whose port is otherwise the same for all clusters of a machine.
    command += [f"--dashboard-agent-listen-port={free_port()}"]
    command += [f"--metrics-export-port={metrics}", f"--temp-dir={temp}", "--object-store-memory=100000000"]
    with subprocess.Popen(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            while "Ray runtime started" not in (line := process.stdout.readline()):
                assert line, "the head did not start"
            at = "http://127.0.0.1"
            yield Head(f"{at}:{dashboard}", f"127.0.0.1:{port}", f"{at}:{metrics}/metrics", environment)
        finally:
            # A head that is asked politely drains for 30 s.
            kill(of_session(process.pid))
    shutil.rmtree(temp, ignore_errors=True)  # what is dying may still write its logs
