import time
from dataclasses import replace

import numpy as np
import pytest

from ursa_ray.training import world
from ursa_ray.training.world import Scene

SCENE = Scene("red", "square", "right", "meadow", speed=2.0, start=(16.0, 24.0))


def scenes(split: world.Split, num: int, seed: int = 0) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [world.sample_scene(rng, split) for _ in range(num)]


def centre_of(cover: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(cover.shape) + 0.5
    return float((columns * cover).sum() / cover.sum()), float((rows * cover).sum() / cover.sum())


def test_a_clip_has_the_size_that_is_asked_for():
    assert world.draw(SCENE).shape == (17, 48, 64, 3)
    assert world.draw(SCENE, num_frames=5, height=32, width=40).shape == (5, 32, 40, 3)
    assert world.draw(SCENE).dtype == np.uint8


def test_a_later_part_of_a_film_continues_the_earlier():
    film = world.draw(SCENE, num_frames=200)
    assert np.array_equal(film[90:107], world.draw(SCENE, first_frame=90))


@pytest.mark.parametrize("shape", world.SHAPES)
@pytest.mark.parametrize(
    ("direction", "step"), [("right", (2, 0)), ("left", (-2, 0)), ("up", (0, -2)), ("down", (0, 2))]
)
def test_the_object_moves_as_the_scene_says(shape: str, direction: str, step: tuple[int, int]):
    cover = world.mask(replace(SCENE, shape=shape, direction=direction, start=(32.0, 24.0)), num_frames=7)
    expected = [(32 + step[0] * frame, 24 + step[1] * frame) for frame in range(7)]
    # A triangle's slanted sides are covered to a tenth of a pixel only.
    assert np.allclose([centre_of(frame) for frame in cover], expected, atol=0.12)


def test_the_object_leaves_and_comes_back_on_the_other_side():
    cover = world.mask(replace(SCENE, start=(60.0, 24.0)), num_frames=42)  # 82 px around, at 2 px a frame
    assert cover[6].sum() == 0
    assert centre_of(cover[13])[0] < 8
    assert np.array_equal(cover[0], cover[41])


@pytest.mark.parametrize("shape", world.SHAPES)
@pytest.mark.parametrize("direction", world.DIRECTIONS)
def test_every_shape_is_out_of_sight_for_a_moment_on_its_way_around(shape: str, direction: str):
    scene = replace(SCENE, shape=shape, direction=direction, speed=1.0, start=(32.0, 24.0))
    hidden = world.mask(scene, num_frames=82).sum(axis=(1, 2)) == 0
    assert 1 <= hidden.sum() <= 5


def test_pixels_are_the_objects_colour_inside_and_the_background_outside():
    clip, cover = world.draw(SCENE), world.mask(SCENE)
    assert tuple(clip[0, 24, 16]) == world.COLOURS["red"]
    still = np.broadcast_to(world.background("meadow") + 0.5, clip.shape).astype(np.uint8)
    assert np.array_equal(clip[cover == 0], still[cover == 0])


def test_areas_are_those_of_geometry():
    areas = {shape: world.mask(replace(SCENE, shape=shape, start=(32.0, 24.0)), 1).sum() for shape in world.SHAPES}
    triangle = 3 * np.sqrt(3) / 4 * world.REACH_PX**2
    assert areas == pytest.approx({"circle": np.pi * 7.5**2, "square": 14**2, "triangle": triangle}, rel=0.02)


def test_every_colour_stands_out_from_every_background():
    for name in world.BACKGROUNDS:
        for colour in world.COLOURS.values():
            assert np.linalg.norm(world.background(name) - np.array(colour), axis=-1).min() > 75


def test_drawing_does_not_change_the_background():
    with pytest.raises(ValueError, match="read-only"):
        world.background("sea")[0] = 0


@pytest.mark.parametrize(("motion", "speed"), [(3.0, 1.0), (6.0, 1.5), (9.0, 2.0), (5.0, 4 / 3)])
def test_speed_is_linear_in_motion(motion: float, speed: float):
    assert world.speed_of(motion) == pytest.approx(speed)
    assert world.motion_of(speed) == pytest.approx(motion)


def test_held_out_prompts_and_starts_are_not_in_training():
    def prompt(scene: Scene) -> tuple[str, ...]:
        return scene.colour, scene.shape, scene.direction, scene.background

    train, held_out = scenes("train", 3000), scenes("held-out", 1000)
    assert not {prompt(scene) for scene in train} & {prompt(scene) for scene in held_out}
    assert not {scene.start for scene in train} & {scene.start for scene in held_out}


def test_a_tenth_of_the_prompts_is_held_out_with_all_values_in_both_parts():
    num_train, num_held_out = len(world.PROMPTS["train"]), len(world.PROMPTS["held-out"])
    assert num_held_out == (num_train + num_held_out) // 10 == 24
    for prompts in world.PROMPTS.values():
        seen = set().union(*prompts)
        assert seen == {*world.COLOURS, *world.SHAPES, *world.DIRECTIONS, *world.BACKGROUNDS}


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_a_small_frame_too_has_starts_of_both_kinds(split: world.Split):
    rng = np.random.default_rng(0)
    assert len({world.sample_scene(rng, split, height=24, width=32) for _ in range(500)}) > 100


def test_starts_lie_on_the_grid():
    assert all(value % world.GRID_PX == 0 for scene in scenes("train", 300) for value in scene.start)


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_most_clips_cross_the_centre_in_their_middle(split: world.Split):
    middles = np.concatenate([world.positions(scene, 1, 48, 64, first_frame=8) for scene in scenes(split, 2000)])
    central = (abs(middles - (32, 24)) <= 10.01).all(axis=1)  # 8 px, and 2 for rounding to the grid
    assert 0.68 < central.mean() < 0.85


def test_held_out_clips_keep_the_object_whole_in_the_middle():
    for scene in scenes("held-out", 300):
        assert world.mask(scene)[8].sum() > 0.75 * world.mask(replace(scene, start=(32.0, 24.0)))[0].sum()


def test_objects_pass_the_edge_in_some_clips_of_training():
    hidden = [world.mask(scene).sum(axis=(1, 2)).min() == 0 for scene in scenes("train", 1000)]
    assert 0.05 < np.mean(hidden) < 0.3


def test_a_clip_takes_about_a_millisecond():
    world.draw(SCENE)
    started = time.perf_counter()
    for _ in range(50):
        world.draw(SCENE)
    assert (time.perf_counter() - started) / 50 < 0.01  # measured 0.5 ms on one busy core
