"""Clusters of several nodes on this machine, each node a group of processes of its own."""

import json
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

from tests.cluster.heads import RAY, free_port, of_session
from tests.processes import kill

# Of heads, nodes and drivers alike.
SETTINGS = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}

# The provider of nodes that are processes of this machine knows the head by these names.
HEAD_ID, HEAD_TYPE = 51 * "f" + "00000", "ray.head.default"

FAKE_PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
AUTOSCALER_SETTINGS = {
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "RAY_FAKE_CLUSTER": "1",
    "RAY_enable_autoscaler_v2": "1",
    "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
}


class Nodes:
    """A head without CPUs and nodes that are added; with `worker_types`, nodes that Ray's autoscaler starts and ends.

    `temp` is a folder with a short name: Unix sockets have short names.
    """

    def __init__(self, temp: Path, worker_types: dict | None = None):
        self._temp, self._port, self._worker_types = temp, free_port(), worker_types
        self._groups: list[subprocess.Popen[bytes]] = []
        self.address = f"127.0.0.1:{self._port}"

    def start(self) -> None:
        head = ["--head", f"--port={self._port}", f"--ray-client-server-port={free_port()}", "--num-cpus=0"]
        head += [f"--temp-dir={self._temp}", "--include-dashboard=false"]
        if self._worker_types is None:
            self._start(*head)
        else:
            config = self._temp.with_name(f"{self._temp.name}.json")
            config.write_text(json.dumps(autoscaler_config(self.address, self._worker_types)))
            self._start(*head, f"--autoscaling-config={config}", **AUTOSCALER_SETTINGS)

    def add(self, *options: str) -> None:
        """One node with one CPU, or as `options` say."""
        known = {"RAY_OVERRIDE_NODE_ID_FOR_TESTING": node_id(len(self._groups))}
        self._start(f"--address={self.address}", *(options or ("--num-cpus=1",)), **known)

    def raylets(self) -> list[int]:
        """Of the nodes that are not the head."""
        return [pid for group in self._groups[1:] for pid in of_session(group.pid, "/raylet ")]

    def replicas(self) -> list[int]:
        return [pid for group in self._groups for pid in of_session(group.pid, "ray::Replica")]

    def raylet_of(self, pid: int) -> int:
        (raylet,) = of_session(os.getsid(pid), "/raylet ")
        return raylet

    def drain(self, pid: int, deadline_s: int) -> None:
        """Give notice to the node that a process is on."""
        number = [group.pid for group in self._groups].index(os.getsid(pid))
        command = [RAY, "drain-node", f"--address={self.address}", f"--node-id={node_id(number)}"]
        command += ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=spot"]
        command += [f"--deadline-remaining-seconds={deadline_s}"]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)

    def stop(self) -> None:
        for group in self._groups:
            kill(of_session(group.pid))
            group.wait()
        for beside in self._temp.parent.glob(f"{self._temp.name}.*"):
            beside.unlink()
        shutil.rmtree(self._temp, ignore_errors=True)

    def _start(self, *options: str, **settings: str) -> None:
        command = [RAY, "start", "--block", "--node-ip-address=127.0.0.1", "--object-store-memory=100000000", *options]
        log = self._temp.with_name(f"{self._temp.name}.{len(self._groups)}.log")
        with log.open("w") as said:
            process = subprocess.Popen(
                list(map(str, command)), env=os.environ | settings, stdout=said, stderr=said, start_new_session=True
            )
        self._groups.append(process)
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)


def node_id(number: int) -> str:
    return f"{number:056x}"


def short_path(folder: Path) -> Path:
    """For what is too deep in the folder of a test."""
    return Path("/tmp") / f"{folder.parent.name[-8:]}-{os.getpid()}"


def autoscaler_config(address: str, worker_types: dict) -> dict:
    head = {"resources": {"CPU": 0}, "max_workers": 0, "node_config": {}}
    commands = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    provider = {
        "type": "external",
        "module": FAKE_PROVIDER,
        "gcs_address": address,
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "launch_multiple": True,
        "head_node_id": HEAD_ID,
    }
    return {
        "cluster_name": "fake",
        "provider": provider,
        "max_workers": 8,
        "available_node_types": {HEAD_TYPE: head} | worker_types,
        "head_node_type": HEAD_TYPE,
        "idle_timeout_minutes": 0.1,
        "upscaling_speed": 1.0,
        **{f"{name}_commands": [] for name in commands},
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        **{name: [] for name in ("cluster_synced_files", "rsync_exclude", "rsync_filter")},
        "file_mounts_sync_continuously": False,
    }
