"""What is told before a part of a film is taken again, and what is there to play while it is not finished."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path

import gradio as gr
import pytest

from tests.storyboards import TWO_SHOTS, write
from ursa_ray.errors import OptionError
from ursa_ray.files import file_sha256
from ursa_ray.ledger import FILM, Run, preview_name
from ursa_ray.plan import with_takes
from ursa_ray.studio.answers import NO_FILM, Answers
from ursa_ray.studio.checking import Again
from ursa_ray.studio.desk import Desk
from ursa_ray.studio.pictures import Pictures
from ursa_ray.studio.view import Phase, Plays
from ursa_ray.studio.watching import CHANGED, Watching

BRIEF = TWO_SHOTS.replace("steps: 4", "steps: 2")
OTHER_SEED = BRIEF.replace("seed: 11", "seed: 12")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A folder of runs with one finished film: dawn[0], dawn[1], dusk[0] and dusk[1], 38 frames at 12 a second."""
    folder = tmp_path_factory.mktemp("rendered")
    desk = Desk(folder / "runs", folder, folder / "shown")
    desk.boards.begin("film", BRIEF)
    desk.render("film", BRIEF)
    until = time.monotonic() + 90
    while desk._children.is_running("film"):
        assert time.monotonic() < until
        time.sleep(0.1)
    return folder / "runs"


@pytest.fixture
def desk(rendered, tmp_path):
    shutil.copytree(rendered, tmp_path / "runs")
    return Desk(tmp_path / "runs", tmp_path, tmp_path / "shown")


@pytest.fixture
def run(desk, tmp_path):
    return Run.open(tmp_path / "runs" / "film")


def seen(desk, film, text="", part=None, take="", playing=""):
    """What a look sends to a page that shows nothing yet, by what it changes."""
    return dict(zip(CHANGED, Watching(desk).look(film, text, part, take, "", "", playing, ""), strict=False))


def is_enabled(update):
    return update["interactive"]


def begin_a_take(run, *names):
    """As a render does that ends before it has made anything."""
    run.begin(with_takes(run.plan(), dict.fromkeys(names, 1)))


def test_with_nothing_chosen_to_take_again_nothing_is_begun(desk):
    for part in (None, "", "noon", "noon --address=evil"):
        version = desk.boards.open("film").version
        _, message = Answers(desk).retake("film", OTHER_SEED, version, part, "")
        assert "Choose what to take again: dawn, dawn[0], dawn[1], dusk, dusk[0], dusk[1]" in message
    assert desk._children.ended("film") is None and not desk._children.is_running("film")
    assert not is_enabled(seen(desk, "film", BRIEF)["retake"])
    assert is_enabled(seen(desk, "film", BRIEF, "dusk[1]")["retake"])


@pytest.mark.parametrize(
    ("part", "option", "text"),
    [("dusk", "dusk", BRIEF), ("dawn[1]", "dawn:1", BRIEF), ("dusk[1]", "dusk:1", BRIEF.replace("moves", "rolls"))],
)
def test_before_a_part_is_taken_again_is_told_what_the_command_line_says_of_it(
    desk, tmp_path, run_command, part, option, text
):
    board = write(tmp_path, text)
    _, said, _ = run_command("plan", board, "--run", tmp_path / "runs" / "film", "--retake", option)
    (last,) = (line.split() for line in said.split("shot ")[-1].splitlines() if line.startswith("film"))
    told = seen(desk, "film", text, part)["foretold"]
    assert f"Take 2 of {part}. New work: {last[3]} segment" in told
    assert ("Render alone would make" in told) == (text != BRIEF)


def test_an_earlier_take_is_chosen_by_its_number_for_nothing(desk, run):
    begin_a_take(run, "dusk[1]")
    page = seen(desk, "film", BRIEF, "dusk[1]", "1")
    assert "New work: 1 segment" in page["plan"] and is_enabled(page["retake"])
    assert "Take 1 of dusk[1]. Nothing is new" in page["foretold"]
    assert Again("dusk[1]", 1).option == "--take=dusk:1=1" and Again("dusk").option == "--retake=dusk"


@pytest.mark.parametrize("take", ["0", "-1", "two", "1.5", "99999"])
def test_what_is_no_number_of_a_take_is_refused(desk, take):
    assert "expected a number from 1" in seen(desk, "film", BRIEF, "dusk", take)["foretold"]
    _, message = Answers(desk).retake("film", BRIEF, "", "dusk", take)
    assert "expected a number from 1" in message


def test_cards_say_which_take_a_segment_is_when_it_is_not_the_first(desk, run):
    assert ", take" not in seen(desk, "film")["cards"]
    begin_a_take(run, "dusk[1]")
    desk._look("film").expire()
    assert seen(desk, "film")["cards"].count("2 frames, take 2") == 1


