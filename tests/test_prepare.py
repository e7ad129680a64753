"""All that can be found wrong before anything is written is found, with the line that asks for it."""

import shutil
import socket
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from tests.storyboard.boards import MARK, marked_line
from tests.storyboards import TWO_SHOTS, write
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.errors import CheckpointError, StoryboardError, UrsaRayError
from ursa_ray.files import file_sha256
from ursa_ray.media import write_film
from ursa_ray.plan import ClipCondition, ImageCondition
from ursa_ray.prepare import prepare

HEAD = "version: 1\nmodel: tiny\nshots:\n"


def error_of(folder, text, kind: type[UrsaRayError] = StoryboardError):
    """Message of the error, without the file and the line, which are checked."""
    with pytest.raises(kind) as caught:
        prepare(write(folder, text))
    place = f"{folder}/film.yaml:{marked_line(text)}: "
    assert str(caught.value).startswith(place)
    return str(caught.value).removeprefix(place)


def write_clip(path, num_frames=8):
    frames = np.random.default_rng(1).integers(0, 256, (num_frames, 64, 96, 3), np.uint8)
    write_film(path, iter(frames), num_frames, (96, 64), Fraction(12))


def test_a_good_storyboard_becomes_a_plan(tmp_path):
    prepared = prepare(write(tmp_path, TWO_SHOTS))
    assert prepared.plan.num_frames == 38
    assert [segment.name for segment in prepared.plan.segments] == ["dawn[0]", "dawn[1]", "dusk[0]", "dusk[1]"]
    assert prepared.storyboard.title == prepared.plan.title == "Two shots"
    assert prepared.checkpoint.name == prepared.plan.model == "tiny"
    assert prepared.warnings == []


def test_a_warning_is_told_and_keeps_nothing_from_being_planned(tmp_path):
    prepared = prepare(write(tmp_path, HEAD + "  - {id: dawn, prompt: fog, duration: 1.1s}\n"))
    assert prepared.warnings == [
        f'{tmp_path}/film.yaml:4: shots[0] ("dawn"): its duration is not a whole number of frames; it gets 13.'
    ]
    assert prepared.plan.num_frames == 13


def test_images_and_clips_are_known_by_their_hash(tmp_path):
    Image.new("RGB", (96, 64), "red").save(tmp_path / "still.png")
    write_clip(tmp_path / "clip.mp4")
    text = (
        "  - {id: a, prompt: fog, frames: 9, image: still.png}\n  - {id: b, prompt: fog, frames: 9, video: clip.mp4}\n"
    )
    of_image, of_clip = (segment.condition for segment in prepare(write(tmp_path, HEAD + text)).plan.segments)
    still, clip = tmp_path / "still.png", tmp_path / "clip.mp4"
    assert of_image == ImageCondition(file_sha256(still), still)
    assert of_clip == ClipCondition(file_sha256(clip), clip, 5, Fraction(12))


SHOT = "  - id: dawn\n    prompt: fog\n    frames: 9\n"


@pytest.mark.parametrize(("key", "name"), [("image", "still.png"), ("video", "clip.mp4")])
def test_an_asset_that_is_missing_is_told_with_its_line(tmp_path, key, name):
    message = error_of(tmp_path, f"{HEAD}{SHOT}    {key}: {name}  {MARK}\n")
    assert message == f'shots[0] ("dawn"): {key} is "{name}", but there is no file {tmp_path}/{name}'


@pytest.mark.parametrize(("key", "what"), [("image", "is not a PNG, JPEG or WEBP image"), ("video", "is no whole MP4")])
def test_an_asset_of_something_else_is_told_with_its_line(tmp_path, key, what):
    (tmp_path / "asset").write_bytes(b"not a picture, nor a film")
    message = error_of(tmp_path, f"{HEAD}{SHOT}    {key}: asset  {MARK}\n")
    assert message.startswith(f'shots[0] ("dawn"): {tmp_path}/asset: {what}')


def test_a_truncated_image_is_told_with_its_line(tmp_path):
    Image.effect_noise((96, 64), 50).save(tmp_path / "still.png")
    (tmp_path / "still.png").write_bytes((tmp_path / "still.png").read_bytes()[:1000])
    message = error_of(tmp_path, f"{HEAD}{SHOT}    image: still.png  {MARK}\n")
    assert message.startswith(f'shots[0] ("dawn"): {tmp_path}/still.png: is damaged')


