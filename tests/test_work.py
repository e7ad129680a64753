import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.storyboards import FROM_IMAGE, write
from ursa_ray.errors import CheckpointError
from ursa_ray.ledger import Run
from ursa_ray.media import read_mezzanine
from ursa_ray.prepare import prepare
from ursa_ray.work import Done, Request, Step, Worker, WorkerOptions


@pytest.fixture
def plan(tmp_path):
    Image.new("RGB", (192, 128), (200, 80, 20)).save(tmp_path / "title.png")
    return prepare(write(tmp_path, FROM_IMAGE)).plan


@pytest.fixture
def worker(plan, tmp_path):
    run = Run.create(tmp_path / "run")
    with run.store.writing("assets") as assets:
        shutil.copyfile(tmp_path / "title.png", assets / plan.segments[0].condition.sha256)
    return Worker(WorkerOptions("tiny", plan.weights_sha256, run.store.anywhere, device="cpu"))


@pytest.fixture
def media(tmp_path):
    return tmp_path / "run" / "media"


def test_a_segment_reports_every_step_and_then_its_codes_and_frames(worker, plan, media):
    *steps, done = worker.run(Request(plan.segments[0], plan.fps))
    assert steps == [Step(plan.segments[0].key, step, 3) for step in (1, 2, 3)]
    assert isinstance(done, Done)
    assert (done.codes.dtype, done.codes.shape) == (np.uint16, (5, 6, 8))
    assert len(list(read_mezzanine(media / f"{done.frames_sha256}.mkv"))) == 17


def test_codes_alone_give_the_same_frames_again(worker, plan, media):
    *_, made = worker.run(Request(plan.segments[0], plan.fps))
    (media / f"{made.frames_sha256}.mkv").unlink()
    worker._frames.clear()
    (again,) = worker.run(Request(plan.segments[0], plan.fps, codes=made.codes))
    assert again.frames_sha256 == made.frames_sha256
    assert (media / f"{made.frames_sha256}.mkv").exists()


def test_other_weights_than_the_plan_was_made_with_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="other weights than the plan was made with"):
        Worker(WorkerOptions("tiny", "0" * 64, str(tmp_path), device="cpu"))


def test_the_picture_decides_the_codes(worker, plan, tmp_path):
    *_, with_picture = worker.run(Request(plan.segments[0], plan.fps))
    *_, without = worker.run(Request(replace(plan.segments[0], condition=None, key="other"), plan.fps))
    assert not np.array_equal(with_picture.codes, without.codes)


@pytest.mark.parametrize("num_done", [1, 2])
def test_a_segment_goes_on_from_the_step_that_was_reached_and_ends_the_same(plan, worker, num_done):
    request = Request(plan.segments[0], plan.fps)
    *_, undisturbed = worker.run(request)
    worker._steps.clear(request.segment.key)
    for _, _ in zip(range(num_done), worker.run(request), strict=False):
        pass
    *steps, done = worker.run(request)
    assert [step.done for step in steps] == list(range(num_done + 1, 4))
    np.testing.assert_array_equal(done.codes, undisturbed.codes)


def test_what_computes_belongs_to_the_kind_of_a_device_whose_answers_are_alike(plan, tmp_path):
    store = Run.create(tmp_path / "run").store.anywhere
    options = WorkerOptions("tiny", plan.weights_sha256, store, device="cpu")
    kinds = [Worker(replace(options, attention=kernel)).device_kind for kernel in (None, "flash")]
    assert "onednn attention" in kinds[0] and "flash attention" in kinds[1]
