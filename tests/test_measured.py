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
    assert len(text) == 2 and text[0].split()[:2] == ["segment", "frames"]


def test_a_run_is_measured_segment_by_segment_and_written_to_files(run_command, rendered, tmp_path):
    text, said = measure(run_command, rendered, "--out", tmp_path / "measures")
    assert [row["segment"] for row in said["segments"]] == ["dawn[0]", "dawn[1]", "dusk[0]", "dusk[1]"]
    assert sum(row["num_frames"] for row in said["segments"]) == 38
    # `dusk` continues `dawn`, so every segment but the first goes on after another.
    assert [row["seam_jump"] is None for row in said["segments"]] == [True, False, False, False]
    assert said["num_seams"] == 3
    assert text[-1].startswith("worst seam: ") and text[-2].split()[:2] == ["film", "38"]
    files = sorted(path.name for path in (tmp_path / "measures").iterdir())
    assert files == ["frames.parquet", "measures.svg", "measures.txt", "segments.parquet"]
    frames = pq.read_table(tmp_path / "measures" / "frames.parquet")
    assert len(frames) == 38
    assert pq.read_table(tmp_path / "measures" / "segments.parquet").to_pylist() == said["segments"]
    assert (tmp_path / "measures" / "measures.txt").read_text().splitlines() == text


def test_an_export_at_another_rate_has_the_same_segments(run_command, rendered, tmp_path):
    run_command("export", rendered, "--out", tmp_path / "film.mkv", "--fps", "24", "--retime", "nearest")
    _, slow = measure(run_command, rendered)
    _, fast = measure(run_command, tmp_path / "film.mkv")
    assert [row["segment"] for row in fast["segments"]] == [row["segment"] for row in slow["segments"]]
    assert [row["num_frames"] for row in fast["segments"]] == [2 * row["num_frames"] for row in slow["segments"]]


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
