"""What an author should know is a warning with its line, and keeps no film from being made."""

import pytest

from tests.plan.boards import tiny
from tests.storyboard.boards import film, load, marked_line, shot
from ursa_ray.plan import lint, plan_storyboard


def warnings(folder, text):
    """All warnings, without the file and the line of the first, which are checked."""
    storyboard = load(folder, text)
    found = lint(storyboard, tiny(), plan_storyboard(storyboard, tiny(), {}))
    if not found:
        return []
    place = f"{folder}/film.yaml:{marked_line(text)}: "
    assert found[0].startswith(place)
    return [warning.removeprefix(place) for warning in found]


def test_a_film_as_the_model_was_trained_for_gives_no_warning(tmp_path):
    assert warnings(tmp_path, film("video: {width: 96, height: 64, fps: 12}")) == []


def test_a_size_that_the_model_was_not_trained_for(tmp_path):
    text = film("video: {width: 64, height: 96}  # <-")
    assert warnings(tmp_path, text) == ["64x96 is not a size that the model was trained for (96x64)."]


@pytest.mark.parametrize(("fps", "speed"), [(24, "2"), (6, "0.5")])
def test_a_frame_rate_that_the_model_was_not_trained_at(tmp_path, fps, speed):
    text = film(f"video:\n  fps: {fps}  # <-")
    words = f"the model was trained at 12 frames a second; at {fps} everything moves {speed} times as fast."
    assert warnings(tmp_path, text) == [words]


def test_a_duration_that_is_not_a_whole_number_of_frames(tmp_path):
    text = shot("prompt: fog\nduration: 1.1s  # <-")
    words = 'shots[1] ("dusk"): its duration is not a whole number of frames; it gets 13.'
    assert warnings(tmp_path, text) == [words]


HEAD = "version: 1\nmodel: tiny\nshots:\n"


def test_a_shot_of_seven_segments_is_a_long_chain_and_one_of_six_is_not(tmp_path):
    # 17 + 5 * 12 = 77 frames in six segments.
    assert warnings(tmp_path, HEAD + "  - {id: dawn, prompt: fog, frames: 77}") == []
    words = 'shots[0] ("dawn") ends a chain of 7 segments; pictures drift in chains longer than 6.'
    assert warnings(tmp_path, HEAD + "  - {id: dawn, prompt: fog, frames: 78}  # <-") == [words]


def test_a_chain_through_several_shots_is_warned_of_once_where_it_becomes_too_long(tmp_path):
    text = HEAD + (
        "  - {id: a, prompt: fog, frames: 77}\n"
        "  - {id: b, prompt: fog, frames: 12, continue: a}  # <-\n"
        "  - {id: c, prompt: fog, frames: 12, continue: b}\n"
        "  - {id: d, prompt: fog, frames: 77}\n"
    )
    words = 'shots[1] ("b") ends a chain of 7 segments; pictures drift in chains longer than 6.'
    assert warnings(tmp_path, text) == [words]
