import numpy as np
import pytest

from ursa_ray.evaluation.drift import background_ratio, drift_rates, measure_seconds
from ursa_ray.training import world
from ursa_ray.training.world import Scene

SCENE = Scene("purple", "circle", "left", "sea", speed=1.0, start=(32.0, 24.0))


def noisy(frames: np.ndarray, sigma: np.ndarray | float = 6.0) -> np.ndarray:
    noise = np.random.default_rng(5).normal(0, 1, frames.shape) * np.reshape(sigma, (-1, 1, 1, 1))
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", world.SHAPES)
@pytest.mark.parametrize("direction", world.DIRECTIONS)
def test_a_drawn_film_does_not_drift(shape: str, direction: str):
    scene = Scene("red", shape, direction, "night", speed=1.0, start=(32.0, 24.0))
    table = measure_seconds(noisy(world.draw(scene, 240)), "night", "red")
    assert background_ratio(table) < 1.05
    present, colour = drift_rates(table)
    assert present.value == 1 and colour.value > 0.95
    assert sum(table["num_strays"].to_pylist()) == 0


def test_there_is_one_row_a_second_the_last_may_be_shorter():
    table = measure_seconds(world.draw(SCENE, 30), "sea", "purple")
    assert table["second"].to_pylist() == [0, 1, 2]
    assert table["num_due"].to_pylist() == [12, 12, 6]


def test_a_background_that_grows_darker_drifts():
    film = noisy(world.draw(SCENE, 36))
    film[24:] = film[24:] // 10 * 9
    errors = measure_seconds(film, "sea", "purple")["background_error"].to_numpy()
    assert errors[1] == pytest.approx(errors[0], rel=0.05)
    assert background_ratio(measure_seconds(film, "sea", "purple")) == errors[2] / errors[0] > 3


def test_an_object_that_vanishes_is_missed():
    film = world.draw(SCENE, 36)
    film[18:] = world.background("sea")
    present, _ = drift_rates(measure_seconds(film, "sea", "purple"))
    assert (present.right, present.total) == (18, 36)


def test_an_object_on_its_way_to_the_other_side_is_not_missed():
    film = world.draw(SCENE, 82)  # once around
    hidden = (world.mask(SCENE, 82).sum(axis=(1, 2)) == 0).sum()
    present, _ = drift_rates(measure_seconds(film, "sea", "purple"))
    assert hidden == 3
    assert present.value == 1 and 82 - 7 <= present.total <= 82 - hidden


def test_an_object_that_changes_its_colour_is_counted():
    film = world.draw(SCENE, 24)
    cover = world.mask(SCENE, 24)[12:, ..., None] > 0
    film[12:] = np.where(cover, np.array(world.COLOURS["yellow"], np.uint8), film[12:])
    _, colour = drift_rates(measure_seconds(film, "sea", "purple"))
    assert (colour.right, colour.total) == (12, 24)
