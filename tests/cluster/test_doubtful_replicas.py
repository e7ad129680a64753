"""Replicas that are not to be relied on: too slow, or wrong. The film is the same."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.storyboards import TWO_SHORT_ONE_LONG, write

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

BOARD = TWO_SHORT_ONE_LONG.replace("STEPS", "60")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("wrong", "answers otherwise than the others"),
        pytest.param("unsteady", "gave 2 answers to one question", marks=pytest.mark.slow),
    ],
)
def test_a_replica_that_answers_a_known_question_wrongly_gets_no_work(render, tmp_path, kind, reason):
    board = write(tmp_path, BOARD)
    alone = render(board, name="alone")
    driver = render(board, kind, name="run", module="tests.cluster.doubtful")
    said = driver.end(200)
    assert driver.returncode == 0, said
    assert reason in said, said
    alone.end(200)
    assert (tmp_path / "run" / "film.mp4").read_bytes() == (tmp_path / "alone" / "film.mp4").read_bytes()


@pytest.mark.slow
def test_what_a_slow_replica_makes_is_made_by_another_too_and_the_slow_one_is_let_go(start_nodes, render, tmp_path):
    nodes = start_nodes()
    for _ in range(2):
        nodes.add("--num-cpus=2")
    board = write(tmp_path, BOARD)
    alone = render(board, name="alone")
    driver = render(board, "--address", nodes.address, "--device", "cpu", "--replicas", "3")
    driver.wait_until(lambda: "long[1] begins" in driver.log.read_text() and len(nodes.replicas()) == 1)
    (slow,) = nodes.replicas()
    os.kill(slow, signal.SIGSTOP)
    driver.wait_until_said("takes far longer than others")
    said = driver.end(200)
    assert driver.returncode == 0, said
    late = said.partition(" takes far longer")[0].split()[-1]
    assert said.count(f"{late} begins") == 2 and "failed" not in said, said
    until_gone(slow)
    alone.end(200)
    assert (tmp_path / "run" / "film.mp4").read_bytes() == (tmp_path / "alone" / "film.mp4").read_bytes()


def until_gone(pid, limit_s=30):
    """Ray ends a process that does not answer some seconds after it was told to."""
    until = time.monotonic() + limit_s
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until, pid
        time.sleep(0.1)
