import numpy as np
import pytest

from ursa_ray.evaluation.seams import flicker, frame_differences, seam_ratio
from ursa_ray.training import world
from ursa_ray.training.world import Scene

SCENE = Scene("red", "square", "right", "sunset", speed=1.0, start=(8.0, 40.0))


def grey(*levels: int) -> np.ndarray:
    return np.repeat(np.array(levels, np.uint8), 4 * 5 * 3).reshape(-1, 4, 5, 3)


def test_differences_are_in_grey_levels_and_do_not_wrap():
    assert frame_differences(grey(250, 5, 15)).tolist() == [245, 10]


def test_the_seam_ratio_sets_joins_against_the_rest():
    assert seam_ratio(grey(0, 2, 4, 10, 12, 15), joins=[3]) == pytest.approx(6 / ((2 + 2 + 2 + 3) / 4))


def test_a_film_without_joins_to_be_seen_has_a_seam_ratio_of_one():
    film = world.draw(SCENE, num_frames=41)
    assert seam_ratio(film, joins=[17, 29]) == pytest.approx(1, abs=0.1)


def test_a_jump_shows_as_a_seam():
    film = np.concatenate([world.draw(SCENE, 17), world.draw(SCENE, 17, first_frame=21)])
    assert seam_ratio(film, joins=[17]) > 3


def test_a_still_film_has_no_seam_ratio():
    assert np.isnan(seam_ratio(grey(1, 1, 1), joins=[1]))


def test_flicker_is_what_goes_and_comes_back():
    assert flicker(grey(10, 14, 10)) == 4
    assert flicker(grey(10, 14, 13)) == 1
    assert flicker(grey(10, 14, 18)) == 0


def test_a_passing_object_hardly_flickers():
    assert flicker(world.draw(SCENE, 60)) < 0.1
