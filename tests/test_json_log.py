"""What a render tells machines."""

import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from socket import gethostname

import pytest
import torch

from tests.storyboards import TWO_CHAINS, TWO_SHOTS, write
from tests.test_render import Unlucky, executor_for, plan_of
from ursa_ray import json_log
from ursa_ray.errors import RenderError
from ursa_ray.json_log import JsonLog
from ursa_ray.ledger import Run
from ursa_ray.render import render


def objects(err):
    return [json.loads(line) for line in err.splitlines()]


def test_warnings_from_within_are_objects_as_well(run_command, tmp_path):
    board = write(tmp_path, TWO_SHOTS.replace("steps: 4", "steps: 1"))
    options = ["--run", tmp_path / "run", "--device", "cpu", "--attention", "math", "--log-format", "json"]
    code, _, err = run_command("render", board, *options)
    told = [line for line in objects(err) if line["level"] == "warning"]
    assert (code, len(told)) == (0, 1)
    assert "math" in told[0]["message"] and told[0]["run"] == str(tmp_path / "run")


def test_every_line_of_a_render_is_an_object_that_says_when_what_and_where(run_command, tmp_path, monkeypatch):
    monkeypatch.setattr(json_log, "STEP_EVERY_S", 0.0)
    folder = tmp_path / "run"
    code, out, err = run_command(
        "render", write(tmp_path, TWO_SHOTS), "--run", folder, "--device", "cpu", "--log-format", "json"
    )
    told = objects(err)
    assert (code, "film.mp4" in out) == (0, True)
    counts = {"begin": 1, "start": 4, "compute": 1, "step": 16, "finish": 4, "join": 1}
    assert Counter(line["event"] for line in told) == counts
    assert {line["run"] for line in told} == {str(folder)}
    assert {line["level"] for line in told} == {"info"}
    now = datetime.now(UTC)
    assert all(timedelta() <= now - datetime.fromisoformat(line["time"]) < timedelta(minutes=5) for line in told)
    finished = [line for line in told if line["event"] == "finish"]
    assert [(line["shot"], line["segment"]) for line in finished] == [
        ("dawn", 0),
        ("dawn", 1),
        ("dusk", 0),
        ("dusk", 1),
    ]
    assert [line["key"] for line in finished] == list(Run.open(folder).plan().by_key)
    assert {(line["replica"], line["node"]) for line in finished} == {
        (f"process {os.getpid()}, model 1", gethostname())
    }
    assert all(line["seconds"] > 0 for line in finished)


def test_what_computes_is_told_once_and_kept_with_what_it_made(run_command, tmp_path):
    asked = ("--device", "cpu", "--attention", "flash", "--log-format", "json")
    _, _, err = run_command("render", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run", *asked)
    (told,) = [line for line in objects(err) if line["event"] == "compute"]
    assert f"(torch {torch.__version__}, torch.float32, flash attention, torch draws, 1 threads)" in told["device"]
    made = Run.open(tmp_path / "run").segments.values()
    assert {(commit.device, commit.backends) for commit in made} == {("cpu", "flash attention, torch draws")}


def test_steps_of_a_segment_are_told_now_and_then(run_command, tmp_path):
    _, _, err = run_command("render", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run", "--log-format", "json")
    # Each takes a fraction of a second.
    assert [line["done"] for line in objects(err) if line["event"] == "step"] == [1, 1, 1, 1]


def test_failures_say_of_which_kind_and_whether_they_are_tried_again(tmp_path, capsys):
    plan, run = plan_of(tmp_path, TWO_CHAINS), Run.create(tmp_path / "run")
    executor = executor_for(plan, run, Unlucky, shot="left", error=RuntimeError("out of memory"))
    with pytest.raises(RenderError):
        render(plan, run, executor, JsonLog("x"))
    failed = [line for line in objects(capsys.readouterr().err) if line["event"] == "fail"]
    assert [(line["level"], line["again"]) for line in failed] == [("warning", True)] * 2 + [("error", False)]
    assert {(line["shot"], line["kind"], line["error"]) for line in failed} == {
        ("left", "RuntimeError", "out of memory")
    }


def test_why_a_render_ends_is_an_object_too_and_other_commands_are_as_before(run_command, tmp_path):
    code, _, err = run_command("render", tmp_path / "none.yaml", "--log-format", "json")
    (line,) = objects(err)
    assert (code, line["event"], line["level"], line["run"]) == (2, "note", "error", "renders/none")
    assert "none.yaml" in line["message"]
    _, _, err = run_command("plan", tmp_path / "none.yaml")
    assert err == f"ursa-ray: {line['message']}\n"
