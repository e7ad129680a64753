"""What a model cannot do is said with the line that asks for it, what was expected, and the fix."""

from dataclasses import replace

import pytest

from tests.plan.boards import released, tiny
from tests.storyboard.boards import film, load, marked_line, shot, timed
from ursa_ray.checkpoint import Defaults
from ursa_ray.errors import StoryboardError
from ursa_ray.plan import plan_storyboard

LONG = "fog " * 100


def error_of(folder, text, checkpoint=None):
    """Message of the one error, without the file and the line, which are checked."""
    storyboard = load(folder, text)
    with pytest.raises(StoryboardError) as caught:
        plan_storyboard(storyboard, checkpoint or tiny(), {})
    place = f"{folder}/film.yaml:{marked_line(text)}: "
    assert str(caught.value).startswith(place)
    return str(caught.value).removeprefix(place)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "video:\n  width: 100  # <-\n  height: 64",
            "width is 100, expected a multiple of 8 such as 96 or 104.",
        ),
        (
            "video:\n  width: 96\n  height: 65  # <-",
            "height is 65, expected a multiple of 8 such as 64 or 72.",
        ),
        (
            "segment:\n  frames: 16  # <-\n  overlap: 5",
            "frames is 16, expected 1 more than a multiple of 4, such as 13 or 17.",
        ),
        (
            "segment:\n  frames: 17\n  overlap: 8  # <-",
            "overlap is 8, expected 1 more than a multiple of 4, such as 5 or 9.",
        ),
        (
            "segment:\n  overlap: 0  # <-",
            "overlap is 0, expected 1 more than a multiple of 4, such as 1 or 5.",
        ),
        (
            "segment:\n  overlap: 17  # <-",
            "overlap is 17, expected less than the 17 frames of a segment.",
        ),
        (
            "segment:\n  frames: 21  # <-",
            "frames is 21, expected at most 17, the longest clip that tiny makes. "
            "A longer shot becomes several segments by itself.",
        ),
    ],
)
def test_sizes_that_the_model_cannot_make(tmp_path, settings, message):
    assert error_of(tmp_path, film(settings)) == message


def test_a_model_of_images(tmp_path):
    text = "version: 1\nmodel: BAAI/URSA-1.7B-IBQ512  # <-\nshots: [{id: dawn, prompt: fog, frames: 24}]\n"
    message = error_of(tmp_path, text, released("BAAI/URSA-1.7B-IBQ512"))
    expected = "expected a video model such as BAAI/URSA-1.7B-FSQ320."
    assert message == f"BAAI/URSA-1.7B-IBQ512 makes images only, {expected}"


def test_a_size_that_nobody_gives(tmp_path):
    checkpoint = replace(tiny(), defaults=Defaults(frames=17, overlap=5))
    assert error_of(tmp_path, film("video: {fps: 12}  # <-"), checkpoint) == (
        "width and height are missing, and tiny has no default. Give both, such as video: {width: 512, height: 320}."
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (shot(f"prompt: {LONG}  # <-\nframes: 9"), 'shots[1] ("dusk"): prompt'),
        (
            timed(f"beats:\n  - at: 1s\n    prompt: fog\n  - at: 2s\n    prompt: {LONG}  # <-"),
            'shots[1] ("dusk"): beats[1].prompt',
        ),
        (timed(f"negative_prompt: {LONG}  # <-"), 'shots[1] ("dusk"): negative_prompt'),
        (film(f"defaults:\n  steps: 9\n  negative_prompt: {LONG}  # <-"), "defaults: negative_prompt"),
    ],
    ids=["prompt", "beat", "negative", "default"],
)
def test_a_prompt_of_more_tokens_than_the_model_reads(tmp_path, text, what):
    message = error_of(tmp_path, text)
    assert message.startswith(f"{what} has ")
    assert " tokens as the model reads it, expected at most 64. Shorten it by about " in message


def test_a_prompt_that_fits_only_without_its_motion(tmp_path):
    checkpoint = tiny()
    fog = "fog " * 400

    def limit(num):
        return replace(checkpoint, defaults=replace(checkpoint.defaults, max_prompt_length=num))

    def num_tokens(message):
        return int(message.split(" has ")[1].split()[0])

    bare = num_tokens(error_of(tmp_path, timed(f"negative_prompt: {fog} # <-")))
    whole = num_tokens(error_of(tmp_path, shot(f"prompt: {fog} # <-\nframes: 9")))
    assert whole > bare
    text = shot(f"prompt: {fog} # <-\nframes: 9")
    assert num_tokens(error_of(tmp_path, text, limit(whole - 1))) == whole
    assert plan_storyboard(load(tmp_path, text), limit(whole), {}).num_frames == 33


def test_a_duration_shorter_than_a_frame(tmp_path):
    assert error_of(tmp_path, shot("prompt: fog\nduration: 40ms  # <-")) == (
        'shots[1] ("dusk"): duration is shorter than a frame, expected at least 0.0833s at 12 frames a second.'
    )


@pytest.mark.parametrize(
    ("beats", "message"),
    [
        (
            "- {frame: 48, prompt: b}  # <-",
            "beats[0] is at frame 48, expected after frame 0 and before the shot's end, frame 48.",
        ),
        (
            "- {at: 2s, prompt: b}\n- {frame: 24, prompt: c}  # <-",
            "beats[1] is at frame 24, expected after frame 24 and before the shot's end, frame 48.",
        ),
        (
            "- {frame: 30, prompt: b}\n- {at: 1s, prompt: c}  # <-",
            "beats[1] is at frame 12, expected after frame 30 and before the shot's end, frame 48.",
        ),
        (
            "- {at: 10ms, prompt: b}  # <-",
            "beats[0] is at frame 0, expected after frame 0 and before the shot's end, frame 48.",
        ),
    ],
)
def test_beats_outside_the_shot_or_out_of_order_once_seconds_are_frames(tmp_path, beats, message):
    indented = "\n".join(f"  {line}" for line in beats.splitlines())
    assert error_of(tmp_path, timed(f"beats:\n{indented}")) == f'shots[1] ("dusk"): {message}'
