"""What a segment will likely be, to be seen while it is made; the film does not depend on whether anybody looks."""

import io
import json
import re

import pytest
from PIL import Image, ImageSequence

from tests.storyboards import TWO_SHOTS, write
from tests.test_render import plan_of
from ursa_ray.exchange import WorkerOptions
from ursa_ray.executor import InProcessExecutor
from ursa_ray.ledger import Run
from ursa_ray.listener import Listener
from ursa_ray.render import render


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    return str(tmp_path / "run") if request.param == "folder" else f"{request.getfixturevalue('bucket')}/films/run"


ONE = """\
version: 1
model: tiny
defaults: {steps: 4}
shots:
  - {id: only, prompt: a green circle rises, frames: 9}
"""


class Looking(Listener):
    """Looks at each preview at the moment that it is told of."""

    def __init__(self, run):
        self.run, self.seen, self.warnings = run, {}, []

    def preview(self, segment, url):
        assert url == self.run.where(f"previews/{segment.key}.webp")
        assert segment.key not in self.run.segments
        self.seen.setdefault(segment.key, []).append(self.run.store.read(f"previews/{segment.key}.webp"))

    def warn(self, segment, words):
        self.warnings.append(words)


def rendered(place, plan, *preview_steps):
    run = Run.create(place)
    listener = Looking(run)
    worker = WorkerOptions("tiny", plan.weights_sha256, run.store.anywhere, "cpu", preview_steps=preview_steps)
    film = render(plan, run, InProcessExecutor(worker), listener)
    return run, listener, film


def durations_ms(content):
    with Image.open(io.BytesIO(content)) as image:
        return [each.load() and each.info["duration"] for each in ImageSequence.Iterator(image)]


def test_every_segment_is_seen_while_it_is_made_and_the_film_is_the_same(place, tmp_path):
    plan = plan_of(tmp_path)
    run, listener, film = rendered(place, plan, 2, 3)
    assert listener.seen.keys() == plan.by_key.keys()
    assert {len(seen) for seen in listener.seen.values()} == {2}
    for seen in listener.seen.values():
        assert sum(durations_ms(seen[-1])) == round(17 * 1000 / plan.fps)
        assert seen[0] != seen[1]
    assert run.store.names("previews") == []
    alone, deaf, other = rendered(tmp_path / "alone", plan)
    assert (deaf.seen, other.sha256) == ({}, film.sha256)
    assert {key: commit.codes for key, commit in run.segments.items()} == {
        key: commit.codes for key, commit in alone.segments.items()
    }


def test_a_preview_stays_while_its_segment_waits_and_status_shows_it(place, tmp_path, run_command):
    plan = plan_of(tmp_path)

    class Stopped(Looking):
        def step(self, segment, done, total):
            if segment.name == "dusk[0]" and done == 3:
                raise KeyboardInterrupt

    run = Run.create(place)
    worker = WorkerOptions("tiny", plan.weights_sha256, run.store.anywhere, "cpu", preview_steps=(2,))
    with pytest.raises(KeyboardInterrupt):
        render(plan, run, InProcessExecutor(worker), Stopped(run))
    segment = plan.shots[1].segments[0]
    url = f"{place}/previews/{segment.key}.webp"
    _, out, _ = run_command("status", place, "--json")
    assert f"dusk[0]: step 3 of 4, preview: {url}" in out
    assert [begun["preview"] for begun in json.loads(out.splitlines()[-1])["begun"]] == [url]
    rendered(place, plan)
    assert run.store.names("previews") == []


def test_a_preview_of_a_segment_that_was_committed_before_a_kill_is_cleared_away(tmp_path):
    plan = plan_of(tmp_path, ONE)
    run, _, _ = rendered(tmp_path / "run", plan)
    run.store.put(f"previews/{plan.segments[0].key}.webp", b"left behind")
    rendered(tmp_path / "run", plan)
    assert run.store.names("previews") == []


def test_a_preview_that_cannot_be_written_is_a_warning(tmp_path):
    plan = plan_of(tmp_path, ONE)
    in_its_way = tmp_path / "run" / "previews" / f"{plan.segments[0].key}.webp"
    Run.create(tmp_path / "run")
    in_its_way.mkdir(parents=True)
    _, listener, film = rendered(tmp_path / "run", plan, 2, 3)
    assert (listener.seen, film.num_frames) == ({}, 9)
    assert len(listener.warnings) == 2
    assert all(re.match(r"its preview could not be written \(.*directory", words) for words in listener.warnings)


def test_a_log_says_where_previews_are(tmp_path, run_command):
    board, run = write(tmp_path, ONE), tmp_path / "run"
    arguments = ["render", board, "--device", "cpu", "--preview", 2, "--preview", 3, "--run"]
    code, _, err = run_command(*arguments, run)
    assert code == 0
    assert err.count(f"only[0] preview: {run}/previews/") == 2
    _, _, err = run_command(*arguments, f"{run}2", "--log-format", "json")
    told = [line for line in map(json.loads, err.splitlines()) if line["event"] == "preview"]
    assert [line["preview"] for line in told] == [f"{run}2/previews/{told[0]['key']}.webp"] * 2


@pytest.mark.parametrize("step", [-1, 0, 1, 4, 50])
def test_a_step_without_a_preview_is_refused_before_anything_is_written(tmp_path, run_command, step):
    run = tmp_path / "run"
    code, _, err = run_command("render", write(tmp_path, TWO_SHOTS), "--run", run, "--preview", step)
    assert code == 2
    assert f"--preview is {step}, expected 2 to 3: dawn[0] has 4 steps." in err
    assert not run.exists()
