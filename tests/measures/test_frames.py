"""Measures of frames that were drawn to have certain ones."""

import weakref

import numpy as np
import pytest

from tests.measures.films import checkered, grey, moving_square, textured
from ursa_ray.evaluation.seams import frame_differences, frame_flicker
from ursa_ray.measures import measure_frames, measure_motion


def column(frames, name):
    return measure_frames(frames)[name].to_pylist()


def test_a_ramp_of_brightness_is_measured_level_by_level():
    table = measure_frames(grey(*range(10, 40, 3)))
    np.testing.assert_allclose(table["brightness"].to_numpy(), range(10, 40, 3), atol=1e-4)
    assert table["difference"].to_pylist() == [None, *[3.0] * 9]
    np.testing.assert_allclose(table["contrast"].to_numpy(), 0, atol=1e-4)


def test_alternating_brightness_flickers_by_its_step_and_a_ramp_does_not():
    assert column(grey(100, 107, 100, 107, 100), "flicker") == [None, 7.0, 7.0, 7.0, None]
    assert column(grey(100, 107, 114, 121), "flicker") == [None, 0.0, 0.0, None]
    # It comes back by less than it went.
    assert column(grey(100, 120, 115), "flicker") == [None, 5.0, None]


def test_one_hard_cut_is_one_large_difference():
    assert column(grey(50, 50, 50, 200, 200), "difference") == [None, 0.0, 0.0, 150.0, 0.0]


def test_contrast_is_the_standard_deviation_of_luma():
    np.testing.assert_allclose(column([checkered(0), checkered(20), checkered(60)], "contrast"), [0, 20, 60], atol=1e-3)


def test_colours_have_a_mean_each():
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:24] = (200, 100, 50)
    table = measure_frames([frame])
    assert [table[name].to_pylist() for name in ("red", "green", "blue")] == [[100.0], [50.0], [25.0]]
    assert table["brightness"].to_pylist()[0] == pytest.approx(0.2126 * 100 + 0.7152 * 50 + 0.0722 * 25, abs=1e-4)


@pytest.mark.parametrize("step_px", [1, 3, 7])
def test_a_square_that_moves_some_pixels_a_frame_is_measured_so(step_px):
    motion = column(moving_square(8, step_px), "motion_px")
    assert motion == [None, *[float(step_px)] * 7]


def test_a_square_that_moves_aslant_is_measured_by_the_length_of_its_step():
    assert column(moving_square(5, 3, step_down_px=4), "motion_px") == [None, *[5.0] * 4]


def test_motion_of_a_large_picture_is_in_its_own_pixels():
    assert column(moving_square(4, 12, height=320, width=512), "motion_px") == [None, *[12.0] * 3]


@pytest.mark.parametrize("step", [(0, 1), (0, 2), (0, 3), (1, 0), (3, 4)], ids=str)
@pytest.mark.parametrize("size", [(96, 128), (320, 512), (1080, 1920)], ids=str)
def test_a_pan_of_whole_pixels_is_measured_so_at_any_size_and_moves_all_of_the_picture(size, step):
    picture = textured(*size)
    table = measure_frames([picture, np.roll(picture, step, axis=(0, 1))])
    assert table["motion_px"].to_pylist()[1] == np.hypot(*step)
    assert table["moving_share"].to_pylist()[1] > 0.9


def test_a_slow_disc_in_a_large_picture_moves_at_its_edge():
    down, right = np.mgrid[:320, :512]
    discs = [np.where(np.hypot(down - 160, right - x) < 60, 200, 20).astype(np.float32) for x in (200, 201)]
    motion, share = measure_motion(*discs)
    # Straight parts of the edge do not tell how far they went along themselves.
    assert 1 <= motion < 1.5
    # Its edge of 2 pi 60 px crosses some 40 of 640 blocks of 16 px; those at the top and at the bottom do not change.
    assert 0.02 < share < 0.06


@pytest.mark.parametrize("size", [(320, 512), (1080, 1920)], ids=str)
def test_light_that_flickers_over_a_large_picture_and_grain_do_not_move_it(size):
    picture = textured(*size)
    grain = np.random.default_rng(1).normal(0, 6, (2, *picture.shape))
    lighter, grainy = picture + np.uint8(12), [np.clip(picture + each, 0, 255).astype(np.uint8) for each in grain]
    for frames in ([picture, lighter, picture], grainy, [picture, picture]):
        assert set(column(frames, "moving_share")[1:]) == {0.0}


@pytest.mark.parametrize("levels", [(100, 100), (100, 130), (0, 255)], ids=["still", "lighter", "a cut"])
def test_light_that_changes_does_not_move(levels):
    assert column(grey(*levels), "motion_px") == [None, 0.0]
    assert column(grey(*levels), "moving_share") == [None, 0.0]


def test_noise_that_no_displacement_explains_does_not_move():
    noise = np.random.default_rng(6).integers(0, 256, (2, 96, 128, 3), np.uint8)
    assert column(noise, "moving_share") == [None, 0.0]


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (9, 17)])
def test_pictures_of_any_size_have_a_motion(size):
    rng = np.random.default_rng(1)
    before, after = (rng.uniform(0, 255, size).astype(np.float32) for _ in range(2))
    motion, share = measure_motion(before, after)
    assert motion >= 0 and 0 <= share <= 1


def test_differences_and_flicker_are_those_of_frames_that_are_all_in_memory():
    frames = np.random.default_rng(2).integers(0, 256, (6, 48, 64, 3), np.uint8)
    table = measure_frames(iter(frames))
    np.testing.assert_allclose(table["difference"].to_pylist()[1:], frame_differences(frames))
    np.testing.assert_allclose(table["flicker"].to_pylist()[1:-1], frame_flicker(frames))


def test_frames_are_let_go_as_they_are_measured():
    alive = []

    class Frame(np.ndarray):
        pass

    def frames():
        for level in range(12):
            assert sum(each() is not None for each in alive) <= 3
            frame = np.full((48, 64, 3), level, np.uint8).view(Frame)
            alive.append(weakref.ref(frame))
            yield frame
            del frame

    assert len(measure_frames(frames())) == 12
