"""Segments of one frame: what the image models make, and video models too."""

import re

import numpy as np
import pytest
import torch

from tests.plan.boards import plan_of, released, tiny
from ursa_ray.checkpoint.released import RELEASED
from ursa_ray.errors import StoryboardError
from ursa_ray.forecast import Gpu, Question, predict
from ursa_ray.model.image_tokenizer import ImageTokenizer
from ursa_ray.model.transformer import Transformer
from ursa_ray.plan import difference, lint
from ursa_ray.plan.cost import forward_flops
from ursa_ray.returned import Expected

STILL = {"segment": {"frames": 1}}
IMAGE = {"frames": 1}
IBQ1024 = "BAAI/URSA-1.7B-IBQ1024"


@pytest.mark.parametrize(
    ("name", "side"), [(IBQ1024, 1024), ("BAAI/URSA-0.6B-IBQ1024", 1024), ("BAAI/URSA-1.7B-IBQ512", 512)]
)
def test_a_released_image_model_makes_images_of_its_size_in_25_steps(name, side):
    (segment,) = plan_of(IMAGE, checkpoint=released(name), **STILL).segments
    assert (segment.width, segment.height, segment.num_frames, segment.steps) == (side, side, 1, 25)
    assert (segment.guidance, segment.shown, segment.condition) == (7.0, (0, 1), None)


def test_prompts_of_images_say_nothing_of_motion():
    (segment,) = plan_of(IMAGE | {"prompt": "a bear, resting"}, checkpoint=released(IBQ1024), **STILL).segments
    assert segment.prompt == "a bear, resting"


def test_a_released_image_costs_what_was_derived_for_it():
    # The specification's table for 4417 positions of 1.7B: linear 12.4, attention 4.5, head 2.4 TFLOP for both scored.
    model = released(IBQ1024)
    assert forward_flops(model.transformer, 4417) == pytest.approx(16.9e12, rel=0.01)
    (segment,) = plan_of(IMAGE, checkpoint=model, **STILL).segments
    assert segment.flops == pytest.approx(24 * (2 * 16.9e12 + 2.2e12), rel=0.01)


def test_images_are_forecast_side_by_side():
    plan = plan_of(*[IMAGE] * 8, checkpoint=released(IBQ1024), **STILL)
    alone, eight = (predict(plan, (), Question(Gpu("h200", startup_s=0.0), num)).on for num in (1, 8))
    assert alone.wall_s == pytest.approx(8 * eight.wall_s, rel=1e-6)


def test_a_released_image_request_fits_its_transformer_and_its_tokenizer():
    model = released(IBQ1024)
    (segment,) = plan_of(IMAGE, checkpoint=model, **STILL).segments
    grid = model.codes_shape(segment.num_frames, segment.height, segment.width)
    assert grid == (1, 64, 64)
    with torch.device("meta"):
        transformer = Transformer(RELEASED[IBQ1024].transformer)
        tokenizer = ImageTokenizer(RELEASED[IBQ1024].tokenizer).requires_grad_(False)
        prompts, codes = (
            torch.zeros(2, segment.max_prompt_length, dtype=torch.int64),
            torch.zeros(grid, dtype=torch.int64),
        )
    hidden = transformer(prompts, codes.flatten(), transformer.rotary(segment.max_prompt_length, grid))
    assert transformer.lm_head(hidden).shape == (2, 4096, 131_072)
    assert tokenizer.decode(codes[None]).shape == (1, 3, 1, 1024, 1024)


def test_what_comes_back_of_a_released_image_is_expected_in_its_shape():
    model = released(IBQ1024)
    (segment,) = plan_of(IMAGE, checkpoint=model, **STILL).segments
    expected = Expected.of(model)
    assert (expected.shape(segment), expected.dtype) == ((1, 64, 64), np.uint32)


def test_a_video_model_makes_images_too():
    (segment,) = plan_of(IMAGE, **STILL).segments
    assert (segment.width, segment.height, segment.num_frames) == (512, 320, 1)
    assert released().codes_shape(1, 320, 512) == (1, 40, 64)


@pytest.mark.parametrize("start", [{"continue": "s0"}, {"image": "a.png"}, {"video": "a.mp4"}])
def test_nothing_conditions_an_image(start):
    (key,) = start
    words = rf'shots\[1\] \("s1"\): {key} is given, but segments of one frame are images'
    with pytest.raises(StoryboardError, match=words):
        plan_of(IMAGE, IMAGE | start, checkpoint=tiny(), **STILL)


@pytest.mark.parametrize(("length", "num"), [({"frames": 2}, 2), ({"duration": "1s"}, 12)])
def test_an_image_has_one_frame(length, num):
    with pytest.raises(StoryboardError, match=re.escape(f'shots[0] ("s0"): has {num} frames, expected 1')):
        plan_of(length, checkpoint=tiny(), **STILL)


def test_an_edited_image_says_that_its_prompt_changed():
    before = plan_of(IMAGE | {"prompt": "a red car, fast"}, checkpoint=tiny(), **STILL)
    after = plan_of(IMAGE | {"prompt": "a blue car, fast"}, checkpoint=tiny(), **STILL)
    committed = {segment.key for segment in before.segments}
    assert difference(after, before, committed).shots[0].reasons == ("s0[0]: prompt changed",)


def test_images_of_a_trained_size_warn_of_nothing():
    from tests.plan.boards import board

    storyboard = board(IMAGE | {"prompt": "a red car, fast"}, **STILL)
    plan = plan_of(IMAGE | {"prompt": "a red car, fast"}, checkpoint=released(IBQ1024), **STILL)
    assert lint(storyboard, released(IBQ1024), plan) == []
