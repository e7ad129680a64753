"""Frames that replicas write beside their work, when that takes long or for ever."""

import signal

import pytest

from tests.storyboards import TWO_SHOTS, write
from ursa_ray.interrupt import INTERRUPTED
from ursa_ray.ledger import Run

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_replica_whose_write_hangs_is_replaced_and_its_frames_are_made_again(render, tmp_path):
    board = write(tmp_path, TWO_SHOTS)
    alone = render(board, name="alone")
    driver = render(board, "hanging", name="run", module="tests.cluster.writing")
    said = driver.end(200)
    assert driver.returncode == 0, said
    assert "frames are still being written after 4 s" in said
    assert "its frames are missing, and are made again from its codes" in said
    alone.end(200)
    assert (tmp_path / "run" / "film.mp4").read_bytes() == (tmp_path / "alone" / "film.mp4").read_bytes()


def test_an_interrupted_render_waits_a_second_for_frames_of_what_is_committed(render, tmp_path):
    driver = render(write(tmp_path, TWO_SHOTS), "slow", name="run", module="tests.cluster.writing")
    driver.wait_until_said("dawn[0] committed")
    driver.send_signal(signal.SIGINT)
    said = driver.end()
    assert driver.returncode == INTERRUPTED, said
    run = Run.open(tmp_path / "run")
    assert run.segments and run.segments.keys() == run.framed()
