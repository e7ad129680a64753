"""What is behind an instant of a film: from the file alone, and from its run."""

import base64
import json
import shutil
import subprocess
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.storyboards import FROM_IMAGE, TWO_SHOTS, write
from ursa_ray.errors import OptionError
from ursa_ray.exchange import WorkerOptions
from ursa_ray.executor import InProcessExecutor
from ursa_ray.explain import explain, opened
from ursa_ray.ledger import Run
from ursa_ray.media import ffmpeg, read_mezzanine, write_film
from ursa_ray.media.tags import copy_with_tags
from ursa_ray.plan import ClipCondition, ImageCondition
from ursa_ray.prepare import prepare
from ursa_ray.provenance import Encoded, Provenance, read_provenance
from ursa_ray.render import render

BOARD = TWO_SHOTS.replace("Two shots", "'Two; shots = 2'")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A finished run that no test changes."""
    folder = tmp_path_factory.mktemp("rendered")
    return render_to(folder / "run", prepare(write(folder, BOARD)).plan)


def render_to(folder, plan):
    run = Run.create(folder)
    render(plan, run, InProcessExecutor(WorkerOptions("tiny", plan.weights_sha256, run.store.anywhere, device="cpu")))
    return folder


def frames_of(run, segment):
    with run.mezzanine(segment.key) as path:
        return list(read_mezzanine(path))


def decoded(film):
    command = [ffmpeg.executable(), "-v", "error", "-i", film, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 48, 64, 3)


def said(run_command, *arguments):
    code, out, err = run_command("explain", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out.splitlines()[-1])


@pytest.mark.parametrize("options", [[], ["--fps", "30", "--retime", "nearest"], ["--fps", "25", "--retime", "speed"]])
def test_every_frame_of_an_export_is_the_very_frame_of_the_segment_that_it_names(
    run_command, rendered, tmp_path, options
):
    film = tmp_path / "film.mkv"
    assert run_command("export", rendered, "--out", film, *options)[0] == 0
    run = Run.open(rendered)
    segments = {segment.key: frames_of(run, segment) for segment in run.plan().segments}
    with opened(str(film)) as found:
        provenance = found.provenance
    fps = provenance.file.fps
    for index, frame in enumerate(decoded(film)):
        film_frame = provenance.film_frame(index)
        segment = provenance.segment_at(film_frame)
        shown = segments[segment.key][segment.shown[0] + film_frame - segment.film[0]]
        np.testing.assert_array_equal(frame, shown)
        if index % 11:
            continue  # to ask once takes 80 ms
        # In the middle of its time, since thirds of a second cannot be written.
        instant = explain(f"{film}@{float((index + Fraction(1, 2)) / fps):.6f}s").instant
        assert instant.frame == index
        np.testing.assert_array_equal(frame, segments[instant.segment.key][instant.segment_frame])


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "h264"), ("b.mp4", "hevc"), ("a.mov", "prores"), ("a.mkv", "ffv1")]
)
def test_a_film_of_each_codec_says_what_it_is_made_of_far_from_its_run(run_command, rendered, tmp_path, name, codec):
    run_command("export", rendered, "--out", tmp_path / name, "--codec", codec, "--size", "128x96")
    found, plan = said(run_command, f"{tmp_path / name}@2.5s"), Run.open(rendered).plan()
    assert (found["title"], found["model"], found["plan_sha256"]) == ("Two; shots = 2", "tiny", plan.sha256)
    assert (found["codec"], found["width"], found["num_frames"], found["run"]) == (codec, 128, 38, None)
    assert found["weights_sha256"] == plan.weights_sha256
    assert found["versions"].keys() == {"ursa-ray", "torch", "ffmpeg"}
    # 24 frames of dawn at 12 a second end at 2 s; frame 30 is the seventh of dusk.
    dusk = plan.segments[2]
    instant = found["instant"]
    assert (instant["frame"], instant["segment"], instant["seed"]) == (30, "dusk[0]", dusk.seed)
    assert (instant["prompt"], instant["key"]) == ("motion=5.0, the red square falls", dusk.key)
    assert instant["conditioned_on"].startswith("dawn[1], its frames")
    assert instant["settings"]["steps"] == 4
    assert instant["made"] is None


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_a_file_that_keeps_no_comment_says_so(run_command, rendered, tmp_path, name):
    run_command("export", rendered, "--out", tmp_path / name)
    code, _, err = run_command("explain", tmp_path / name)
    assert code == 2
    assert str(tmp_path / name) in err
    assert "Give the run" in err or "or a run" in err


def test_the_film_beside_its_run_says_also_where_and_when(run_command, rendered):
    made = said(run_command, f"{rendered / 'film.mp4'}@#3")["instant"]["made"]
    commit = Run.open(rendered).segments[Run.open(rendered).plan().segments[0].key]
    assert (made["device"], made["seconds"], made["node"]) == ("cpu", commit.seconds, commit.node)
    assert made["finished"].endswith("+00:00") and made["replica"].startswith("process ")
    assert made["backends"] == "onednn attention, torch draws"
    assert (
        "made: cpu, torch.float32, onednn attention, torch draws, "
        in run_command("explain", f"{rendered / 'film.mp4'}@#3")[1]
    )


@pytest.mark.parametrize("time", ["2.5s", "2500ms", "0min 2.5s", "#30"])
def test_a_run_answers_as_its_film_does(run_command, rendered, time):
    of_run = said(run_command, f"{rendered}@{time}")["instant"]
    assert of_run == said(run_command, f"{rendered / 'film.mp4'}@{time}")["instant"]
    assert (of_run["frame"], of_run["segment"]) == (30, "dusk[0]")


def test_a_run_that_is_not_joined_yet_answers_as_planned(run_command, rendered, tmp_path):
    plan = Run.open(rendered).plan()
    run = Run.create(tmp_path / "begun")
    run.begin(plan)
    found = said(run_command, f"{tmp_path / 'begun'}@#37")
    assert (found["is_exact"], found["instant"]["segment"], found["instant"]["made"]) == (False, "dusk[1]", None)
    assert "not joined yet" in run_command("explain", tmp_path / "begun")[1]


def test_without_a_time_the_shots_are_listed(run_command, rendered):
    code, out, _ = run_command("explain", rendered / "film.mp4")
    assert code == 0
    assert "dawn: 0 s to 2 s, 2 segments, motion=5.0, a red square moves to the right" in out
    assert "dusk: 2 s to 3.167 s, 2 segments" in out
    assert [each["segment"] for each in said(run_command, rendered)["segments"]] == [
        "dawn[0]",
        "dawn[1]",
        "dusk[0]",
        "dusk[1]",
    ]


def test_a_name_with_an_at_sign_is_a_name(run_command, rendered, tmp_path):
    shutil.copy(rendered / "film.mp4", tmp_path / "cut@2s")
    assert said(run_command, tmp_path / "cut@2s")["instant"] is None
    assert said(run_command, f"{tmp_path / 'cut@2s'}@1s")["instant"]["frame"] == 12


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("4s", "38 frames in 3.167 s. Give a time before its end, or #0 to #37"),
        ("#38", "or #0 to #37"),
        ("#-1", "or #0 to #37"),
        ("noon", "expected a time such as 12.5s"),
        ("", "expected a time such as 12.5s"),
        ("#x", "expected a frame such as #150"),
        ("#" + "9" * 200, "expected a frame such as #150"),
        ("#" + "9" * 5000, "expected a frame such as #150"),
        ("2", "expected a time such as 12.5s"),
    ],
)
def test_an_instant_that_is_not_there_is_one_message_with_what_is(run_command, rendered, time, words):
    code, out, err = run_command("explain", f"{rendered / 'film.mp4'}@{time}")
    assert (code, out) == (2, "")
    assert f"film.mp4@{time[:40]}: " in err and words in err
    assert len(err.splitlines()) == 1 and len(err) < 400


def test_what_is_no_film_of_ursa_ray_is_refused_with_what_to_do(run_command, rendered, tmp_path):
    (tmp_path / "notes.mp4").write_text("a bear")
    write_film(tmp_path / "bare.mp4", np.zeros((3, 48, 64, 3), np.uint8), 3, (64, 48), Fraction(12))
    run_command("export", rendered, "--out", tmp_path / "quiet.mp4", "--no-provenance")
    (tmp_path / "folder").mkdir()
    for name, words in {
        "notes.mp4": "is no MP4, MOV or MKV video",
        "bare.mp4": "says nothing of how it was made",
        "quiet.mp4": "says nothing of how it was made",
        "nowhere.mp4": "there is no such file or folder",
        "folder": "is not a run",
    }.items():
        code, out, err = run_command("explain", f"{tmp_path / name}@1s")
        assert (code, out) == (2, "")
        assert f"{tmp_path / name}: {words}" in err
    assert b"red square" not in (tmp_path / "quiet.mp4").read_bytes()


def by_ffmpeg(film, *arguments, to):
    """What ffmpeg makes of a film; it keeps the comment unasked."""
    subprocess.run([ffmpeg.executable(), "-v", "error", "-i", film, *arguments, to], check=True)
    return to


CHANGES = {
    "cut": (["-ss", "1", "-c:v", "libx264"], "has 26 frames at 12 a second"),  # the first 12 are gone
    "cut by copying": (["-t", "1", "-c", "copy"], "frames at 12 a second"),
    "played faster": (["-vf", "setpts=0.5*PTS"], "frames at 12 a second"),
    "played slower": (["-vf", "setpts=2*PTS"], "has 38 frames at 6 a second"),
    "at another rate": (["-r", "24"], "has 76 frames at 24 a second"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_of_a_film_that_another_program_cut_or_retimed_no_instant_is_told_but_its_facts(
    run_command, rendered, tmp_path, change
):
    arguments, words = CHANGES[change]
    film = by_ffmpeg(rendered / "film.mp4", *arguments, to=tmp_path / "changed.mp4")
    for command in (["explain", f"{film}@0s"], ["measure", film]):
        code, out, err = run_command(*command)
        assert (code, out) == (2, "")
        assert f"{film}: has " in err and f"{words}, not the 38 at 12 that it says: another program cut it" in err
        assert "Give the film as ursa-ray wrote it, or its run." in err
    code, out, _ = run_command("explain", film)
    assert code == 0
    assert "Two; shots = 2: 38 frames" in out and f"{words}, not the 38" in out and "Add @TIME" not in out
    assert words in said(run_command, film)["misfit"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("again.mp4", ["-c:v", "libx264", "-crf", "30"]),
        ("film.mkv", ["-c", "copy"]),
        ("b.mov", ["-vf", "scale=128:96"]),
    ],
)
def test_a_film_that_another_program_only_encodes_anew_still_tells_its_instants(
    run_command, rendered, tmp_path, name, arguments
):
    found = said(run_command, f"{by_ffmpeg(rendered / 'film.mp4', *arguments, to=tmp_path / name)}@2.5s")
    assert (found["misfit"], found["instant"]["segment"], found["instant"]["frame"]) == (None, "dusk[0]", 30)


def test_a_film_whose_pictures_are_damaged_tells_its_facts_and_no_instant(run_command, rendered, tmp_path):
    content = bytearray((rendered / "film.mp4").read_bytes())
    where = content.index(b"mdat") + 2000
    content[where : where + 200] = bytes(200)
    (tmp_path / "film.mp4").write_bytes(content)
    code, out, err = run_command("explain", f"{tmp_path / 'film.mp4'}@0s")
    assert (code, out) == (2, "") and "film.mp4: is damaged (" in err
    assert "is damaged (" in said(run_command, tmp_path / "film.mp4")["misfit"]


@pytest.fixture
def commented(tmp_path):
    """A film of another program with a comment."""
    bare, film = tmp_path / "bare.mp4", tmp_path / "film.mp4"

    def make(comment, num_frames=3):
        write_film(bare, np.zeros((num_frames, 48, 64, 3), np.uint8), num_frames, (64, 48), Fraction(12))
        film.unlink(missing_ok=True)
        copy_with_tags(bare, film, {"comment": comment}, ("-f", "mp4"))
        return film

    return make


def packed(content):
    return base64.b64encode(zlib.compress(content)).decode()


def with_last(provenance, **changes):
    """What somebody could write who also computes the hashes anew."""
    plan = provenance.plan
    *others, shot = plan.shots
    *before, last = shot.segments
    changed = replace(last, **changes).with_key(plan.weights_sha256)
    return replace(provenance, plan=replace(plan, shots=(*others, replace(shot, segments=(*before, changed)))))


@pytest.mark.parametrize(
    "changes",
    [
        {"num_frames": "many"},
        {"num_frames": 10**400},
        {"num_frames": 3},
        {"seed": -1},
        {"seed": True},
        {"prompt": ["a bear"]},
        {"guidance": float("nan")},
        {"flow_shift": float("inf")},
        {"flow_shift": "\x1b[2J"},
        {"shot": "\x1b[2J"},
        {"film": (31, 10**12), "shown": (0, 10**12 - 31), "num_frames": 10**12},
        {"film": (30, 38)},
        {"film": (38, 31)},
        {"film": (31,)},
        {"shown": (-7, 0)},
        {"shown": [[], []]},
        {"condition": ClipCondition("f" * 64, Path(), 5, "1e999999999")},
        {"condition": ClipCondition("f" * 64, Path(), "5", Fraction(12))},
        {"condition": ImageCondition(["f"], Path())},
    ],
    ids=str,
)
def test_values_that_no_segment_can_have_are_refused_though_their_hash_is_right(rendered, commented, changes):
    found = read_provenance(rendered / "film.mp4")
    assert read_provenance(commented(with_last(found, prompt="another").to_comment())).plan != found.plan
    film = commented(with_last(found, **changes).to_comment())
    with pytest.raises(OptionError, match="is damaged or was changed") as refused:
        read_provenance(film)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "changes",
    [
        {"fps": "0"},
        {"fps": "1/0"},
        {"fps": "1e999999999"},
        {"fps": 12},
        {"fps": "\x1b[2J"},
        {"num_frames": 10**12},
        {"num_frames": 39},
        {"num_frames": "38"},
        {"width": None},
        {"retime": "backwards"},
        {"retime": "nearest", "fps": "24"},
        {"\x1b[2J": 1},
        {"codec": 7},
    ],
    ids=str,
)
def test_a_file_that_cannot_be_of_its_plan_is_refused(rendered, commented, changes):
    about = json.loads(read_provenance(rendered / "film.mp4").to_comment())
    film = commented(json.dumps(about | {"file": about["file"] | changes}))
    with pytest.raises(OptionError, match="is damaged or was changed") as refused:
        read_provenance(film)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 500


def test_a_comment_that_was_changed_is_refused(rendered, commented):
    found = read_provenance(rendered / "film.mp4")
    about = json.loads(found.to_comment())
    columns = json.loads(zlib.decompress(base64.b64decode(about["segments"])))
    columns["seed"][1] += 1
    changed = packed(json.dumps(columns).encode())
    bomb, deep = packed(bytes(100_000_000)), packed(b"[" * 200_000)
    for segments in (changed, about["segments"][:-9], "", "!", 7, bomb, deep):
        film = commented(json.dumps(about | {"segments": segments}))
        with pytest.raises(OptionError, match="is damaged or was changed"):
            read_provenance(film)
    film = commented(json.dumps(about | {"ursa-ray": 2}))
    with pytest.raises(OptionError, match="Use a newer ursa-ray"):
        read_provenance(film)
    for other in ("[]", "{", "[" * 100_000, "made with love"):
        with pytest.raises(OptionError, match="says nothing"):
            read_provenance(commented(other))


def test_a_film_with_more_to_say_than_is_read_goes_without_its_segments(rendered, commented, monkeypatch):
    found = read_provenance(rendered / "film.mp4")
    monkeypatch.setattr("ursa_ray.provenance.MAX_RAW_BYTES", 100)
    film = commented(found.to_comment())
    with pytest.raises(OptionError, match="has too many segments to hold them"):
        read_provenance(film)


def test_tags_of_a_file_are_read_up_to_a_size(rendered, monkeypatch):
    monkeypatch.setattr("ursa_ray.media.tags.MAX_BYTES", 1000)
    with pytest.raises(OptionError, match="says nothing"):
        read_provenance(rendered / "film.mp4")


ESCAPE = "\x1b]0;owned\x07"


def hostile(found, field):
    """A film's words about itself with an order to a terminal in one of them, and hashes that are right."""
    match field:
        case "title" | "model" | "weights_sha256":
            # The weights are part of every key.
            plan = replace(found.plan, shots=found.plan.shots[:1], **{field: ESCAPE})
            plan = replace(plan, shots=(replace(plan.shots[0], segments=plan.shots[0].segments[:1]),))
            segment = plan.segments[0].with_key(plan.weights_sha256)
            plan = replace(plan, shots=(replace(plan.shots[0], segments=(segment,)),))
            file = replace(found.file, num_frames=segment.film[1])
            return replace(found, plan=plan, starts=found.starts[:1], file=file)
        case "codec":
            return replace(found, file=replace(found.file, codec=ESCAPE))
        case "version":
            return replace(found, versions={"torch": ESCAPE})
        case "name of a version":
            return replace(found, versions={ESCAPE: "1"})
        case "image":
            return with_last(found, condition=ImageCondition(ESCAPE, Path()))
    return with_last(found, **{field: ESCAPE})


