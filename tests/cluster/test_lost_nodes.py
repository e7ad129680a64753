"""A node that is lost, or about to be: noticed in seconds, and nothing that is committed is made again."""

import os
import signal
import time
from collections import Counter

import pytest

from tests.storyboards import TWO_SHORT_ONE_LONG, write
from ursa_ray.ledger import Run
from ursa_ray.ledger.log import Log

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

NOTICED_WITHIN_S = 15

THREE_CHAINS = TWO_SHORT_ONE_LONG.replace("STEPS", "60")
ONE_CHAIN = """\
version: 1
model: tiny
defaults: {steps: 400}
shots:
  - {id: only, prompt: a green circle rises, frames: 24}
"""


@pytest.fixture
def nodes(start_nodes):
    nodes = start_nodes()
    for _ in range(3):
        nodes.add()
    return nodes


@pytest.fixture
def films(tmp_path, render):
    """Start to render on a cluster, and beside it without one; then wait, and compare the films."""

    def start(address, text=THREE_CHAINS, num_replicas=3):
        board = write(tmp_path, text)
        alone = render(board, name="alone")
        driver = render(board, "--address", address, "--device", "cpu", "--replicas", num_replicas)

        def finish():
            said = driver.end()
            assert driver.returncode == 0, said
            alone.end()
            assert (tmp_path / "run" / "film.mp4").read_bytes() == (tmp_path / "alone" / "film.mp4").read_bytes()
            return said

        return driver, finish

    return start


def until_one_is_left(driver, nodes):
    """The replica that makes the long shot, once the others are let go."""
    driver.wait_until(lambda: "long[1] begins" in driver.log.read_text() and len(nodes.replicas()) == 1)
    (replica,) = nodes.replicas()
    return replica


def times_committed(folder):
    entries = Log(Run.open(folder).store).read_new().commits
    return sorted(Counter(entry.key for entry in entries if entry.kind == "segment").values())


def test_a_lost_node_is_noticed_within_15_s_by_rays_own_settings(nodes, films, tmp_path):
    driver, finish = films(nodes.address)
    replica = until_one_is_left(driver, nodes)
    os.kill(nodes.raylet_of(replica), signal.SIGKILL)
    killed = time.monotonic()
    driver.wait_until_said("failed, trying again: its replica was lost")
    noticed_s = time.monotonic() - killed
    print(f"noticed after {noticed_s:.1f} s")  # noqa: T201
    assert noticed_s < NOTICED_WITHIN_S
    said = finish()
    assert said.count("long[0] begins") == 1, said
    assert times_committed(tmp_path / "run") == [1] * 6


@pytest.mark.slow
def test_a_node_that_is_about_to_be_taken_costs_no_attempt_and_is_replaced_at_once(nodes, films, tmp_path):
    # A notice takes 10 s: 3 to be given, 5 to be asked for.
    driver, finish = films(nodes.address, TWO_SHORT_ONE_LONG.replace("STEPS", "240"))
    replica = until_one_is_left(driver, nodes)
    nodes.drain(replica, 30)
    driver.wait_until_said("is about to be taken; it gets nothing new")
    said = finish()
    assert "failed" not in said, said
    assert times_committed(tmp_path / "run") == [1] * 6


@pytest.mark.slow
def test_a_node_that_is_taken_after_its_notice_leaves_its_segment_to_the_replacement(start_nodes, films, tmp_path):
    nodes = start_nodes()
    nodes.add()
    nodes.add()
    driver, finish = films(nodes.address, ONE_CHAIN, 1)
    driver.wait_until_said("only[0] begins")
    (leaving,) = nodes.replicas()
    nodes.drain(leaving, 60)
    driver.wait_until_said("is about to be taken; it gets nothing new")
    # The replacement takes what there is to do, from the last step that was saved.
    driver.wait_until(lambda: driver.log.read_text().count("only[0] begins") == 2)
    os.kill(nodes.raylet_of(leaving), signal.SIGKILL)
    said = finish()
    assert said.count("only[0] committed") == 1 and "given up" not in said, said
    assert times_committed(tmp_path / "run") == [1, 1]