def test_of_a_change_that_was_not_rendered_the_film_before_is_played_and_taken_home(desk, run, tmp_path):
    whole = (tmp_path / "runs" / "film" / "film.mp4").read_bytes()
    begin_a_take(run, "dusk[1]")
    shown = desk.look("film")
    assert (shown.view.phase, shown.view.plays) == (Phase.PAUSED, Plays.BEFORE)
    assert "The film before this change, 3.2 s" in seen(desk, "film")["player"]
    played, _ = desk.play("film")
    taken = desk.take("film", "film")
    assert played.read_bytes() == taken.read_bytes() == whole and taken.name == "film-before.mp4"
    # What was told as the whole film is told anew; what somebody plays meanwhile stays.
    sha256 = file_sha256(played)
    assert "before this change" in seen(desk, "film", playing=f"film {sha256}.mp4 The whole film")["player"]
    assert seen(desk, "film", playing="film other.mp4 The first 1.0 s")["player"] == gr.skip()


def test_a_film_that_another_has_taken_the_place_of_is_not_told_as_the_one_before(desk, run, tmp_path):
    begin_a_take(run, "dusk[1]")
    write(tmp_path / "runs" / "film", "another", "film.mp4")
    assert desk.look("film").film is None
    _, now = desk.play("film")
    assert now.plays is Plays.BEGINNING


def join_again(run, film):
    """Put a film of these bytes in the place of the run's, and commit it, as a render does."""
    path = write(Path(run.url), film, FILM)
    run.commit(replace(run.last_film, media_sha256=file_sha256(path)))
    return run.last_film.media_sha256


def test_a_film_that_is_joined_again_to_the_same_bytes_is_there_again(run, tmp_path):
    pictures, film = Pictures(tmp_path / "made"), Path(run.url) / FILM
    whole, sha256 = film.read_bytes(), run.last_film.media_sha256
    write(film.parent, "a film that is not committed yet", FILM)
    assert pictures.film(run, sha256) is None
    film.write_bytes(whole)
    run.commit(replace(run.last_film))
    assert pictures.film(run, sha256).read_bytes() == whole
    other = join_again(run, "other")
    assert pictures.film(run, other).read_text() == "other"


def test_a_film_that_was_damaged_while_it_was_shown_is_shown_whole_when_it_is_joined_again(run, tmp_path):
    pictures, film = Pictures(tmp_path / "made"), Path(run.url) / FILM
    whole, sha256 = film.read_bytes(), run.last_film.media_sha256
    assert pictures.film(run, sha256).exists()
    film.write_bytes(whole[:1000])  # in place: what is shown is the same file
    film.unlink()
    film.write_bytes(whole)
    run.commit(replace(run.last_film))
    assert pictures.film(run, sha256).read_bytes() == whole


def test_another_film_that_lies_there_is_not_read_again_by_every_look(run, tmp_path):
    pictures = Pictures(tmp_path / "made")
    write(Path(run.url), "another", FILM)
    assert pictures.film(run, run.last_film.media_sha256) is None
    (Path(run.url) / FILM).unlink()
    assert pictures.film(run, run.last_film.media_sha256) is None


def test_a_film_that_is_joined_while_the_one_before_is_hashed_is_not_taken_for_it(run, tmp_path, monkeypatch):
    film, sha256 = Path(run.url) / FILM, run.last_film.media_sha256

    def hashed_before_the_next(path):
        found = file_sha256(path)
        write(tmp_path, "the next film", FILM).replace(film)
        return found

    monkeypatch.setattr("ursa_ray.studio.pictures.file_sha256", hashed_before_the_next)
    shown = Pictures(tmp_path / "made").film(run, sha256)
    assert film.read_text() == "the next film"
    assert file_sha256(shown) == sha256
    assert list((tmp_path / "made").iterdir()) == [shown]


def test_of_films_that_others_have_replaced_the_last_16_are_kept_and_the_one_that_is_shown(run, tmp_path):
    pictures = Pictures(tmp_path / "made")
    shown = [pictures.film(run, join_again(run, f"film {number}")) for number in range(19)]
    named = pictures.named(shown[-1], "film.mp4")
    assert [path.exists() for path in shown] == [False, False] + [True] * 17
    first = pictures.film(run, join_again(run, "film 0"))
    assert first == shown[0] and first.read_text() == "film 0" and named.exists()


def test_a_film_of_two_runs_is_there_for_one_after_the_other_has_replaced_it(run, tmp_path):
    shutil.copytree(run.url, tmp_path / "other")
    pictures, other, sha256 = Pictures(tmp_path / "made"), Run.open(tmp_path / "other"), run.last_film.media_sha256
    assert pictures.film(run, sha256) == pictures.film(other, sha256)
    for number in range(18):
        pictures.film(other, join_again(other, f"film {number}"))
    assert file_sha256(pictures.film(run, sha256)) == sha256


