from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.storyboards import write
from ursa_ray.errors import AssetError, CheckpointError
from ursa_ray.media import read_mezzanine
from ursa_ray.prepare import prepare
from ursa_ray.work import Done, Request, Step, Worker, WorkerOptions

FROM_IMAGE = """\
version: 1
model: tiny
defaults: {steps: 3}
shots:
  - {id: title, image: title.png, prompt: the picture comes alive, frames: 5}
"""


@pytest.fixture
def plan(tmp_path):
    Image.new("RGB", (192, 128), (200, 80, 20)).save(tmp_path / "title.png")
    return prepare(write(tmp_path, FROM_IMAGE)).plan


@pytest.fixture
def worker(plan, tmp_path):
    (tmp_path / "media").mkdir()
    return Worker(WorkerOptions("tiny", plan.weights_sha256, tmp_path / "media", device="cpu"))


def test_a_segment_reports_every_step_and_then_its_codes_and_frames(worker, plan):
    *steps, done = worker.run(Request(plan.segments[0], plan.fps))
    assert steps == [Step(plan.segments[0].key, step, 3) for step in (1, 2, 3)]
    assert isinstance(done, Done)
    assert (done.codes.dtype, done.codes.shape) == (np.uint16, (5, 8, 12))
    assert len(list(read_mezzanine(worker.media / f"{done.frames_sha256}.mkv"))) == 17


def test_codes_alone_give_the_same_frames_again(worker, plan):
    *_, made = worker.run(Request(plan.segments[0], plan.fps))
    (worker.media / f"{made.frames_sha256}.mkv").unlink()
    worker._frames.clear()
    (again,) = worker.run(Request(plan.segments[0], plan.fps, codes=made.codes))
    assert again.frames_sha256 == made.frames_sha256
    assert (worker.media / f"{made.frames_sha256}.mkv").exists()


def test_a_picture_that_changed_after_planning_is_refused(worker, plan, tmp_path):
    Image.new("RGB", (192, 128), (0, 0, 0)).save(tmp_path / "title.png")
    with pytest.raises(AssetError, match=r"title\.png: has changed since the render began"):
        list(worker.run(Request(plan.segments[0], plan.fps)))


def test_other_weights_than_the_plan_was_made_with_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="other weights than the plan was made with"):
        Worker(WorkerOptions("tiny", "0" * 64, tmp_path, device="cpu"))


def test_the_picture_decides_the_codes(worker, plan, tmp_path):
    *_, with_picture = worker.run(Request(plan.segments[0], plan.fps))
    *_, without = worker.run(Request(replace(plan.segments[0], condition=None), plan.fps))
    assert not np.array_equal(with_picture.codes, without.codes)
