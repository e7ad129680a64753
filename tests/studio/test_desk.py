"""What can be done in the storyboard room, with real renders and without a page."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.storyboards import FROM_IMAGE, TWO_SHOTS, write
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.errors import AssetError, LedgerError, OptionError
from ursa_ray.ledger import Run
from ursa_ray.media import probe
from ursa_ray.studio import markup
from ursa_ray.studio.answers import Answers
from ursa_ray.studio.asked import Asked
from ursa_ray.studio.assets import bring
from ursa_ray.studio.checking import Again
from ursa_ray.studio.children import Children, Ended, last_complaint, pid_here
from ursa_ray.studio.desk import Desk
from ursa_ray.studio.models import is_fetched_first, models
from ursa_ray.studio.view import Phase
from ursa_ray.studio.watching import Watching

LONG = TWO_SHOTS.replace("steps: 4", "steps: 900")


@pytest.fixture
def new_desk(tmp_path):
    """A studio that was just started, on the same folders as the others of a test."""
    made = []

    def make(opened=None, making=()):
        made.append(Desk(tmp_path / "runs", tmp_path / "examples", tmp_path / "shown", opened, making))
        return made[-1]

    yield make
    for desk in made:  # renders outlive their studio
        for children in (desk._children, *desk.samples._children.values()):
            for process in children._processes.values():
                process.kill()
                process.wait()


@pytest.fixture
def desk(new_desk):
    return new_desk()


def picture(path, colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), colour).save(path)
    return path


def wait_for(condition, limit_s=90):
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_mistake_is_told_with_its_line_and_without_the_folders_of_this_machine(desk, tmp_path):
    (found,) = desk.check("film", TWO_SHOTS.replace("steps: 4", "steps: many")).problems
    assert (found.line, found.text) == (4, 'defaults.steps is "many", expected a whole number from 1 to 1,000')
    (found,) = desk.check("film", FROM_IMAGE).problems
    assert found.text == 'shots[0] ("title"): image is "title.png", but there is no file title.png'


@pytest.mark.parametrize(
    "path", ["other/title.png", "../other/title.png", "/etc/passwd", "http://example.com/title.png"]
)
def test_a_storyboard_reaches_only_what_was_uploaded_for_it(desk, tmp_path, path):
    write(desk.boards.folder("other"), "picture", "title.png")
    checked = desk.check("film", FROM_IMAGE.replace("image: title.png", f"image: {path}"))
    assert checked.plan is None and checked.problems[0].line == 5


def test_checking_leaves_nothing_behind(desk):
    desk.check("film", TWO_SHOTS)
    assert list(desk.boards.folder("film").iterdir()) == []


def test_a_storyboard_with_mistakes_is_not_rendered(desk, tmp_path):
    with pytest.raises(OptionError, match="Mend the storyboard first: line 4: "):
        desk.render("film", TWO_SHOTS.replace("steps: 4", "steps: many"))
    assert not (tmp_path / "runs" / "film").exists()


def test_a_render_is_watched_played_and_taken_home(desk, tmp_path):
    desk.render("film", TWO_SHOTS)
    with pytest.raises(OptionError, match="being rendered already"):
        desk.render("film", TWO_SHOTS)
    assert desk.look("film").view.phase is Phase.STARTING
    wait_for(lambda: desk.look("film").view.phase is Phase.FINISHED)
    shown = desk.look("film")
    assert len(shown.pictures) == 4 and all(path.exists() for path in shown.pictures.values())
    played, _ = desk.play("film")
    assert played.read_bytes() == (tmp_path / "runs" / "film" / "film.mp4").read_bytes()
    run = Run.open(tmp_path / "runs" / "film")
    with np.load(desk.tokens("film")) as codes:
        assert sorted(codes) == ["dawn[0]", "dawn[1]", "dusk[0]", "dusk[1]"]
        assert all(np.array_equal(codes[s.name], run.segments[s.key].array()) for s in run.plan().segments)
    (tmp_path / "runs" / "film" / "film.mp4").unlink()
    run.segments.pop(run.plan().segments[3].key)
    again = desk.check("film", TWO_SHOTS.replace("falls", "rests"))
    assert (again.difference.num_kept, again.difference.num_new, again.is_measured) == (2, 2, True)


def test_a_film_that_the_command_line_rendered_opens_with_its_storyboard(new_desk, tmp_path, run_command):
    board = write(tmp_path / "else", TWO_SHOTS.replace("steps: 4", "steps: 1"))
    assert run_command("render", board, "--run", tmp_path / "runs" / "film")[0] == 0
    desk = new_desk()
    assert desk.films() == ["film"]
    opened = desk.open("film")
    assert opened.text == board.read_text()
    assert desk.check("film", opened.text).difference.num_new == 0
    assert desk.boards.save("film", f"{opened.text}# more", opened.version)


@pytest.fixture
def render_elsewhere(tmp_path, run_command):
    """Render a storyboard with a picture in a folder, and lose both; the run."""

    def render(run, image="stills/sunset.png"):
        picture(tmp_path / "else" / "stills" / "sunset.png")
        board = write(tmp_path / "else", FROM_IMAGE.replace("title.png", image).replace("steps: 3", "steps: 1"))
        assert run_command("render", board, "--run", run)[0] == 0
        shutil.rmtree(tmp_path / "else")
        return Run.open(run)

    return render


def test_a_run_of_a_picture_that_was_made_elsewhere_is_taken_again_here(new_desk, tmp_path, render_elsewhere):
    render_elsewhere(tmp_path / "run")
    desk = new_desk(opened=str(tmp_path / "run"))
    (film,) = desk.films()
    opened = desk.open(film)
    assert "image: stills/sunset.png" in opened.text
    assert desk.boards.assets(film) == ["stills/sunset.png"]
    assert desk.check(film, opened.text).difference.num_new == 0
    desk.render(film, opened.text, Again("title"))
    wait_for(lambda: Run.open(tmp_path / "run").takes == {"title[0]": 1})


@pytest.mark.parametrize("name", ["storyboard.yaml", "../storyboard.png", "/title.png", "sub/../../other/title.png"])
def test_a_strangers_run_puts_only_pictures_and_only_into_the_folder_of_its_film(
    desk, tmp_path, render_elsewhere, name
):
    run = render_elsewhere(tmp_path / "runs" / "film")
    hostile = FROM_IMAGE.replace("title.png", name)
    boards = tmp_path / "runs" / ".studio" / "boards"
    bring(run, run.plan(), write(boards / "film", hostile, "rendered.yaml"))
    assert [path.name for path in boards.rglob("*") if path.is_file()] == ["rendered.yaml"]


def test_an_asset_of_a_run_that_is_not_what_the_plan_says_is_not_taken(desk, tmp_path, render_elsewhere):
    run = render_elsewhere(tmp_path / "runs" / "film")
    sha256 = run.plan().segments[0].condition.sha256
    picture(tmp_path / "other.png", "blue").replace(tmp_path / "runs" / "film" / "assets" / sha256)
    assert desk.open("film").text
    assert desk.boards.assets("film") == []


def test_of_a_picture_that_lacks_it_is_said_which_upload_is_meant(desk, tmp_path):
    desk.boards.add_asset("film", picture(tmp_path / "sunset.png"))
    (found,) = desk.check("film", FROM_IMAGE.replace("title.png", "stills/sunset.png")).problems
    assert found.text.endswith("no file stills/sunset.png. Uploaded: sunset.png; write image: sunset.png.")
    (found,) = desk.check("film", FROM_IMAGE).problems
    assert found.text.endswith("no file title.png. Uploaded: sunset.png. Name one of them, or upload title.png.")
    (found,) = desk.check("film", FROM_IMAGE.replace("image: title.png", "video: Sunset.PNG")).problems
    assert found.text.endswith("no file Sunset.PNG. Uploaded: sunset.png; write video: sunset.png.")


def test_single_results_of_the_command_line_are_no_films(desk, tmp_path, run_command):
    runs = tmp_path / "runs"
    assert run_command("image", "a red circle", "--steps=1", "--run", runs / "circle")[0] == 0
    board = write(tmp_path, TWO_SHOTS.replace("steps: 4", "steps: 1"))
    assert run_command("render", board, "--run", runs / "film")[0] == 0
    (runs / "damaged").mkdir()
    (runs / "damaged" / "FORMAT.json").write_text("{")
    assert desk.films() == ["damaged", "film"]


def test_a_model_that_is_not_here_is_said_to_be_fetched_first(desk):
    board = TWO_SHOTS.replace("model: tiny", "model: BAAI/URSA-1.7B-FSQ320")
    told = desk.check("film", board).warnings[0]
    assert (told.line, told.text) == (3, "BAAI/URSA-1.7B-FSQ320 is not on this machine: rendering fetches it first.")
    assert not any("fetches" in each.text for each in desk.check("film", TWO_SHOTS).warnings)


def test_why_a_render_ended_is_told_without_folders_until_the_text_is_another(desk, tmp_path):
    board = TWO_SHOTS.replace("model: tiny", "model: BAAI/URSA-1.7B-FSQ320")
    opened = desk.begin("film")
    version = desk.boards.save("film", board, opened.version)
    desk.render("film", board)
    wait_for(lambda: desk.look("film").view.complaint)
    told = desk.look("film").view.complaint
    assert told.startswith(
        "line 3: model 'BAAI/URSA-1.7B-FSQ320' is not on this machine and the hub cannot be reached."
    )
    assert str(tmp_path) not in told
    desk.boards.save("film", TWO_SHOTS, version)
    assert desk.look("film").view.complaint == ""


def test_models_to_choose_from_are_those_that_are_here_and_those_that_can_be_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("own--video", "other--text"):
        shutil.copytree(TINY, tmp_path / f"models--{name}" / "snapshots" / ("0" * 40))
        write(tmp_path / f"models--{name}" / "refs", "0" * 40, "main")
    write(tmp_path / "models--other--text" / "snapshots" / ("0" * 40), "{}", "model_index.json")
    chosen = {name: label for label, name in models("video")}
    assert list(chosen) == ["tiny", "own/video", "BAAI/URSA-0.6B-FSQ320", "BAAI/URSA-1.7B-FSQ320"]
    assert chosen["BAAI/URSA-0.6B-FSQ320"] == "BAAI/URSA-0.6B-FSQ320 (is fetched first)"
    assert "BAAI/URSA-1.7B-IBQ1024" in dict(models("image")).values()
    assert [name for name in ("tiny", "own/video", "BAAI/URSA-1.7B-FSQ320") if is_fetched_first(name)] == [
        "BAAI/URSA-1.7B-FSQ320"
    ]


def test_a_storyboard_that_is_uploaded_gets_the_pictures_that_come_with_it(desk, tmp_path):
    desk.begin("open")
    paths = [picture(tmp_path / "title.png"), write(tmp_path, FROM_IMAGE, "new.yaml"), write(tmp_path, "no", "bad.png")]
    answers = Answers(desk)
    chosen, _, message, said = answers.upload("open", [str(path) for path in paths])
    assert chosen["value"] == "new"
    assert (desk.boards.assets("new"), desk.boards.assets("open")) == (["title.png"], [])
    assert "Kept: new, title.png." in message and "bad.png: is not a PNG" in message
    assert message in answers.open_said("new", said)
    assert answers.open_said("open", "")[3] == ""


def test_a_studio_that_is_started_again_finds_the_render_and_cancels_it(new_desk):
    first = new_desk()
    first.render("film", LONG)
    wait_for(lambda: first.look("film").view.segments and first.look("film").view.segments[0].num_done)
    second = new_desk()
    shown = second.look("film").view
    assert (shown.phase, shown.can_cancel) == (Phase.RENDERING, True)
    assert shown.segments[0].num_done >= 1
    second.cancel("film")
    ending = second.look("film").view
    assert (ending.phase, ending.can_cancel, ending.can_render) == (Phase.ENDING, False, False)
    wait_for(lambda: second.look("film").view.phase is Phase.PAUSED, 30)
    phases = []
    wait_for(lambda: phases.append(first.look("film").view.phase) or phases[-1] is Phase.PAUSED, 30)
    assert Phase.STARTING not in phases  # its process is there for longer than its lease
    assert second.look("film").view.can_resume
    with pytest.raises(OptionError, match="nobody renders it any more"):
        second.cancel("film")
    with pytest.raises(OptionError, match="There is nothing to play yet"):
        second.play("film")


def test_a_run_that_was_made_elsewhere_can_be_opened_beside_one_of_its_name(new_desk, goldens):
    desk = new_desk(opened=str(goldens / "runs" / "0.1.0"))
    (film,) = desk.films()
    assert desk.open(film).text == ""
    shown = desk.look(film)
    assert shown.view.phase is Phase.FINISHED
    assert probe(shown.film).num_frames == sum(segment.num_frames for segment in shown.view.segments)


def test_a_run_whose_plan_is_lost_is_mended_by_rendering_it(desk, goldens, tmp_path):
    run = tmp_path / "runs" / "film"
    shutil.copytree(goldens / "runs" / "0.1.0", run)
    for path in run.glob("plan-*"):
        path.unlink()
    with pytest.raises(LedgerError, match="Render its storyboard again"):
        desk.look("film")
    told, *_ = Watching(desk).look("film", "", None, "", "", "", "", "")
    assert "film/plan-" in told and str(tmp_path) not in told
    desk.render("film", TWO_SHOTS.replace("steps: 4", "steps: 1"))
    wait_for(lambda: desk.check("film", TWO_SHOTS.replace("steps: 4", "steps: 1")).difference.num_new == 0)
    wait_for(lambda: desk.look("film").view.phase is Phase.FINISHED)


def test_a_run_that_is_removed_is_gone_and_can_be_rendered_anew(desk, goldens, tmp_path):
    run = tmp_path / "runs" / "film"
    shutil.copytree(goldens / "runs" / "0.1.0", run)
    assert desk.look("film").view.phase is Phase.FINISHED
    shutil.rmtree(run)
    desk._look("film").expire()
    gone = desk.look("film").view
    assert (gone.phase, gone.segments, gone.can_render) == (Phase.EMPTY, (), True)
    assert desk.check("film", TWO_SHOTS).difference.num_kept == 0


def test_why_a_render_ended_is_told(desk, tmp_path):
    (tmp_path / "runs" / "film").mkdir(parents=True)
    (tmp_path / "runs" / "film" / "other").write_text("not a run")
    with pytest.raises(OptionError, match="neither a run nor an empty folder"):
        desk.render("film", TWO_SHOTS)


def test_single_results_are_made_and_their_mistakes_told(desk):
    with pytest.raises(OptionError, match="There is no prompt"):
        desk.samples.make("image", Asked(" "))
    name = desk.samples.make("image", Asked("--help me", number=2, steps="4"))
    wait_for(lambda: desk.samples.look("image", name).view.phase is Phase.FINISHED)
    assert [path.suffix for path in desk.samples.look("image", name).files.values()] == [".png", ".png"]
    ((label, made),) = desk.samples.made("image")
    assert made == name and label.startswith("--help me, seed 0, ")
    assert desk.samples.make("image", Asked("--help me", number=2, steps="4")) == name
    wrong = desk.samples.make("image", Asked("a circle", steps="many"))
    wait_for(lambda: "Invalid value for '--steps'" in desk.samples.look("image", wrong).view.complaint)
    assert [name for _, name in desk.samples.made("image")] == [name]


def test_what_is_being_made_is_refused_by_its_own_name_and_keeps_its_place_in_the_list(desk):
    first = desk.samples.make("image", Asked("first", steps="900"))
    time.sleep(0.02)  # as the list tells them apart
    second = desk.samples.make("image", Asked("second", steps="900"))
    listed = desk.samples.made("image")
    assert [name for _, name in listed] == [second, first]
    with pytest.raises(OptionError, match=f"^{first}: is being rendered already"):
        desk.samples.make("image", Asked("first", steps="900"))
    with pytest.raises(OptionError, match=f"^{first}: is being rendered already"):
        desk.samples.resume("image", first)
    with pytest.raises(OptionError, match=r"^unknown: nobody renders it any more"):
        desk.samples.cancel("image", "unknown")
    assert desk.samples.made("image") == listed


@pytest.mark.parametrize(
    "said", ['{"prompt": 5}', '{"prompt": "a", "steps": 4}', '{"prompt": "a", "number": true}', "[]", "{}", "5"]
)
def test_one_of_the_list_that_is_damaged_takes_no_other_with_it(desk, tmp_path, said):
    folder = tmp_path / "runs" / ".studio" / "samples" / "image"
    for name, text in (("whole", '{"prompt": "a red circle"}'), ("damaged", said)):
        write(folder, text, f"{name}.json")
        write(folder / name, "{}", "FORMAT.json")
    assert [name for _, name in desk.samples.made("image")] == ["whole"]
    with pytest.raises(OptionError, match=r"^damaged: what was asked for is damaged"):
        desk.samples.resume("image", "damaged")


@pytest.mark.parametrize("motion", [9, 9.0, 2.5, None])
@pytest.mark.parametrize("text", ["", None])  # a field that was not touched has none
def test_what_was_asked_for_is_read_as_it_was_written(tmp_path, motion, text):
    asked = Asked("a", text, "tiny", text, None, 0, text, text, text, motion, None, "00/a.png")
    asked.keep(tmp_path / "asked.json")
    assert Asked.read(tmp_path / "asked.json").name == asked.name  # which the run has, that is gone on with


def test_a_video_that_was_cancelled_is_gone_on_with_by_a_studio_that_is_started_again(new_desk, tmp_path):
    first = new_desk().samples
    start = first.keep(picture(tmp_path / "Sun set.png"))
    asked = Asked("a red circle", "blurry", steps="900", seed=3, duration="1s", motion=2.5, start=start)
    name = first.make("video", asked)
    wait_for(lambda: first.look("video", name).view.phase is Phase.RENDERING)
    first.cancel("video", name)
    wait_for(lambda: first.look("video", name).view.phase is Phase.PAUSED, 30)

    second = new_desk().samples
    assert [made for _, made in second.made("video")] == [name]
    assert second.asked("video", name) == asked
    assert second.upload(start).name == "Sun-set.png"
    assert second.resume("video", name) == name
    wait_for(lambda: second.look("video", name).view.can_cancel)
    (segment,) = second._look("video", name).run.plan().segments
    assert (segment.negative_prompt, segment.film) == ("blurry", (0, 12))
    with pytest.raises(OptionError, match="nothing of this name was made here"):
        second.resume("video", "unknown")
    write(tmp_path / "runs" / ".studio" / "samples" / "video", '{"prompt', f"{name}.json")
    assert second.made("video") == []
    with pytest.raises(OptionError, match="what was asked for is damaged"):
        second.resume("video", name)


def test_a_file_to_start_from_is_known_by_what_it_holds_and_must_be_a_picture_or_a_clip(desk, tmp_path):
    one, same, other = (tmp_path / folder / "a.png" for folder in ("one", "same", "other"))
    for path, colour in ((one, "red"), (same, "red"), (other, "blue")):
        picture(path, colour)
    kept = desk.samples.keep(one)
    assert desk.samples.keep(same.rename(same.with_name("b.png"))) == kept != desk.samples.keep(other)
    with pytest.raises(AssetError, match=r"^bad\.mp4: is no whole"):
        desk.samples.keep(write(tmp_path, "no clip", "bad.mp4"))


def test_what_a_studio_begins_has_the_options_that_it_was_given(new_desk, tmp_path):
    desk = new_desk(making=["--threads=2", "--device=cpu"])
    name = desk.samples.make("image", Asked("-x", steps="1"))
    desk.render("film", TWO_SHOTS.replace("steps: 4", "steps: 1"))
    runs = tmp_path / "runs" / ".studio" / "samples" / "image" / name, tmp_path / "runs" / "film"
    for run in runs:
        wait_for(lambda run=run: (run / "FORMAT.json").exists() and Run.open(run).segments)
        assert {commit.num_threads for commit in Run.open(run).segments.values()} == {2}


@pytest.fixture
def begun():
    """A process that waits, under a name of its own."""
    processes = []

    def begin(name):
        processes.append(subprocess.Popen([name, "60"], executable="/bin/sleep"))
        pid = processes[-1].pid
        wait_for(lambda: name in Path(f"/proc/{pid}/cmdline").read_text())
        return pid

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def test_a_text_that_no_command_can_be_given_is_refused_and_leaves_nothing(desk):
    for asked in (Asked("a\0b"), Asked("a \ud800"), Asked("a", model="tiny\0")):
        with pytest.raises(OptionError, match="control character"):
            desk.samples.make("image", asked)
    assert desk.samples.made("image") == []


def test_half_of_a_character_is_a_mistake_with_its_line(desk):
    broken = TWO_SHOTS + "# \ud83d"
    (found,) = desk.check("film", broken).problems
    assert found.text.startswith(f"Line {broken.count(chr(10)) + 1} holds half of a character (U+D83D)")
    with pytest.raises(OptionError, match="half of a character"):
        desk.boards.save("film", broken, "")


def test_a_render_that_is_refused_changes_nothing_of_the_one_that_goes_on(desk):
    desk.render("film", LONG)
    (board,) = desk.boards.folder("film").glob("rendered-*.yaml")
    with pytest.raises(OptionError, match="being rendered already"):
        desk.render("film", TWO_SHOTS)
    assert board.read_text() == LONG


def test_of_several_uploads_those_that_are_taken_and_those_that_are_not_are_told(desk, tmp_path):
    desk.begin("film")
    paths = [picture(tmp_path / "a.png"), write(tmp_path, "<script>", "b.html"), picture(tmp_path / "c.png")]
    _, listed, message, _ = Answers(desk).upload("film", [str(path) for path in paths])
    assert "a.png" in listed and "c.png" in listed
    assert "Kept: a.png, c.png." in message and "b.html" in message and "is not taken" in message


def test_a_film_that_is_nowhere_is_not_told_as_rendered_elsewhere(desk):
    *_, message, part = Answers(desk).open("nosuchfilm")
    assert "There is no film of this name" in message
    assert part is None  # what was chosen of another film is chosen no more


def test_only_a_process_of_this_machine_is_interrupted(begun):
    pid = begun("/usr/local/bin/ursa-ray")
    held = f"process {pid} on {os.uname().nodename} since 2026-01-01T00:00:00+00:00"
    assert pid_here(held) == pid
    assert pid_here(held.replace(" on ", " on else")) is None
    assert pid_here("nonsense") is None and pid_here(None) is None


def test_a_number_that_may_be_anothers_by_now_is_not_interrupted(begun):
    pid = begun("ursa-ray")
    held = "process {} on " + os.uname().nodename + " since 2026-01-01T00:00:00+00:00"
    assert pid_here(f"{held.format(pid)}, or nobody: this file system has no locks") is None
    assert pid_here(held.format(begun("editor"))) is None
    assert pid_here(held.format(0)) is None and pid_here(held.format(1)) is None


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.3])
def test_a_process_that_is_told_to_end_is_ending_at_once_and_has_not_failed(tmp_path, after_s):
    children = Children(tmp_path)
    children.begin("film", "render", write(tmp_path, LONG), f"--run={tmp_path / 'run'}")
    time.sleep(after_s)
    assert not children.is_told("film", None)
    children.interrupt("film", None)
    children.interrupt("film", None)  # told twice it would not end in order
    assert children.is_told("film", None) or not children.is_running("film")
    wait_for(lambda: not children.is_running("film"), 30)
    assert not children.ended("film").is_worth_telling, children.ended("film")
    children.begin("film", "plan", "--wrong")
    wait_for(lambda: not children.is_running("film"), 30)
    assert children.ended("film").is_worth_telling


@pytest.mark.parametrize(("code", "complaint"), [(-2, ""), (-15, ""), (1, "KeyboardInterrupt")])
def test_an_end_by_a_signal_is_told_unless_the_studio_sent_it(code, complaint):
    assert not Ended(code, complaint, was_told=True).is_worth_telling
    assert Ended(code, complaint, was_told=False).is_worth_telling


@pytest.mark.parametrize(("code", "complaint"), [(-9, ""), (1, "ledger: broken"), (2, "KeyboardInterrupt")])
def test_a_failure_after_a_cancel_is_told(code, complaint):
    assert Ended(code, complaint, was_told=True).is_worth_telling


def test_the_last_complaint_of_a_log_is_told(tmp_path):
    log = tmp_path / "log"
    assert last_complaint(log) == ""
    log.write_text('{"level": "error", "message": "first"}\n{"level": "info", "message": "x"}\n{"level": "error"}\n')
    assert last_complaint(log) == "first"


def test_what_people_write_is_text_on_the_page_and_never_markup(desk):
    hostile = "<script>alert(1)</script>"
    checked = desk.check("film", TWO_SHOTS.replace("Two shots", hostile))
    wrong = desk.check("film", TWO_SHOTS.replace("id: dawn", f"id: '{hostile}'"))
    texts = [markup.plan_table(checked), markup.problems(wrong), markup.complained(hostile), markup.assets([hostile])]
    for text in texts:
        assert "&lt;script&gt;" in text and "<script>" not in text
