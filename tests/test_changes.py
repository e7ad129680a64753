"""A storyboard that is edited, and parts that are taken again: what is made anew, and what stays as it was."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.ledger.runs import contents
from tests.storyboards import write
from tests.test_render import Interrupted, executor_for, frames_of
from ursa_ray.cli import main
from ursa_ray.errors import UrsaRayError
from ursa_ray.ledger import Run
from ursa_ray.listener import Listener
from ursa_ray.plan import with_takes
from ursa_ray.prepare import prepare
from ursa_ray.render import render

# Segments have 17 frames of which 5 repeat others: dawn is 17 + 7 frames, dusk 12 + 2, night 9.
BOARD = """\
version: 1
title: Three
model: tiny
defaults: {steps: 2, seed: 3}
shots:
  - {id: dawn, prompt: a red square moves to the right, frames: 24}
  - {id: dusk, continue: dawn, prompt: the red square falls, frames: 14}
  - {id: night, prompt: a blue circle rises, frames: 9}
"""


class Film:
    """A run, its storyboard, and the commands that are given about them."""

    def __init__(self, folder, capsys):
        self.folder, self.run, self.capsys = folder, folder / "run", capsys
        self.write(BOARD)

    def write(self, text):
        self.board = write(self.folder, text)

    def command(self, *arguments):
        """Exit code, and what it says: the JSON of one that is done, the error of one that is not."""
        with pytest.raises(SystemExit) as leaving:
            main([str(argument) for argument in arguments])
        printed = self.capsys.readouterr()
        code = leaving.value.code or 0
        return code, json.loads(printed.out.splitlines()[-1]) if code == 0 else printed.err

    def plan(self, *options):
        code, planned = self.command("plan", self.board, "--run", self.run, "--json", *options)
        assert code == 0, planned
        return planned["difference"]

    def render(self, *options):
        code, rendered = self.command("render", self.board, "--run", self.run, "--json", *options)
        assert code == 0, rendered
        return rendered

    def frames(self):
        """What the film shows, before H.264 loses some of it."""
        run = Run.open(self.run)
        return np.stack([frame for s in run.plan().segments for frame in frames_of(run, s.key, *s.shown)])


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    plan = prepare(write(folder, BOARD)).plan
    run = Run.create(folder / "run")
    render(plan, run, executor_for(plan, run))
    return folder / "run"


@pytest.fixture
def film(rendered, tmp_path, capsys):
    """The film is rendered: 5 segments."""
    shutil.copytree(rendered, tmp_path / "run")
    return Film(tmp_path, capsys)


def why(difference):
    return {shot["id"]: shot["reasons"] for shot in difference["shots"] if shot["reasons"]}


@pytest.mark.parametrize(
    ("shot", "old", "new", "num_new", "changed"),
    [
        ("dawn", "a red square moves", "a red square hurries", {"dawn": 2, "dusk": 2}, (0, 38)),
        ("dusk", "falls", "sinks", {"dusk": 2}, (24, 38)),
        ("night", "rises", "sinks", {"night": 1}, (38, 47)),
    ],
)
def test_an_edited_shot_is_made_again_with_what_continues_it_and_nothing_else(film, shot, old, new, num_new, changed):
    before = film.frames()
    film.write(BOARD.replace(old, new))
    found = film.plan()
    assert {each["id"]: each["num_new"] for each in found["shots"] if each["num_new"]} == num_new
    assert why(found)[shot] == [f"{shot}[0]: prompt changed"]
    assert found["num_unused"] == sum(num_new.values())
    rendered = film.render()
    assert rendered["generated_segments"] == found["num_new"] == sum(num_new.values())
    assert rendered["reused_segments"] == found["num_kept"] == 5 - sum(num_new.values())
    differing = np.flatnonzero((film.frames() != before).any(axis=(1, 2, 3)))
    assert changed[0] <= differing.min() and differing.max() < changed[1]
    film.write(BOARD)
    assert film.render()["generated_segments"] == 0
    np.testing.assert_array_equal(film.frames(), before)


def test_shots_in_another_order_are_not_made_again(film):
    before = film.frames()
    *head, dawn, dusk, night = BOARD.splitlines(keepends=True)
    film.write("".join([*head, night, dawn, dusk]))
    assert film.plan()["num_new"] == 0
    assert film.render()["generated_segments"] == 0
    np.testing.assert_array_equal(film.frames(), np.concatenate([before[38:], before[:38]]))


def test_a_retake_makes_its_segment_and_what_is_conditioned_on_it_again_and_stays(film):
    before = film.frames()
    found = film.plan("--retake", "dawn:1")
    assert why(found) == {"dawn": ["dawn[1]: retaken"], "dusk": ["dusk[0]: its parent dawn[1] is new"]}
    retaken = film.render("--retake", "dawn:1")
    assert (
        (retaken["generated_segments"], retaken["reused_segments"]) == (3, 2) == (found["num_new"], found["num_kept"])
    )
    after = film.frames()
    np.testing.assert_array_equal(after[:17], before[:17])
    np.testing.assert_array_equal(after[38:], before[38:])
    assert (after[17:24] != before[17:24]).any() and (after[24:38] != before[24:38]).any()
    again = film.render()
    assert (again["generated_segments"], again["sha256"]) == (0, retaken["sha256"])
    assert film.plan()["num_new"] == 0
    assert film.command("status", film.run, "--json")[1]["takes"] == {"dawn[1]": 2}


def test_a_retake_is_the_same_wherever_it_is_made(film, tmp_path):
    first = film.render("--retake", "dusk")
    plan = with_takes(prepare(film.board).plan, {"dusk[0]": 1, "dusk[1]": 1})
    run = Run.create(tmp_path / "elsewhere")
    assert render(plan, run, executor_for(plan, run)).sha256 == first["sha256"]


def test_a_shot_retaken_twice_has_three_takes(film):
    takes = [film.frames()]
    for _ in range(2):
        assert film.render("--retake", "night")["generated_segments"] == 1
        takes.append(film.frames())
    assert [(one[38:] != other[38:]).any() for one, other in zip(takes, takes[1:] + takes[:1], strict=True)] == [
        True
    ] * 3
    assert film.command("status", film.run, "--json")[1]["takes"] == {"night[0]": 3}
    assert main_text(film, "status", film.run).splitlines()[-2] == "takes: night[0] 3"
    assert [told(film, f"{film.run}@{frame}") for frame in ("#40", "#1")] == [(3, "take 3"), (1, None)]


def told(film, instant):
    """The take behind an instant: of JSON, and in words where there are any."""
    _, found = film.command("explain", instant, "--json")
    (line,) = [line for line in main_text(film, "explain", instant).splitlines() if line.startswith("segment: ")]
    _, _, words = line.partition("of 17, ")
    return found["instant"]["take"], words or None


def main_text(film, *arguments):
    with pytest.raises(SystemExit):
        main([str(argument) for argument in arguments])
    return film.capsys.readouterr().out


def test_an_earlier_take_comes_back_for_nothing_and_the_next_retake_follows_it(film):
    first = film.render()["sha256"]
    second = film.render("--retake", "dawn:1")
    third = film.render("--retake", "dawn")
    assert film.plan("--take", "dawn=1")["num_new"] == 0
    back = film.render("--take", "dawn=1")
    assert (back["generated_segments"], back["sha256"]) == (0, first)
    assert film.render()["sha256"] == first
    assert film.command("status", film.run, "--json")[1]["takes"] == {}
    again = film.render("--retake", "dawn:1")
    assert (again["generated_segments"], again["sha256"]) == (0, second["sha256"])
    chosen = film.render("--take", "dawn:1=3", "--take", "dawn:0=2")
    assert (chosen["generated_segments"], chosen["sha256"]) == (0, third["sha256"])


def test_a_take_can_be_chosen_before_anything_is_rendered(film):
    third = [film.render("--retake", "night") for _ in range(2)][-1]
    film.run = film.folder / "elsewhere"
    chosen = film.render("--take", "night=3")
    assert (chosen["generated_segments"], chosen["sha256"]) == (5, third["sha256"])


def test_a_part_is_retaken_but_for_what_is_chosen_of_it(film):
    film.render("--retake", "dusk", "--take", "dusk:1=1")
    assert film.command("status", film.run, "--json")[1]["takes"] == {"dusk[0]": 2}


@pytest.mark.parametrize("command", ["plan", "render"])
def test_a_take_that_cannot_be_chosen_is_refused_and_writes_nothing(film, command):
    before = contents(film.folder)
    code, error = film.command(command, film.board, "--run", film.run, "--take", "dawn:2=1")
    assert (code, error) == (
        2,
        'ursa-ray: --take dawn:2=1: shot "dawn" has no segment "2". Its segments are dawn:0 to dawn:1.\n',
    )
    assert contents(film.folder) == before


def test_several_parts_are_retaken_at_once(film):
    assert film.render("--retake", "dusk:1", "--retake", "night")["generated_segments"] == 2
    assert film.command("status", film.run, "--json")[1]["takes"] == {"dusk[1]": 2, "night[0]": 2}


def test_a_retaken_shot_stays_retaken_while_others_are_edited(film):
    film.render("--retake", "night")
    night = film.frames()[38:]
    film.write(BOARD.replace("falls", "sinks"))
    assert film.render()["generated_segments"] == 2
    np.testing.assert_array_equal(film.frames()[38:], night)


@pytest.mark.parametrize("num_done", [0, 1])
def test_an_interrupted_retake_is_gone_on_with_and_not_retaken_again(film, num_done):
    plan, run = with_takes(prepare(film.board).plan, {"dusk[0]": 1, "dusk[1]": 1}), Run.open(film.run)
    with pytest.raises(KeyboardInterrupt):
        render(plan, run, executor_for(plan, run, Interrupted, after=num_done))
    found = film.plan()
    assert why(found) == {"dusk": [f"dusk[{num_done}]: retaken, not rendered yet"]}
    assert found["num_new"] == 2 - num_done
    assert film.render()["generated_segments"] == 2 - num_done
    assert film.command("status", film.run, "--json")[1]["takes"] == {"dusk[0]": 2, "dusk[1]": 2}


@pytest.mark.parametrize("num_done", [0, 1, 2])
def test_a_retake_asked_for_again_before_the_film_is_finished_goes_on(film, num_done):
    """A job that is submitted again is the same command; of 2 of these 3 segments, a whole part is committed."""
    takes = {"dusk[0]": 1, "dusk[1]": 1, "night[0]": 1}
    plan, run = with_takes(prepare(film.board).plan, takes), Run.open(film.run)
    with pytest.raises(KeyboardInterrupt):
        render(plan, run, executor_for(plan, run, Interrupted, after=num_done))
    parts = ["--retake", "dusk", "--retake", "night"]
    assert film.plan(*parts)["num_new"] == 3 - num_done
    assert film.render(*parts)["generated_segments"] == 3 - num_done
    assert film.command("status", film.run, "--json")[1]["takes"] == {"dusk[0]": 2, "dusk[1]": 2, "night[0]": 2}
    assert film.render("--retake", "night:0")["generated_segments"] == 1


def test_a_retake_that_is_not_taken_again_is_told(film):
    run = Run.open(film.run)
    run.begin(with_takes(prepare(film.board).plan, {"night[0]": 1}))
    said = "warning: --retake night: its take is in no finished film yet, so this goes on with that one.\n"
    with pytest.raises(SystemExit):
        main([str(each) for each in ("plan", film.board, "--run", film.run, "--retake", "night", "--retake", "dusk")])
    assert film.capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("noon", 'there is no shot "noon". Shots: dawn, dusk, night.'),
        ("dawn:2", 'shot "dawn" has no segment "2". Its segments are dawn:0 to dawn:1.'),
    ],
)
@pytest.mark.parametrize("command", ["plan", "render"])
def test_a_retake_of_what_is_not_there_names_what_is_and_writes_nothing(film, command, part, message):
    before = contents(film.folder)
    options = ["--run", film.run, "--retake", "night", "--retake", part]
    assert film.command(command, film.board, *options) == (2, f"ursa-ray: --retake {part}: {message}\n")
    assert contents(film.folder) == before


@pytest.mark.parametrize("command", ["plan", "render"])
def test_a_retake_where_nothing_is_rendered_is_refused_and_writes_nothing(film, command):
    code, error = film.command(command, film.board, "--run", film.folder / "other", "--retake", "dawn")
    assert code == 2
    assert "nothing is rendered yet that could be made again. Give the --run" in error
    assert not (film.folder / "other").exists()


def test_a_render_planned_before_another_one_s_retake_stops_and_leaves_the_film_alone(film):
    plan, run = prepare(film.board).plan, Run.open(film.run)
    sha256 = film.render("--retake", "night")["sha256"]
    with pytest.raises(UrsaRayError) as caught:
        render(plan, run, executor_for(plan, run))
    assert caught.value.exit_code == 7
    assert film.render()["sha256"] == sha256


def test_a_run_that_is_not_there_yet_would_have_all_new_and_is_not_made(film):
    before = contents(film.folder)
    film.run = film.folder / "other"
    found = film.plan()
    assert (found["is_there"], found["num_kept"], found["num_new"], found["num_unused"]) == (False, 0, 5, 0)
    assert set(why(found)) == {"dawn", "dusk", "night"}
    assert contents(film.folder) == before


def test_a_plan_against_a_folder_of_something_else_is_refused(film):
    (film.folder / "photos").mkdir()
    (film.folder / "photos" / "cat.txt").write_text("meow")
    code, error = film.command("plan", film.board, "--run", film.folder / "photos")
    assert code == 2
    assert "neither a run nor an empty folder" in error


def test_a_render_is_looked_at_while_it_works_and_not_disturbed(film):
    seen = []

    class Onlooker(Listener):
        def start(self, segment, place):
            before = logged()
            seen.append((film.plan()["num_new"], film.command("status", film.run, "--json")[1]["num_committed"]))
            assert logged() == before

    def logged():
        """All but the media folder, where frames of the segment before are still being written."""
        return {path: found for path, found in contents(film.run).items() if "media" not in path.parts}

    shutil.rmtree(film.run)
    plan, run = prepare(film.board).plan, Run.create(film.run)
    executor = executor_for(plan, run)
    assert render(plan, run, executor, Onlooker()).generated_segments == 5
    assert seen == [(5, 0), (4, 1), (3, 2), (2, 3), (1, 4)]


def test_a_comparison_says_what_it_costs_and_why(film):
    film.write(BOARD.replace("falls", "sinks").replace("frames: 9", "frames: 20"))
    lines = main_text(film, "plan", film.board, "--run", film.run).splitlines()
    start = lines.index(f"{film.run} has 3 of these 6 segments")
    assert lines[start + 1 :] == [
        "shot   segments  kept  new  why",
        "dawn          2     2    0",
        "dusk          2     0    2  dusk[0]: prompt changed",
        "night         2     1    1  longer: 1 more segment",
        "film          6     3    3",
        "unused: 2 segments of other versions stay in the run",
        lines[-1],
    ]
    assert lines[-1].startswith("new work: 3 segments, ") and lines[-1].endswith(" of an H200 (predicted)")


def test_a_lost_plan_comes_back_with_the_next_render(film):
    (plan,) = film.run.glob("plan-*.parquet")
    plan.unlink()
    code, error = film.command("plan", film.board, "--run", film.run)
    assert code == 4
    assert "is missing. Render its storyboard again" in error
    assert film.render()["generated_segments"] == 0
    assert film.plan()["num_new"] == 0


def test_a_comparison_loads_neither_torch_nor_ray(film):
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(sorted({'torch', 'ray', 'transformers'} & set(sys.modules))))\n"
        "from ursa_ray.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", script, "plan", film.board, "--run", film.run, "--retake", "dawn"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