def test_the_pace_of_a_run_is_known_after_a_change_that_touches_all_of_it(desk, run):
    assert desk.check("film", OTHER_SEED).difference.num_new == 4
    assert desk.check("film", OTHER_SEED).is_measured
    assert not desk.check(
        "film", OTHER_SEED.replace("defaults", "video: {width: 96, height: 48}\ndefaults")
    ).is_measured
    begin_a_take(run, *(segment.name for segment in run.plan().segments))
    desk._look("film").expire()
    assert desk.check("film", OTHER_SEED).is_measured  # of the film before


@pytest.mark.parametrize("film", ["", None, "../x", "damaged"])
def test_nothing_of_the_film_before_stays_on_the_page_beneath_an_error(desk, tmp_path, film):
    shutil.copytree(tmp_path / "runs" / "film", tmp_path / "runs" / "damaged")
    for path in (tmp_path / "runs" / "damaged").glob("plan-*"):
        path.unlink()
    left = seen(desk, film, BRIEF, "dusk")
    assert left["cards"] == left["plan"] == left["problems"] == left["foretold"] == ""
    assert left["part"]["choices"] == [] and left["part"]["value"] is None
    assert "The film appears here" in left["player"]
    assert [name for name, each in left.items() if isinstance(each, dict) and each.get("interactive")] == (
        ["render"] if film == "damaged" else []
    )
    assert str(tmp_path) not in str(left)


def test_what_is_asked_for_with_no_film_chosen_is_told_to_choose_one(desk):
    answers = Answers(desk)
    told = [answers.render("", "", "")[1], answers.retake(None, "", "", "a", "")[1], answers.take(None, "film")]
    told += [answers.cancel(""), answers.type(None, "a", "")[1], Watching(desk).play("", "")[2]]
    assert all(NO_FILM in each for each in told)


def test_what_cannot_be_opened_is_told_without_the_folder_that_it_is_in(desk, tmp_path):
    (tmp_path / "runs" / "other").mkdir()
    write(tmp_path / "runs" / "other", "not a run", "notes.txt")
    *_, message, _ = Answers(desk).open("other")
    assert "other: is neither a run nor" in message and str(tmp_path) not in message


def test_pages_on_different_films_leave_each_other_their_previews(tmp_path):
    pictures = Pictures(tmp_path / "shown")
    runs = [Run.create(tmp_path / name) for name in ("one", "two")]
    for run in runs:
        run.store.put(preview_name("key"), b"the same picture")
    for _ in range(3):
        shown = [pictures.previews(run, {"key": 1})["key"] for run in runs]
        assert all(path.exists() for path in shown)
    assert pictures.previews(runs[0], {}) == {}
    assert not shown[0].exists() and shown[1].exists()


def test_a_finished_film_is_shown_without_a_copy_of_it(desk, tmp_path):
    film = tmp_path / "runs" / "film" / "film.mp4"
    assert desk.look("film").film.samefile(film)


def test_an_unknown_shot_is_told_when_it_is_to_be_taken_again(desk):
    without = BRIEF.replace("id: dawn", "id: noon").replace("continue: dawn", "continue: noon")
    assert "there is no shot &quot;dawn&quot;" in seen(desk, "film", without, "dawn")["foretold"]
    with pytest.raises(OptionError, match='there is no shot "dawn"'):
        desk.render("film", without, Again("dawn"))


def test_what_was_made_for_browsers_long_ago_is_removed_and_made_again_when_it_is_asked_for(desk, run, tmp_path):
    pictures, plan = Pictures(tmp_path / "made"), run.plan()
    keys = [segment.key for segment in plan.segments]
    sets = [[key for i, key in enumerate(keys) if 2**i & number] for number in range(1, 16)]
    made = [pictures.tokens(run, plan, each) for each in sets]
    named = pictures.named(made[0], "film.npz")
    films = [pictures.film_so_far(run, plan, number) for number in (1, 2)]
    assert not made[0].exists() and not named.exists()
    assert all(path.exists() for path in (*made[1:], *films))
    assert pictures.tokens(run, plan, sets[0]) == made[0] and made[0].exists()


def test_two_pages_that_ask_at_once_do_not_remove_what_is_old_twice(run, tmp_path, monkeypatch):
    pictures, plan = Pictures(tmp_path / "made"), run.plan()
    keys = [segment.key for segment in plan.segments]
    sets = list(chain.from_iterable(combinations(keys, number) for number in range(1, 5)))
    for committed in sets[:-2]:
        path = pictures.tokens(run, plan, committed)
        for number in range(50):  # removing one takes long enough for another page to come between
            pictures.named(path, f"{number}.npz")
    monkeypatch.setattr("ursa_ray.studio.pictures.MAX_KEPT", 2)
    with ThreadPoolExecutor(2) as pages:
        made = list(pages.map(lambda committed: pictures.tokens(run, plan, committed), sets[-2:]))
    assert sorted((tmp_path / "made").iterdir()) == sorted(made)
