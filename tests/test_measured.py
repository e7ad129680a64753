"""`ursa-ray measure`: any film or run, as text, a plot, Parquet and JSON."""

import json
from fractions import Fraction

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.measures.films import moving_square
from tests.storyboards import TWO_SHOTS, write
from tests.test_explain import render_to
from ursa_ray.ledger import Run
from ursa_ray.media import write_film
from ursa_ray.prepare import prepare


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    return render_to(folder / "run", prepare(write(folder, TWO_SHOTS)).plan)


def measure(run_command, *arguments):
    code, out, err = run_command("measure", *arguments, "--json")
    assert code == 0, err
    *text, said = out.splitlines()
    return text, json.loads(said)


def test_a_film_of_another_program_is_measured_as_one_segment(run_command, tmp_path):
    write_film(tmp_path / "film.mp4", moving_square(12, 3), 12, (128, 96), Fraction(12))
    text, said = measure(run_command, tmp_path / "film.mp4")
    assert (said["num_frames"], said["num_seams"], said["seam_jump"]) == (12, 0, None)
    assert said["motion_px"] == 3.0
    assert said["flicker"] < 0.5
    (row,) = said["segments"]
    assert (row["segment"], row["num_frames"]) == ("film", 12)
    assert text[0].split()[:2] == ["segment", "frames"] and text[1].split()[:2] == ["film", "12"]
    assert text[2].startswith("largest drift of a frame: ")
    assert text[3:] == [said["note"]] == ["its shots are not known: cuts in it count as difference, flicker and drift"]


def test_a_run_is_measured_segment_by_segment_and_written_to_files(run_command, rendered, tmp_path):
    text, said = measure(run_command, rendered, "--out", tmp_path / "measures")
    assert [row["segment"] for row in said["segments"]] == ["dawn[0]", "dawn[1]", "dusk[0]", "dusk[1]"]
    assert sum(row["num_frames"] for row in said["segments"]) == 38
    # `dusk` continues `dawn`, so every segment but the first goes on after another.
    assert [row["seam_jump"] is None for row in said["segments"]] == [True, False, False, False]
    assert said["num_seams"] == 3
    assert text[-2].startswith("worst seam: ") and text[-3].split()[:2] == ["film", "38"]
    assert said["note"] is None
    files = sorted(path.name for path in (tmp_path / "measures").iterdir())
    assert files == ["frames.parquet", "measures.svg", "measures.txt", "segments.parquet"]
    frames = pq.read_table(tmp_path / "measures" / "frames.parquet")
    assert len(frames) == 38
    assert pq.read_table(tmp_path / "measures" / "segments.parquet").to_pylist() == said["segments"]
    assert (tmp_path / "measures" / "measures.txt").read_text().splitlines() == text


def test_the_row_of_the_film_has_means_as_those_of_its_segments_and_the_largest_drift_a_line(run_command, rendered):
    text, said = measure(run_command, rendered)
    rows = said["segments"]
    drift = np.average([row["colour_drift"] for row in rows], weights=[row["num_frames"] for row in rows])
    assert text[-3].split()[-2] == f"{drift:.2f}"
    assert said["largest_colour_drift"] > drift
    assert f"largest drift of a frame: {said['largest_colour_drift']:.2f} in colour" in text[-1]


@pytest.mark.parametrize("fps", ["30", "24", "12.5"])
def test_an_export_in_which_frames_come_again_measures_as_the_film_does(run_command, rendered, tmp_path, fps):
    film, slow = tmp_path / "film.mkv", tmp_path / "slow.mkv"
    run_command("export", rendered, "--out", film)
    run_command("export", rendered, "--out", slow, "--fps", fps, "--retime", "nearest")
    (_, expected), (text, found) = measure(run_command, film), measure(run_command, slow)
    assert text[-1] == found["note"] == "frames are those of the film, 12 a second, each measured once"
    assert found | {"film": str(film), "note": None} == expected


def test_an_export_in_which_frames_fell_away_is_refused_and_the_run_is_named(run_command, rendered, tmp_path):
    run_command("export", rendered, "--out", tmp_path / "film.mkv", "--fps", "8", "--retime", "nearest")
    code, out, err = run_command("measure", tmp_path / "film.mkv")
    assert (code, out) == (2, "")
    assert "has 8 frames a second, so frames of the film fell away. Measure its run, or an export at 12" in err


def test_a_frame_a_second_is_said_in_the_singular(run_command, rendered, tmp_path):
    run_command("export", rendered, "--out", tmp_path / "film.mkv", "--fps", "1", "--retime", "nearest")
    err = run_command("measure", tmp_path / "film.mkv")[2]
    assert "has 1 frame a second, so frames of the film fell away." in err


def test_an_export_that_plays_faster_measures_its_own_frames(run_command, rendered, tmp_path):
    run_command("export", rendered, "--out", tmp_path / "film.mkv", "--fps", "24", "--retime", "speed")
    _, found = measure(run_command, tmp_path / "film.mkv", "--out", tmp_path)
    assert (found["num_frames"], found["note"]) == (38, None)
    assert pq.read_table(tmp_path / "frames.parquet")["seconds"][-1].as_py() == pytest.approx(37 / 24)


@pytest.mark.parametrize("name", ["quiet.mp4", "film.gif"])
def test_that_the_shots_of_a_film_are_not_known_is_told(run_command, rendered, tmp_path, name):
    run_command("export", rendered, "--out", tmp_path / name, "--no-provenance")
    text, said = measure(run_command, tmp_path / name)
    assert text[-1] == said["note"] == "its shots are not known: cuts in it count as difference, flicker and drift"


def test_what_cannot_be_measured_is_one_message(run_command, tmp_path):
    (tmp_path / "notes.mp4").write_text("a bear")
    Image.new("RGB", (64, 48)).save(tmp_path / "film.webp")
    plan = prepare(write(tmp_path, TWO_SHOTS)).plan
    Run.create(tmp_path / "begun").begin(plan)
    write_film(tmp_path / "film.mp4", np.zeros((30, 48, 64, 3), np.uint8), 30, (64, 48), Fraction(12))
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "film.mp4").read_bytes()[:-200])
    for name, words in {
        "notes.mp4": "is no whole MP4, MOV, MKV, WEBM, AVI, GIF or TS video",
        "film.webp": "is no whole MP4, MOV, MKV, WEBM, AVI, GIF or TS video",
        "cut.mp4": "is no whole MP4, MOV, MKV, WEBM, AVI, GIF or TS video",
        "nowhere.mp4": "there is no such file or folder",
        "begun": "its film is not joined yet. Render on",
    }.items():
        code, out, err = run_command("measure", tmp_path / name)
        assert (code, out) == (2, "")
        assert f"{tmp_path / name}: {words}" in err


@pytest.mark.parametrize("out", ["notes", "notes/below"])
def test_a_place_for_measures_that_can_be_none_is_refused_before_a_frame_is_read(run_command, tmp_path, out):
    (tmp_path / "notes").write_text("a bear")
    code, printed, err = run_command("measure", tmp_path / "nowhere.mp4", "--out", tmp_path / out)
    assert (code, printed) == (2, "")
    assert f"{tmp_path / out}: {tmp_path / 'notes'} is no folder that can be written. Give another place." in err
