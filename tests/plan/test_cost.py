"""Work against the table that was derived from the published sizes, section 12 of the notes on URSA: FLOPs in 1e12."""

import pytest

from tests.plan.boards import plan_of, released
from ursa_ray.plan.cost import forward_flops, segment_flops

GRID = (13, 40, 64)  # 49 frames of 512x320
NUM_POSITIONS = 33_601  # 320 of text, one that begins the video, 33,280 of codes


@pytest.fixture(params=[("1.7B", 94.7, 259.0, 8.8, 362), ("0.6B", 29.6, 259.0, 4.4, 293)], ids=["1.7B", "0.6B"])
def row(request):
    size, *flops = request.param
    return released(f"BAAI/URSA-{size}-FSQ320"), *(1e12 * number for number in flops)


def test_attention_and_linear_layers_cost_what_the_table_says(row):
    checkpoint, linear, attention, *_ = row
    once = forward_flops(checkpoint.transformer, NUM_POSITIONS)
    twice = forward_flops(checkpoint.transformer, 2 * NUM_POSITIONS)
    square = (twice - 2 * once) / 2  # of a n + b n^2
    assert square == pytest.approx(attention, rel=0.005)
    assert once - square == pytest.approx(linear, rel=0.005)


def test_the_head_is_paid_once_for_the_positions_of_codes_alone(row):
    checkpoint, *_, head, _ = row
    a_step = segment_flops(checkpoint, GRID, num_steps=2, num_branches=2, max_prompt_length=320)
    both = 2 * forward_flops(checkpoint.transformer, NUM_POSITIONS)
    assert a_step - both == pytest.approx(head * 33_280 / 33_601, rel=0.005)


def test_a_forward_pass_costs_what_the_table_says(row):
    checkpoint, *_, total = row
    assert segment_flops(checkpoint, GRID, 2, 1, 320) == pytest.approx(total, rel=0.005)


def test_the_first_step_is_free_and_guidance_doubles_the_layers():
    checkpoint = released()
    layers, head = 353.7e12, 8.72e12
    (guided,) = plan_of({"steps": 50, "frames": 49}, checkpoint=checkpoint).segments
    (unguided,) = plan_of({"steps": 50, "frames": 49, "guidance": 1.0}, checkpoint=checkpoint).segments
    assert guided.flops == pytest.approx(49 * (2 * layers + head), rel=0.005)
    assert unguided.flops == pytest.approx(49 * (layers + head), rel=0.005)
