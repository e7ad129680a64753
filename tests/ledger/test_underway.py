"""Who renders and how far, as another process sees it."""

import fcntl
import json
import os
import signal
import threading
from dataclasses import replace
from socket import gethostname

import numpy as np
import pytest

from tests.processes import Process
from tests.storyboards import TWO_SHOTS, write
from tests.test_render import plan_of, render_into
from ursa_ray.ledger import Commit, Run, open_store
from ursa_ray.summary import underway_text
from ursa_ray.underway import Begun, underway


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    return str(tmp_path / "run") if request.param == "folder" else f"{request.getfixturevalue('bucket')}/films/run"


CHAIN = """\
version: 1
model: tiny
defaults: {steps: 4}
shots:
  - {id: one, prompt: a green circle rises, frames: 40}
"""


def test_a_render_at_work_is_seen_with_its_steps_and_is_gone_when_it_ends(place, tmp_path, run_command):
    board = write(tmp_path, TWO_SHOTS.replace("steps: 4", "steps: 900"))
    process = Process(tmp_path, "render", board, "--run", place, "--device", "cpu")
    process.wait_until_said("dawn[0] begins")
    process.wait_until(lambda: open_store(place).names("steps"))
    code, out, _ = run_command("status", place, "--json")
    text, told = out.rsplit("\n", 2)[0], json.loads(out.splitlines()[-1])
    assert code == 0
    assert told["rendered_by"].startswith(f"process {process.pid} on {gethostname()} since 20")
    assert f"rendered by {told['rendered_by']}" in text
    (begun,) = told["begun"]
    assert (begun["segment"], begun["num_steps"]) == ("dawn[0]", 900)
    assert 1 <= begun["num_done"] < 900
    assert f"dawn[0]: step {begun['num_done']} of 900" in text
    assert (told["num_committed"], told["num_segments"], told["seconds_left"]) == (0, 4, None)
    process.send_signal(signal.SIGTERM)
    process.end()
    ended = underway(Run.open(place))
    assert ended.rendered_by is None
    assert [(one.segment, one.num_done >= begun["num_done"]) for one in ended.begun] == [("dawn[0]", True)]
    assert "begun, but nobody renders now:\ndawn[0]: step" in underway_text(ended)


def test_a_render_that_is_done_has_nothing_underway(place, tmp_path):
    render_into(place, plan_of(tmp_path))
    now = underway(Run.open(place))
    assert (now.rendered_by, now.begun, now.seconds_left) == (None, (), None)
    assert underway_text(now) == ""


def test_a_run_without_a_plan_has_nothing_underway(place):
    assert underway(Run.create(place)).begun == ()


def test_time_left_is_that_of_what_is_missing_at_the_pace_so_far(tmp_path):
    """Three segments of equal work in a chain: one took 10 s, half of the next is done."""
    plan = plan_of(tmp_path, CHAIN)
    made, half, rest = plan.segments
    assert half.flops == rest.flops
    run, codes = Run.create(tmp_path / "run"), np.zeros((1, 2, 3), np.uint16)
    run.begin(plan)
    run.commit(replace(Commit.of_codes(made.key, codes), seconds=10.0 * made.flops / half.flops))
    run.steps.save(half.key, 2, codes)
    assert underway(run).seconds_left is None
    with run.locked():
        now = underway(run)
    assert now.begun == (Begun("one[1]", 2, 4),)
    assert now.seconds_left == pytest.approx(5.0 + 10.0)
    assert ", about 15 s left at this pace" in underway_text(now)


def test_who_renders_is_known_from_the_first_moment_to_the_last(place):
    run = Run.create(place)
    for _ in range(5):
        assert run.store.holder() is None
        with run.locked():
            assert run.store.holder().startswith(f"process {os.getpid()} ")


def test_a_look_at_a_folder_keeps_no_render_out(tmp_path):
    run = Run.create(tmp_path / "run")
    with (tmp_path / "run" / "LEASE").open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.05, fcntl.flock, (looking.fileno(), fcntl.LOCK_UN)).start()
        with run.locked():
            pass


@pytest.mark.parametrize(("life_s", "is_alive"), [(3600, True), (-1, False)])
def test_a_lease_that_has_run_out_is_nobodys(bucket, life_s, is_alive):
    store = open_store(f"{bucket}/x")
    store.put("LEASE", json.dumps({"holder": "me", "nonce": "1", "life_s": life_s}).encode())
    assert store.holder() == ("me" if is_alive else None)
