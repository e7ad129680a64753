"""What a storyboard says is what is loaded, exactly, with the places where it says so."""

import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.storyboard.boards import GRIZZLY, film, load, shot, timed, with_title, write
from ursa_ray.storyboard import Beat, Output, Segment, Settings, Shot, Storyboard, Video, load_storyboard


def test_the_example_of_the_design_loads_as_written(tmp_path):
    assert load(with_title(tmp_path), GRIZZLY) == Storyboard(
        version=1,
        title="Grizzly at dawn",
        model="BAAI/URSA-1.7B-FSQ320",
        video=Video(width=512, height=320, fps=12),
        defaults=Settings(negative_prompt="worst quality, low quality", motion=9.0, steps=50, guidance=7.0, seed=1234),
        segment=Segment(frames=49, overlap=13, cond_noise=0.1),
        shots=(
            Shot(
                id="forest",
                prompt="a lone grizzly bear walks through a misty forest at dawn, sunlight catching its fur.",
                duration=Fraction(20),
                beats=(Beat(at=Fraction(8), prompt="the bear stops and lifts its head"),),
            ),
            Shot(
                id="river",
                **{"continue": "forest"},
                prompt="the bear wades into a shallow river",
                motion=5.0,
                duration=Fraction(12),
            ),
            Shot(
                id="title",
                image="stills/title.png",
                prompt="the title over a still lake",
                duration=Fraction(4),
            ),
        ),
        output=Output(codec="h264", crf=18),
    )


def test_what_is_left_out_is_none(tmp_path):
    storyboard = load(tmp_path, film())
    assert storyboard.title == ""
    assert set(storyboard.video.model_dump().values()) == {None}
    assert set(storyboard.defaults.model_dump().values()) == {None}
    assert set(storyboard.segment.model_dump().values()) == {None}
    assert storyboard.output == Output(codec="h264", crf=18)
    assert storyboard.shots == (Shot(id="dawn", prompt="fog", frames=24),)
    assert storyboard.asset_path(storyboard.shots[0]) is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("20s", Fraction(20)),
        ("0.1s", Fraction(1, 10)),
        ("250ms", Fraction(1, 4)),
        ("1.5min", Fraction(90)),
        ("1min 30s", Fraction(90)),
        ("1min30s", Fraction(90)),
        ("2 h", Fraction(7200)),
        ("24h", Fraction(86400)),
        ("1h 2min 3s 4ms", Fraction(3723004, 1000)),
    ],
)
def test_durations_are_exact(written, seconds, tmp_path):
    assert load(tmp_path, shot(f"prompt: fog\nduration: {written}")).shots[1].duration == seconds


@pytest.mark.parametrize(
    ("written", "fps"),
    [
        ("12", Fraction(12)),
        ("24000/1001", Fraction(24000, 1001)),
        ('"30000/1001"', Fraction(30000, 1001)),
        ("23.976", Fraction(2997, 125)),
        ("240", Fraction(240)),
    ],
)
def test_frame_rates_are_exact(written, fps, tmp_path):
    assert load(tmp_path, film(f"video: {{fps: {written}}}")).video.fps == fps


@pytest.mark.parametrize(
    "settings",
    [
        "prompt: |\n  fog,\n  then rain\nframes: 9",
        'prompt: "fog\\tand rain"\nframes: 10000000',
        "prompt: Nebel über dem Fluß, 霧\nframes: 1",
        'prompt: fog\nframes: 9\nnegative_prompt: ""\nmotion: 0\nguidance: 100\nguidance_trunc: 1\nseed: 0',
        "prompt: fog\nframes: 9\nseed: 9223372036854775807\nsteps: 1000\nflow_shift: 0.001",
        "prompt: fog\nduration: 4s\nbeats: [{frame: 9, prompt: b}, {at: 3999ms, prompt: c}]",
        "prompt: !!str 1984\nframes: 9",
    ],
)
def test_the_edges_of_what_is_allowed_load(settings, tmp_path):
    assert load(tmp_path, shot(settings)).shots[1].id == "dusk"


def test_where_names_the_line_or_the_nearest_around_it(tmp_path):
    storyboard = load(with_title(tmp_path), GRIZZLY)
    file = tmp_path / "film.yaml"
    assert storyboard.where("shots", 1, "continue") == f"{file}:13"
    assert storyboard.where("shots", 0, "beats", 0, "at") == f"{file}:11"
    assert storyboard.where("shots", 1, "seed") == f"{file}:12"
    assert storyboard.where("video", "width") == f"{file}:4"
    assert storyboard.where("no such key") == f"{file}:1"


def test_where_names_the_file_as_the_user_did(tmp_path, monkeypatch):
    write(tmp_path, film())
    monkeypatch.chdir(tmp_path)
    storyboard = load_storyboard(Path("film.yaml"))
    assert storyboard.where("shots", 0, "id") == "film.yaml:4"
    assert storyboard.folder == Path()


def test_assets_are_found_beside_the_storyboard(tmp_path):
    storyboard = load(with_title(tmp_path), GRIZZLY)
    paths = [storyboard.asset_path(shot) for shot in storyboard.shots]
    assert paths == [None, None, tmp_path / "stills" / "title.png"]


def test_a_clip_to_extend_is_an_asset(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"clip")
    storyboard = load(tmp_path, timed("video: a.mp4"))
    assert storyboard.asset_path(storyboard.shots[1]) == tmp_path / "a.mp4"


def test_the_same_words_elsewhere_are_the_same_storyboard(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    first, second = load(one, film()), load(other, "# moved\n" + film())
    assert first == second
    assert hash(first) == hash(second)
    assert first.model_dump() == second.model_dump()


def test_a_storyboard_survives_pickling_with_its_places(tmp_path):
    storyboard = load(tmp_path, film())
    assert pickle.loads(pickle.dumps(storyboard)).where("model") == f"{tmp_path}/film.yaml:2"


def test_a_storyboard_cannot_be_changed(tmp_path):
    with pytest.raises(ValidationError, match="frozen"):
        load(tmp_path, film()).title = "another"


def test_reading_storyboards_needs_neither_torch_nor_ray():
    code = "import sys, ursa_ray.storyboard; print({'torch', 'ray', 'transformers', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