def test_all_assets_that_are_wrong_are_told_at_once(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"no picture")
    text = "  - {id: a, prompt: fog, frames: 9, image: a}\n  - {id: b, prompt: fog, frames: 9, video: b}\n"
    with pytest.raises(StoryboardError) as caught:
        prepare(write(tmp_path, HEAD + text))
    first, second = str(caught.value).splitlines()
    assert first.startswith(f'{tmp_path}/film.yaml:4: shots[0] ("a"): {tmp_path}/a: ')
    assert second.startswith(f'{tmp_path}/film.yaml:5: shots[1] ("b"): {tmp_path}/b: ')


def test_a_folder_of_a_model_is_relative_to_the_storyboard(tmp_path, monkeypatch):
    shutil.copytree(TINY, tmp_path / "film" / "models" / "mine")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = write(tmp_path / "film", TWO_SHOTS.replace("tiny", "models/mine"))
    prepared = prepare(path)
    assert prepared.plan.model == str(tmp_path / "film" / "models" / "mine")
    assert prepared.plan.segments == prepare(write(tmp_path, TWO_SHOTS)).plan.segments


MODEL = f"version: 1\nmodel: mine  {MARK}\nshots: [{{id: dawn, prompt: fog, frames: 9}}]\n"


def test_a_model_that_is_nowhere_is_told_with_its_line(tmp_path):
    message = error_of(tmp_path, MODEL, CheckpointError)
    assert message.startswith(f"model 'mine': there is no folder {tmp_path}/mine, and it is not a hub id.")


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("model_index.json", '{"_class_name": "Other"}', "_class_name is 'Other', expected 'URSAPipeline'"),
        ("transformer/config.json", "{", "is not JSON"),
        (
            "transformer/config.json",
            '{"hidden_size": "wide"}',
            "hidden_size is 'wide', expected a positive whole number",
        ),
        ("tokenizer/tokenizer.json", "{", "is not a tokenizer"),
        ("ursa_ray.json", '{"colour": 1}', "unknown key 'colour'"),
    ],
)
def test_a_damaged_model_is_told_with_the_line_that_names_it(tmp_path, file, content, what):
    shutil.copytree(TINY, tmp_path / "mine")
    (tmp_path / "mine" / file).write_text(content)
    message = error_of(tmp_path, MODEL, CheckpointError)
    assert message.startswith(f"{tmp_path}/mine/{file}: ")
    assert what in message


def test_a_released_model_that_is_not_on_this_machine_is_planned_without_the_network(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    prepared = prepare(write(tmp_path, TWO_SHOTS.replace("tiny", "BAAI/URSA-1.7B-FSQ320")))
    assert prepared.checkpoint.folder is None
    assert (prepared.plan.width, prepared.plan.height, prepared.plan.num_segments) == (512, 320, 2)


def test_another_hub_model_that_is_not_on_this_machine_is_told_with_its_line(tmp_path):
    text = MODEL.replace("mine", "someone/else")
    message = error_of(tmp_path, text, CheckpointError)
    assert message == "model 'someone/else' is not on this machine. Fetch it first: hf download someone/else"


def test_nothing_is_written_beside_the_storyboard(tmp_path):
    prepare(write(tmp_path, TWO_SHOTS))
    assert [path.name for path in tmp_path.iterdir()] == ["film.yaml"]


@pytest.mark.parametrize("model", ["tiny", "BAAI/URSA-1.7B-FSQ320"])
def test_planning_needs_neither_torch_nor_ray_nor_transformers(tmp_path, model):
    path = write(tmp_path, TWO_SHOTS.replace("tiny", model))
    code = (
        "import sys; from pathlib import Path; from ursa_ray.prepare import prepare; prepare(Path(sys.argv[1])); "
        "print({'torch', 'ray', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_clip_too_short_to_condition_a_segment_is_refused_at_its_line(tmp_path):
    write_clip(tmp_path / "clip.mp4", num_frames=4)
    message = error_of(tmp_path, HEAD + f"  - {{id: a, prompt: fog, frames: 9, video: clip.mp4}}  {MARK}\n")
    assert "4 frames" in message
    assert "5" in message
