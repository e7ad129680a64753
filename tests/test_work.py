import shutil
from dataclasses import replace
from threading import Event, Timer

import numpy as np
import pytest
from PIL import Image

from tests.storyboards import FROM_IMAGE, write
from ursa_ray import work
from ursa_ray.errors import CheckpointError, MediaError, OptionError, StoreError
from ursa_ray.exchange import Done, Request, Step, WorkerOptions
from ursa_ray.ledger import Run
from ursa_ray.media import read_mezzanine
from ursa_ray.prepare import prepare
from ursa_ray.work import Worker


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
    first = Step(plan.segments[0].key, 1, 3, computes=worker.device_kind)
    assert steps == [first, *(Step(plan.segments[0].key, step, 3) for step in (2, 3))]
    assert isinstance(done, Done) and not done.is_framed
    worker.framed(done.key).result()
    assert (done.codes.dtype, done.codes.shape) == (np.uint16, (5, 6, 8))
    assert len(list(read_mezzanine(media / f"{done.frames_sha256}.mkv"))) == 17


def test_codes_alone_give_the_same_frames_again(worker, plan, media):
    *_, made = worker.run(Request(plan.segments[0], plan.fps))
    worker.framed(made.key).result()
    (media / f"{made.frames_sha256}.mkv").unlink()
    worker._conditions._kept.clear()
    (again,) = worker.run(Request(plan.segments[0], plan.fps, codes=made.codes))
    assert again.is_framed
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
    with pytest.raises(OptionError, match="draws is 'dice', expected torch or triton"):
        Worker(replace(options, draws="dice"))


def held_up(monkeypatch, owner, name):
    """Calls of a method wait until the event is set; the list has those that have begun."""
    go_on, begun, write = Event(), [], getattr(owner, name)

    def wait_and_write(*arguments):
        begun.append(arguments)
        assert go_on.wait(60)
        return write(*arguments)

    monkeypatch.setattr(owner, name, wait_and_write)
    return go_on, begun


def test_the_next_segment_is_made_while_frames_are_written_and_then_waits_for_them(worker, plan, monkeypatch):
    go_on, begun = held_up(monkeypatch, work, "write_mezzanine")
    *_, first = worker.run(Request(plan.segments[0], plan.fps))
    following = worker.run(Request(replace(plan.segments[0], key="following"), plan.fps))
    assert [next(following).done for _ in range(3)] == [1, 2, 3]
    assert not worker.framed(first.key).done()
    Timer(0.2, go_on.set).start()
    assert isinstance(next(following), Done)
    assert go_on.is_set()
    worker.framed("following").result()
    assert len(begun) == 2


def test_a_step_is_saved_while_the_next_is_made_and_never_after_the_segment_is_done(worker, plan, monkeypatch):
    go_on, begun = held_up(monkeypatch, worker._steps, "save")
    segment = worker.run(Request(plan.segments[0], plan.fps))
    assert next(segment).done == 1
    Timer(0.2, go_on.set).start()
    assert next(segment).done == 2
    assert go_on.is_set()
    for _ in segment:
        pass
    assert [num_done for _, num_done, _ in begun] == [1, 2]
    assert worker._steps.latest(plan.segments[0].key).num_done == 2


def test_a_segment_that_is_given_up_has_no_step_saved_later(worker, plan, monkeypatch):
    go_on, _ = held_up(monkeypatch, worker._steps, "save")
    segment = worker.run(Request(plan.segments[0], plan.fps))
    next(segment)
    Timer(0.2, go_on.set).start()
    segment.close()
    assert worker._steps.latest(plan.segments[0].key).num_done == 1


def test_steps_that_cannot_be_saved_are_told_once_of_a_segment_which_is_made_all_the_same(worker, plan, tmp_path):
    (tmp_path / "run" / "steps").write_text("in the way of the folder")
    longer = replace(plan.segments[0], steps=5, key="longer")
    for segment in (longer, replace(longer, key="following")):
        *steps, done = worker.run(Request(segment, plan.fps))
        first, *others = filter(None, (step.warning for step in steps))
        assert "a step could not be saved (" in first and "Not a directory" in first
        assert (others, isinstance(done, Done)) == ([], True)


def test_frames_that_alone_are_asked_for_and_cannot_be_written_fail_with_where_and_why(worker, plan, media):
    *_, made = worker.run(Request(plan.segments[0], plan.fps))
    worker.framed(made.key).result()
    shutil.rmtree(media)
    media.write_text("in the way of the folder")
    with pytest.raises(StoreError, match=r"run/media: cannot be written \(File exists\)\. What is committed is safe"):
        list(worker.run(Request(plan.segments[0], plan.fps, codes=made.codes)))


def test_a_disk_of_which_ffmpeg_finds_that_it_is_full_is_at_fault(worker, plan, monkeypatch):
    def refuse(*_):
        raise MediaError("ffmpeg ended with 228: No space left on device")

    monkeypatch.setattr(work, "write_mezzanine", refuse)
    *_, made = worker.run(Request(plan.segments[0], plan.fps))
    assert isinstance(worker.framed(made.key).exception(), StoreError)


def test_a_step_that_was_not_saved_does_not_fail_the_segment_after_it(worker, plan, monkeypatch):
    save = worker._steps.save

    def refuse_second(key, num_done, codes):
        if (key, num_done) == (plan.segments[0].key, 2):
            raise OSError("no space left on device")
        save(key, num_done, codes)

    monkeypatch.setattr(worker._steps, "save", refuse_second)
    for segment in (plan.segments[0], replace(plan.segments[0], key="following")):
        *_, done = worker.run(Request(segment, plan.fps))
        assert isinstance(done, Done)


@pytest.mark.parametrize("error", [MediaError("odd frames"), ValueError("bad size"), KeyError("WEBP")])
def test_a_preview_that_cannot_be_written_is_a_warning(plan, tmp_path, monkeypatch, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr(work, "preview_webp", refuse)
    options = WorkerOptions("tiny", plan.weights_sha256, Run.create(tmp_path / "run").store.anywhere, device="cpu")
    segment = replace(plan.segments[0], condition=None)
    *steps, done = Worker(replace(options, preview_steps=(2,))).run(Request(segment, plan.fps))
    assert isinstance(done, Done)
    assert [step.warning for step in steps] == ["", f"its preview could not be written ({error})", ""]