@pytest.mark.parametrize(
    "field",
    ["title", "model", "weights_sha256", "codec", "version", "name of a version", "prompt", "negative_prompt", "image"],
)
def test_what_a_terminal_would_obey_is_not_printed(run_command, rendered, commented, field):
    found = hostile(read_provenance(rendered / "film.mp4"), field)
    num_frames = found.file.num_frames
    film = commented(found.to_comment(), num_frames)
    printed = ""
    for asked in (film, f"{film}@#{num_frames - 1}"):
        code, out, err = run_command("explain", asked, "--json")
        assert (code, err) == (0, "")
        assert all(line.isprintable() for line in out.splitlines())
        printed += "".join(out.splitlines(keepends=True)[:-1])
    assert r"\x1b]0;owned\x07" in printed


def test_two_thousand_segments_fit_into_a_comment_and_come_back(tmp_path, commented):
    shots = "\n".join(
        f"  - {{id: s{number}, prompt: circle {number * 7919 % 10007} rises over hill {number}, frames: 24}}"
        for number in range(1000)
    )
    plan = prepare(write(tmp_path, f"version: 1\nmodel: tiny\nshots:\n{shots}\n")).plan
    assert plan.num_segments == 2000
    starts = tuple(each.film[0] - min(each.shown[0], number % 5) for number, each in enumerate(plan.segments))
    encoded = Encoded("h264", 64, 48, plan.fps, plan.num_frames)
    made = Provenance(plan, starts, encoded, {"ursa-ray": "1"})
    film = commented(made.to_comment())
    assert film.stat().st_size < 200_000
    assert read_provenance(film) == made


def test_a_picture_is_named_by_its_hash_and_no_path_is_in_the_film(tmp_path, run_command):
    from PIL import Image

    Image.new("RGB", (64, 48), "red").save(tmp_path / "title.png")
    plan = prepare(write(tmp_path, FROM_IMAGE)).plan
    film = render_to(tmp_path / "run", plan) / "film.mp4"
    sha256 = plan.segments[0].condition.sha256
    assert said(run_command, f"{film}@#1")["instant"]["conditioned_on"] == f"an image, sha256 {sha256}"
    columns = json.loads(read_provenance(film).to_comment())["segments"]
    assert b"title.png" not in zlib.decompress(base64.b64decode(columns))
