"""`kill -9` of a whole `ursa-ray render`, driver and ffmpeg alike, at random instants."""

import random
import time
from collections import Counter

import pytest

from tests.crash.boards import SMALL
from tests.processes import Process, kill
from tests.storyboards import write
from ursa_ray.ledger import Run
from ursa_ray.ledger.log import Log

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]


def start_render(folder):
    return Process(folder, "render", write(folder, SMALL), "--run", folder / "run")


def kill_all(process):
    """Until nothing of it lives: what is forked between two looks dies at the second."""
    while family := process.family():
        kill(family)
    process.communicate()


def require_nothing_made_twice(folder):
    """The log of the command, which is no part of the run, has no segment begin that was committed before."""
    committed = set()
    for line in (folder / "stderr.log").read_text().splitlines():
        _, _, said = line.partition(" ")  # after its time
        name, _, what = said.partition(" ")
        if what == "begins":
            assert name not in committed, line
        elif what.startswith("committed after"):
            committed.add(name)
    entries = Counter((entry.kind, entry.key) for entry in Log(Run.open(folder / "run").store).read_new().commits)
    assert [num for (kind, _), num in entries.items() if kind == "segment"] == [1, 1, 1]


# A process takes 4 s to load torch: 5 kills take half a minute on a quiet core, 20 two minutes.
@pytest.mark.parametrize("num_kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_a_render_whose_processes_are_all_killed_goes_on_to_the_same_film(tmp_path, num_kills):
    began = time.monotonic()
    assert "joining" in start_render(tmp_path / "undisturbed").end(600)
    undisturbed_s = time.monotonic() - began
    expected = (tmp_path / "undisturbed" / "run" / "film.mp4").read_bytes()
    rng, num_killed, film = random.Random(11), 0, 0
    while num_killed < num_kills:
        process = start_render(tmp_path / str(film))
        time.sleep(rng.uniform(0, undisturbed_s))
        num_killed += process.poll() is None
        kill_all(process)
        if process.returncode == 0 or num_killed == num_kills:
            assert start_render(tmp_path / str(film)).end(600)
            assert (tmp_path / str(film) / "run" / "film.mp4").read_bytes() == expected
            require_nothing_made_twice(tmp_path / str(film))
            film += 1
