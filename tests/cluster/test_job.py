"""`ray job submit` on a real head, as the README has it."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cluster.heads import RAY, started_head
from tests.storyboards import TWO_CHAINS, TWO_SHOTS, write
from ursa_ray.cluster.connection import turns_strangers_away
from ursa_ray.ledger import Run
from ursa_ray.media import probe

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    with started_head(tmp_path_factory.mktemp("ray"), RAY_AUTH_MODE="disabled") as head:
        yield head


def render_on(head, command, **options):
    done = subprocess.run(
        list(map(str, command)),
        env=head.environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"film"'))


def test_the_job_of_the_readme_renders_a_film_that_begins_with_a_picture(head, tmp_path):
    command = [RAY, "job", "submit", "--address", head.dashboard, "--working-dir", ".", "--"]
    command += [sys.executable, "jobs/render.py", "storyboards/extend-image.yaml"]
    command += ["--run", tmp_path / "run", "--replicas", "2", "--json"]
    rendered = render_on(head, command, cwd=REPOSITORY)
    assert rendered["generated_segments"] == 3
    assert probe(tmp_path / "run" / "film.mp4").num_frames == 36


def test_a_render_that_connects_from_another_folder_finds_its_picture(head, tmp_path):
    command = [sys.executable, "-m", "ursa_ray", "render", "extend-image.yaml", "--address", head.address]
    command += ["--run", tmp_path / "run", "--json"]
    assert render_on(head, command, cwd=REPOSITORY / "storyboards")["num_frames"] == 36


def test_a_job_that_is_stopped_goes_on_where_it_was(head, tmp_path):
    command = [RAY, "job", "submit", "--address", head.dashboard, "--submission-id", "stopped", "--no-wait", "--"]
    board = write(tmp_path, TWO_SHOTS.replace("steps: 4", "steps: 900"))
    command += [sys.executable, REPOSITORY / "jobs" / "render.py", board, "--run", tmp_path / "run", "--replicas", "1"]
    subprocess.run(list(map(str, command)), env=head.environment, check=True, capture_output=True)
    until = time.monotonic() + 150
    while not list((tmp_path / "run" / "steps").glob("*/*")) and time.monotonic() < until:
        time.sleep(0.1)
    stop = [RAY, "job", "stop", "--address", head.dashboard, "stopped"]
    subprocess.run(list(map(str, stop)), env=head.environment, check=True, capture_output=True)
    logs = [RAY, "job", "logs", "--address", head.dashboard, "stopped"]
    said = subprocess.run(list(map(str, logs)), env=head.environment, check=True, capture_output=True, text=True).stdout
    assert "dawn[0] begins" in said
    assert "Traceback" not in said
    run = Run.open(tmp_path / "run")
    assert run.steps.latest(run.plan().segments[0].key).num_done >= 1
    with run.locked():
        pass


def scrape(head, run):
    """Values of a run's series by name and labels, less the labels that Ray adds."""
    with urllib.request.urlopen(head.metrics, timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    found = {}
    for line in lines:
        if line.startswith("ray_ursa_") and f'run="{run}"' in line:
            name, labels, value = re.fullmatch(r"(\w+){(.*)} (\S+)", line).groups()
            ours = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            found[name, *(ours[label] for label in ("state", "kind", "le") if label in ours)] = float(value)
    return found


def test_prometheus_finds_what_a_render_did(head, tmp_path):
    command = [sys.executable, "-m", "ursa_ray", "render", write(tmp_path, TWO_CHAINS), "--address", head.address]
    began = time.monotonic()
    rendered = render_on(head, [*command, "--run", tmp_path / "chains", "--replicas", "2", "--json"])
    seconds = time.monotonic() - began
    # A driver sends the last of it when it disconnects.
    found = scrape(head, "chains")
    assert rendered["generated_segments"] == 6
    assert found["ray_ursa_segments_finished_total",] == found["ray_ursa_segment_seconds_count",] == 6
    assert found["ray_ursa_segment_seconds_bucket", "+Inf"] == 6
    assert found["ray_ursa_steps_total",] == 6 * 4
    assert found["ray_ursa_segments_left",] == 0
    assert 0 < found["ray_ursa_replica_seconds_total", "busy"] < 2 * seconds
    assert ("ray_ursa_replicas", "starting") in found
    assert [name for name in found if "failed" in name[0]] == []


def test_a_head_without_tokens_answers_strangers(head):
    assert not turns_strangers_away(head.address)
