"""Which nodes replicas are on, and how many replicas there are."""

import json
import subprocess
import sys

import pytest

from tests.cluster.nodes import node_id
from tests.storyboards import TWO_CHAINS, write

pytestmark = [pytest.mark.ray, pytest.mark.timeout(200)]

FORK = """\
version: 1
model: tiny
defaults: {steps: 100}
shots:
  - {id: trunk, prompt: a green circle rises, frames: 9}
  - {id: left, continue: trunk, prompt: it falls, frames: 4, steps: 30}
  - {id: middle, continue: trunk, prompt: it rests, frames: 4, steps: 30}
  - {id: right, continue: trunk, prompt: it rises, frames: 4, steps: 30}
"""


def test_of_a_mixed_cluster_only_the_gpus_that_were_asked_for_are_used(start_nodes, tmp_path):
    nodes = start_nodes()
    nodes.add("--num-cpus=1", "--num-gpus=2", "--labels=ray.io/accelerator-type=A100")
    nodes.add("--num-cpus=1", "--num-gpus=1", "--labels=ray.io/accelerator-type=H100")
    command = [sys.executable, "-m", "tests.cluster.placement", nodes.address, write(tmp_path, TWO_CHAINS)]
    done = subprocess.run([*map(str, command), str(tmp_path / "run")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [node_id(2)]


@pytest.mark.slow
def test_the_command_line_sets_floor_and_ceiling(start_nodes, render, tmp_path):
    nodes = start_nodes()
    nodes.add("--num-cpus=4")
    options = ["--address", nodes.address, "--device", "cpu", "--min-replicas", "2", "--replicas", "2"]
    driver = render(write(tmp_path, FORK), *options)
    seen = []

    def has_come_to(words):
        seen.append(len(nodes.replicas()))
        return words in driver.log.read_text()

    driver.wait_until(lambda: has_come_to("trunk[0] committed"))
    assert seen[-1] == 2, "only one could work"
    driver.wait_until(lambda: has_come_to("joining"))
    assert max(seen) == 2, "three could work"
    driver.end()
    assert driver.returncode == 0
