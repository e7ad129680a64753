from dataclasses import replace

import pytest

from tests.evaluation.drawing import DrawingModel, StillModel
from ursa_ray.evaluation.adherence import adherence_rates, judge, measure_adherence, table_of
from ursa_ray.evaluation.figures import Rate
from ursa_ray.evaluation.films import Take, sample_takes
from ursa_ray.training import world
from ursa_ray.training.world import Scene

SCENE = Scene("red", "square", "right", "meadow", speed=2.0, start=(16.0, 24.0))
TAKE = Take(SCENE, "prompt", 0)


def shares(rates: list[Rate]) -> dict[str, float]:
    return {rate.name: rate.value for rate in rates}


def test_a_model_that_draws_the_prompt_is_right_in_everything():
    rates = adherence_rates(measure_adherence(DrawingModel(), num_prompts=40))
    assert set(shares(rates).values()) == {1.0}
    assert [rate.name for rate in rates] == [
        *("background", "colour", "shape", "direction", "speed class", "object seen", "no strays", "speed order")
    ]


def test_a_model_that_stands_still_is_wrong_in_motion_alone():
    found = shares(adherence_rates(measure_adherence(StillModel(), num_prompts=20)))
    assert found["colour"] == found["background"] == 1.0
    assert found["direction"] == found["speed order"] == 0.0


def test_prompts_are_held_out_and_follow_from_the_seed():
    takes = sample_takes(10, seed=4)
    assert takes == sample_takes(10, seed=4) != sample_takes(10, seed=5)
    assert [take.seed for take in takes] == list(range(4, 14))
    for scene in (take.scene for take in takes):
        assert (scene.colour, scene.shape, scene.direction, scene.background) in world.PROMPTS["held-out"]


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        (replace(SCENE, colour="blue"), "colour"),
        (replace(SCENE, shape="circle"), "shape"),
        (replace(SCENE, direction="down"), "direction"),
        (replace(SCENE, background="night"), "background"),
        (replace(SCENE, speed=1.0), "speed class"),
    ],
)
def test_what_is_shown_wrongly_is_counted_as_that_alone(shown: Scene, wrong: str):
    rates = adherence_rates(table_of([judge(TAKE, world.draw(shown))]))
    assert [rate.name for rate in rates if rate.value < 1] == [wrong]


def test_a_clip_without_an_object_is_wrong_in_all_but_its_background():
    empty = world.draw(replace(SCENE, start=(-10.0, 24.0), speed=0.0))
    found = shares(adherence_rates(table_of([judge(TAKE, empty)])))
    assert found == {
        **dict.fromkeys(("colour", "shape", "direction", "speed class", "object seen"), 0.0),
        **dict.fromkeys(("background", "no strays"), 1.0),
    }


def test_speed_order_compares_each_clip_once():
    speeds = [(1.0, 1.1), (2.0, 1.0), (1.0, 0.9), (2.0, 1.8), (2.0, 1.9)]
    rows = [judge(Take(replace(SCENE, speed=wanted), "prompt", 0), world.draw(SCENE)) for wanted, _ in speeds]
    rows = [{**row, "found_speed": found} for row, (_, found) in zip(rows, speeds, strict=True)]
    order = adherence_rates(table_of(rows))[-1]
    assert (order.name, order.right, order.total) == ("speed order", 2, 2)
