"""What a replica hands back is what was asked for, or is refused with what is wrong about it."""

from dataclasses import replace

import numpy as np
import pytest

from tests.plan.boards import plan_of
from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.errors import OutputError
from ursa_ray.exchange import Done, Step
from ursa_ray.returned import Expected, require_segment, require_step

# 17 frames of 64x48 pixels of a model with 4 frames and 8 pixels to a code.
SEGMENT = replace(plan_of({"frames": 9}).segments[0], num_frames=17, width=64, height=48, steps=4)
SHAPE = (5, 6, 8)
EXPECTED = Expected(temporal_stride=4, spatial_stride=8, num_codes=64_000)
DONE = Done(SEGMENT.key, np.full(SHAPE, 63_999, np.uint16), "0f" * 32, "cpu", "torch.float32", 1, 0.5)


def test_what_was_asked_for_passes():
    require_segment(DONE, SEGMENT, EXPECTED)


def test_codes_of_a_large_codebook_have_32_bits():
    codes = np.full(SHAPE, 131_071, np.uint32)
    require_segment(replace(DONE, codes=codes), SEGMENT, replace(EXPECTED, num_codes=131_072))
    with pytest.raises(OutputError, match="uint16"):
        require_segment(DONE, SEGMENT, replace(EXPECTED, num_codes=131_072))


def test_the_sizes_come_from_the_checkpoint():
    assert Expected.of(open_checkpoint("BAAI/URSA-1.7B-FSQ320")) == EXPECTED


WRONG = {
    "another shape": {"codes": np.zeros((5, 8, 6), np.uint16)},
    "one frame less": {"codes": np.zeros((4, 6, 8), np.uint16)},
    "no codes": {"codes": np.zeros((0, 6, 8), np.uint16)},
    "NaN": {"codes": np.full(SHAPE, np.nan, np.float32)},
    "signed": {"codes": np.full(SHAPE, -1, np.int64)},
    "objects": {"codes": np.full(SHAPE, None, object)},
    "a list": {"codes": [[[0]]]},
    "the first code too many": {"codes": np.where(np.arange(240).reshape(SHAPE) == 7, 64_000, 0).astype(np.uint16)},
    "a path for a hash": {"frames_sha256": "../" * 8 + "etc/passwd"},
    "a hash and a line": {"frames_sha256": "0f" * 32 + "\n"},
    "bytes for a hash": {"frames_sha256": b"0f" * 32},
    "a long device": {"device": "x" * 257},
    "no number type": {"dtype": None},
    "long backends": {"backends": "x" * 257},
    "no threads": {"num_threads": 0},
    "true threads": {"num_threads": True},
    "perhaps framed": {"is_framed": 1},
    "no time": {"seconds": float("nan")},
}


@pytest.mark.parametrize("what", WRONG)
def test_anything_else_is_refused(what):
    with pytest.raises(OutputError, match=r"^s0\[0\]: .* came back as .*; expected |^s0\[0\]: code 64000 came back"):
        require_segment(replace(DONE, **WRONG[what]), SEGMENT, EXPECTED)


@pytest.mark.parametrize("done", [0, 1, 4])
def test_steps_of_the_segment_pass(done):
    require_step(Step(SEGMENT.key, done, 4), SEGMENT)


@pytest.mark.parametrize(("done", "total"), [(5, 4), (-1, 4), (1, 5), (1.5, 4), (None, 4), ("1", 4)])
def test_other_steps_are_refused(done, total):
    with pytest.raises(OutputError, match="it has 4"):
        require_step(Step(SEGMENT.key, done, total), SEGMENT)


@pytest.mark.parametrize("computes", [None, "x" * 257])
def test_a_step_that_tells_otherwise_what_computes_is_refused(computes):
    with pytest.raises(OutputError, match=r"how it is computed came back as .*; expected words"):
        require_step(Step(SEGMENT.key, 1, 4, computes=computes), SEGMENT)


@pytest.mark.parametrize("about", [{"has_preview": "yes"}, {"warning": None}])
def test_a_step_that_comes_with_anything_else_is_refused(about):
    with pytest.raises(OutputError, match="neither a preview nor a warning"):
        require_step(Step(SEGMENT.key, 1, 4, **about), SEGMENT)
