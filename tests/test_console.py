"""Bars, as somebody at a terminal sees them, and what logs say of waiting."""

import io
import json

import pytest
from rich.console import Console

from tests.test_render import plan_of
from ursa_ray import listener
from ursa_ray.console import Bars, Lines
from ursa_ray.errors import LostError
from ursa_ray.json_log import JsonLog
from ursa_ray.listener import Load
from ursa_ray.schedule import Place

A, B = Place("a", "n"), Place("b", "n")


@pytest.fixture
def bars(tmp_path):
    """Four segments of four steps; the film's bar is the first."""
    plan, bars = plan_of(tmp_path), Bars(Console(file=io.StringIO(), force_terminal=True))
    bars.begin(plan, 0)
    return plan.segments[0], bars, lambda: bars._progress.tasks[0].completed


def test_a_segment_that_two_replicas_make_is_counted_once(bars):
    segment, bars, num_done = bars
    bars.start(segment, A)
    bars.step(segment, 3, 4)
    bars.start(segment, B)
    bars.step(segment, 4, 4)
    bars.finish(segment, B, 1.0)
    assert num_done() == 4


def test_what_a_failed_attempt_has_done_is_taken_back(bars):
    segment, bars, num_done = bars
    bars.start(segment, A)
    bars.step(segment, 3, 4)
    bars.fail(segment, A, LostError("gone"), True)
    assert num_done() == 0
    bars.start(segment, B)
    bars.step(segment, 1, 4)
    assert num_done() == 1


def test_waiting_for_frames_is_told_while_nothing_is_made(capsys, monkeypatch):
    monkeypatch.setattr(listener, "WAITING_EVERY_S", 0.0)
    for told in (Lines(), JsonLog("run")):
        told.load(Load(num_ready=0, num_running=1, num_idle=0, num_starting=0, num_framing=2))
        told.load(Load(num_ready=0, num_running=0, num_idle=1, num_starting=0, num_framing=2))
    line, object_ = capsys.readouterr().err.splitlines()
    assert line.endswith("waiting for frames of 2 committed segments to be written")
    assert (json.loads(object_)["event"], json.loads(object_)["num_framing"]) == ("wait", 2)


def test_one_of_a_thing_is_not_told_as_several(capsys, tmp_path):
    plan = plan_of(tmp_path, "version: 1\nmodel: tiny\nshots:\n  - {id: dawn, prompt: fog, frames: 1}\n")
    Lines().begin(plan, 0)
    assert capsys.readouterr().err.split(" ", 1)[1] == "1 segment, 1 frame\n"
