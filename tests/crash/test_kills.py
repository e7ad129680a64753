"""SIGKILL at random instants of a render in one process: nothing that is committed is made again, and of what is
being made at most one step is lost. What was made is told by a file that is no part of the run.
"""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.crash.boards import SMALL
from tests.storyboards import write
from ursa_ray.ledger import Run
from ursa_ray.ledger.log import Log

SEGMENTS = ("one[0]", "one[1]", "two[0]")
NUM_STEPS = 4

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]


def campaign(folder, num_kills, seed):
    write(folder, SMALL)
    command = [sys.executable, "-m", "tests.crash.campaign", folder, num_kills, seed]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=3600
    )
    return json.loads(done.stdout.splitlines()[-1])


def renders(folder):
    """What each render of a run did, one after another."""
    renders = []
    for line in folder.with_suffix(".log").read_text().splitlines():
        if line == "|":
            renders.append([])
        else:
            renders[-1].append(line.split())
    return renders


def require_nothing_made_twice(renders):
    """Every step of every segment is made, in order; only the last one before a kill may be made again after it."""
    made, committed = dict.fromkeys(SEGMENTS, 0), set()
    for number, render in enumerate(renders):
        for what, name, *step in render:
            if what == "committed":
                assert made[name] == NUM_STEPS, (number, render)
                committed.add(name)
                continue
            assert name not in committed, (number, render)
            is_first = [name, *step] == next(line[1:] for line in render if line[0] == "step" and line[1] == name)
            repeated = is_first and number > 0 and int(step[0]) == made[name]
            assert repeated or int(step[0]) == made[name] + 1, (number, render)
            made[name] = int(step[0])
    assert set(made.values()) == {NUM_STEPS}


@pytest.mark.parametrize("num_kills", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_render_killed_at_any_instant_goes_on_to_the_same_film(tmp_path, num_kills):
    result = campaign(tmp_path, num_kills, seed=7)
    expected = (tmp_path / "undisturbed" / "film.mp4").read_bytes()
    assert Counter(line[0] for lines in renders(tmp_path / "undisturbed") for line in lines) == {
        "step": 12,
        "committed": 3,
    }
    for film in result["films"]:
        folder = tmp_path / film
        assert (folder / "film.mp4").read_bytes() == expected
        require_nothing_made_twice(renders(folder))
        entries = Counter((entry.kind, entry.key) for entry in Log(Run.open(folder).store).read_new().commits)
        assert [num for (kind, _), num in entries.items() if kind == "segment"] == [1, 1, 1]
        assert not list((folder / "steps").glob("*"))
    assert sum(result["killed"].values()) == num_kills
    assert min(result["killed"].get(phase, 0) for phase in ("make", "join")) > num_kills // 20
