"""The director with the real model in this process, and with executors that fail in known ways."""

import os
import weakref
from dataclasses import replace
from pathlib import Path
from socket import gethostname
from threading import Event
from time import monotonic, sleep

import numpy as np
import pytest
import torch
from PIL import Image

from tests.storyboards import FROM_IMAGE, TWO_CHAINS, TWO_SHOTS, write
from ursa_ray import director, work, writer
from ursa_ray import executor as executor_module
from ursa_ray.director import Director
from ursa_ray.errors import AssetError, LedgerError, LostError, MediaError, RenderError, StoreError
from ursa_ray.exchange import Done, Step, WorkerOptions
from ursa_ray.executor import Failed, InProcessExecutor
from ursa_ray.files import file_sha256
from ursa_ray.ledger import Run
from ursa_ray.listener import Listener
from ursa_ray.media import probe, read_mezzanine
from ursa_ray.model import Ursa
from ursa_ray.prepare import prepare
from ursa_ray.render import render
from ursa_ray.schedule import Place, schedule

ONE_SEGMENT = """\
version: 1
model: tiny
defaults: {steps: 2}
shots:
  - {id: only, prompt: a green circle rises, frames: 9}
"""


def plan_of(folder, text=TWO_SHOTS):
    return prepare(write(folder, text)).plan


def executor_for(plan, run, kind=InProcessExecutor, **options):
    return kind(WorkerOptions(plan.model, plan.weights_sha256, run.store.anywhere, device="cpu"), **options)


def render_into(folder, plan, kind=InProcessExecutor, **options):
    run = Run.create(folder)
    return render(plan, run, executor_for(plan, run, kind, **options))


def frames_of(run, key, *shown):
    with run.mezzanine(key) as path:
        return list(read_mezzanine(path, *shown))


class Unlucky(InProcessExecutor):
    """Fails the attempts at one shot's segments: all of them, or the first `num_failures`."""

    def __init__(self, options, shot, error, num_failures=10**6):
        super().__init__(options)
        self.shot, self.error, self.num_left = shot, error, num_failures
        self.request = None

    def submit(self, request):
        self.request, self.place = request, super().submit(request)
        return self.place

    def next_event(self, timeout_s):
        if self.request.segment.shot == self.shot and self.num_left > 0:
            self.num_left -= 1
            self._running = self._worker = None
            return self.place, Failed(self.request.segment.key, self.error)
        return super().next_event(timeout_s)


class Interrupted(InProcessExecutor):
    """Somebody presses Ctrl-C in the middle of a segment."""

    def __init__(self, options, after):
        super().__init__(options)
        self.num_left = after

    def next_event(self, timeout_s):
        place, event = super().next_event(timeout_s)
        self.num_left -= isinstance(event, Done)
        if self.num_left < 0:
            raise KeyboardInterrupt
        return place, event


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    plan = plan_of(folder)
    return render_into(folder / "run", plan)


def test_a_film_has_exactly_the_planned_frames(undisturbed):
    assert undisturbed.num_frames == 24 + 14
    assert probe(Path(undisturbed.film)).num_frames == 24 + 14
    assert undisturbed.sha256 == file_sha256(Path(undisturbed.film))


def test_every_segment_is_generated_once(undisturbed):
    # 24 frames are 17 and 7 new ones; 14 after 5 given ones are 12 and 2.
    assert (undisturbed.generated_segments, undisturbed.reused_segments) == (4, 0)


def test_stills_and_a_contact_sheet_lie_beside_the_film(undisturbed):
    folder = Path(undisturbed.film).parent
    assert sorted(path.name for path in (folder / "stills").iterdir()) == ["dawn.png", "dusk.png"]
    assert (folder / "contact-sheet.png").exists()


def test_the_same_storyboard_gives_the_same_bytes_in_another_folder(undisturbed, tmp_path):
    again = render_into(tmp_path / "elsewhere", plan_of(tmp_path / "moved"))
    assert Path(again.film).read_bytes() == Path(undisturbed.film).read_bytes()


def test_another_seed_gives_another_film(undisturbed, tmp_path):
    other = render_into(tmp_path / "run", plan_of(tmp_path, TWO_SHOTS.replace("seed: 11", "seed: 12")))
    assert other.sha256 != undisturbed.sha256


def test_rendering_again_generates_nothing_and_leaves_the_film_alone(tmp_path):
    plan = plan_of(tmp_path)
    first = render_into(tmp_path / "run", plan)
    written = Path(first.film).stat().st_mtime_ns
    again = render_into(tmp_path / "run", plan)
    assert (again.generated_segments, again.reused_segments, again.sha256) == (0, 4, first.sha256)
    assert Path(again.film).stat().st_mtime_ns == written


def test_an_interrupted_render_goes_on_with_what_is_missing(undisturbed, tmp_path):
    plan = plan_of(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        render_into(tmp_path / "run", plan, Interrupted, after=2)
    resumed = render_into(tmp_path / "run", plan)
    assert (resumed.generated_segments, resumed.reused_segments) == (2, 2)
    assert resumed.sha256 == undisturbed.sha256


def test_lost_frames_are_decoded_again_from_codes(undisturbed, tmp_path):
    plan = plan_of(tmp_path)
    first = render_into(tmp_path / "run", plan)
    Path(first.film).unlink()
    for path in (tmp_path / "run" / "media").iterdir():
        path.unlink()
    again = render_into(tmp_path / "run", plan)
    assert (again.generated_segments, again.sha256) == (0, undisturbed.sha256)


def test_frames_that_could_not_be_written_are_written_again(undisturbed, tmp_path, monkeypatch):
    write, refused = work.write_mezzanine, []

    def refuse_once(folder, frames, fps):
        if not refused:
            refused.append(folder)
            raise OSError("no space left on device")
        return write(folder, frames, fps)

    monkeypatch.setattr(work, "write_mezzanine", refuse_once)
    made = render_into(tmp_path / "run", plan_of(tmp_path))
    assert (made.sha256, len(refused)) == (undisturbed.sha256, 1)


def test_a_run_whose_disk_refuses_frames_ends_soon_keeps_its_model_and_all_that_was_made(undisturbed, tmp_path):
    loaded = []

    class Counting(InProcessExecutor):
        def _load(self):
            loaded.append(super()._load())
            return loaded[-1]

    plan, folder = plan_of(tmp_path), tmp_path / "run"
    Run.create(folder)
    (folder / "media").write_text("in the way of the folder")
    with pytest.raises(StoreError, match=r"run/media: cannot be written \(File exists\)") as refused:
        render_into(folder, plan, Counting)
    num_made = len(Run.open(folder).segments)
    assert (len(loaded), refused.value.exit_code) == (1, 3)
    assert 3 <= num_made <= 4  # the next may be made before it is known of the third
    (folder / "media").unlink()
    made = render_into(folder, plan)
    assert (made.generated_segments, made.sha256) == (4 - num_made, undisturbed.sha256)


def test_after_an_interruption_nothing_is_written_any_more(tmp_path, monkeypatch):
    write, written = work.write_mezzanine, []

    def write_slowly(*arguments):
        sleep(0.3)
        written.append(write(*arguments))

    monkeypatch.setattr(work, "write_mezzanine", write_slowly)
    with pytest.raises(KeyboardInterrupt):
        render_into(tmp_path / "run", plan_of(tmp_path), Interrupted, after=0)
    assert len(written) == 1


def test_a_failed_attempt_is_repeated(undisturbed, tmp_path):
    plan = plan_of(tmp_path)
    made = render_into(
        tmp_path / "run", plan, Unlucky, shot="dusk", error=RuntimeError("out of memory"), num_failures=2
    )
    assert made.sha256 == undisturbed.sha256


def test_a_failing_shot_is_reported_and_everything_else_is_committed(tmp_path):
    plan = plan_of(tmp_path, TWO_CHAINS)
    with pytest.raises(RenderError, match=r"(?s)left failed; 3 of 6 segments are committed.*left\[0\]: failed 3 times"):
        render_into(tmp_path / "run", plan, Unlucky, shot="left", error=RuntimeError("out of memory"))
    committed = Run.open(tmp_path / "run").segments
    assert {plan.by_key[key].name for key in committed} == {"right[0]", "right[1]", "right[2]"}
    assert not (tmp_path / "run" / "film.mp4").exists()


def test_an_edited_shot_alone_is_generated_again(tmp_path):
    render_into(tmp_path / "run", plan_of(tmp_path, TWO_CHAINS))
    edited = plan_of(tmp_path, TWO_CHAINS.replace("falls", "sinks"))
    made = render_into(tmp_path / "run", edited)
    assert (made.generated_segments, made.reused_segments) == (3, 3)


def test_a_picture_that_changed_after_planning_is_refused(tmp_path):
    Image.new("RGB", (192, 128), (200, 80, 20)).save(tmp_path / "title.png")
    plan = plan_of(tmp_path, FROM_IMAGE)
    Image.new("RGB", (192, 128), (0, 0, 0)).save(tmp_path / "title.png")
    with pytest.raises(AssetError, match=r"title\.png: has changed since it was planned with"):
        render_into(tmp_path / "run", plan)


def test_a_picture_that_is_gone_after_planning_is_told(tmp_path):
    Image.new("RGB", (192, 128), (200, 80, 20)).save(tmp_path / "title.png")
    plan = plan_of(tmp_path, FROM_IMAGE)
    (tmp_path / "title.png").unlink()
    with pytest.raises(AssetError, match=r"title\.png: cannot be read any more \(No such file or directory\)"):
        render_into(tmp_path / "run", plan)


@pytest.mark.parametrize(("board", "folder"), [(FROM_IMAGE, "assets"), (TWO_SHOTS, "stills")])
def test_a_run_in_which_other_files_cannot_be_written_is_told_so_too(tmp_path, board, folder):
    Image.new("RGB", (192, 128), (200, 80, 20)).save(tmp_path / "title.png")
    plan = plan_of(tmp_path, board)
    Run.create(tmp_path / "run")
    (tmp_path / "run" / folder).write_text("in the way of the folder")
    with pytest.raises(StoreError, match=r"cannot be written \(File exists\)\. What is committed is safe"):
        render_into(tmp_path / "run", plan)


def test_a_run_can_go_on_without_the_picture_that_it_began_with(tmp_path):
    Image.new("RGB", (192, 128), (200, 80, 20)).save(tmp_path / "title.png")
    plan = plan_of(tmp_path, FROM_IMAGE)
    with pytest.raises(KeyboardInterrupt):
        render_into(tmp_path / "run", plan, Interrupted, after=0)
    (tmp_path / "title.png").unlink()
    assert render_into(tmp_path / "run", plan).generated_segments == 1


def test_a_damaged_picture_in_the_run_is_copied_anew_before_it_conditions_anything(tmp_path):
    Image.new("RGB", (192, 128), (200, 80, 20)).save(tmp_path / "title.png")
    plan = plan_of(tmp_path, FROM_IMAGE)
    with pytest.raises(KeyboardInterrupt):
        render_into(tmp_path / "run", plan, Interrupted, after=0)
    (kept,) = (tmp_path / "run" / "assets").iterdir()
    kept.write_bytes(b"damaged")
    render_into(tmp_path / "run", plan)
    assert kept.read_bytes() == (tmp_path / "title.png").read_bytes()


def test_a_second_render_of_a_run_is_refused_while_the_first_works(tmp_path):
    plan = plan_of(tmp_path)

    class Intruder(Listener):
        def start(self, segment, place):
            with pytest.raises(LedgerError, match=rf"another render works on this run \(process {os.getpid()} on"):
                render_into(tmp_path / "run", plan)

    run = Run.create(tmp_path / "run")
    assert render(plan, run, executor_for(plan, run), Intruder()).generated_segments == 4


def test_frames_that_do_not_arrive_stop_the_render_at_the_first_segment(tmp_path):
    plan = plan_of(tmp_path)
    run, elsewhere = Run.create(tmp_path / "run"), Run.create(tmp_path / "not-shared")
    with pytest.raises(RenderError, match=r"dawn\[0\] is made, but its frames are not in .*run/media.*share"):
        render(plan, run, executor_for(plan, elsewhere))
    # The first is committed, for its codes are right, and the next may be done by then.
    assert len(run.segments) <= 2


def test_what_a_killed_render_left_aside_is_cleared_away(tmp_path):
    plan = plan_of(tmp_path)
    Run.create(tmp_path / "run")
    media = tmp_path / "run" / "media"
    (media / ".aside-dead").mkdir(parents=True)
    (media / ".aside-dead" / "half.mkv").write_bytes(b"half")
    render_into(tmp_path / "run", plan)
    assert not (media / ".aside-dead").exists()


def test_lost_stills_come_back(tmp_path):
    plan = plan_of(tmp_path)
    made = render_into(tmp_path / "run", plan)
    (tmp_path / "run" / "stills" / "dawn.png").unlink()
    assert render_into(tmp_path / "run", plan).sha256 == made.sha256
    assert (tmp_path / "run" / "stills" / "dawn.png").exists()


def test_the_longest_chain_begins_first(tmp_path):
    class Order(Listener):
        def __init__(self):
            self.begun = []

        def start(self, segment, place):
            self.begun.append(segment.name)

    plan, order = plan_of(tmp_path, TWO_CHAINS), Order()
    run = Run.create(tmp_path / "run")
    render(plan, run, executor_for(plan, run), order)
    # left has 2 segments and 1 after it, right has 3: of equal chains the first in the film begins.
    assert order.begun[0] == "left[0]"
    assert order.begun[1] == "right[0]"


def test_a_segment_is_conditioned_on_the_last_frames_its_parent_shows(tmp_path):
    """The hand-over, made again by hand through the public interface of the model."""
    plan = plan_of(tmp_path)
    render_into(tmp_path / "run", plan)
    run = Run.open(tmp_path / "run")
    parent, child = plan.shots[0].segments[1], plan.shots[1].segments[0]
    # The second window of dawn begins with 5 given frames and shows the next 7.
    given = frames_of(run, parent.key)[7:12]
    ursa = Ursa.from_pretrained("tiny", device="cpu")
    torch.set_num_threads(1)
    codes = ursa.generate(
        "motion=5.0, the red square falls",
        num_inference_steps=4,
        guidance_scale=child.guidance,
        video=np.stack(given),
        cond_noise_scale=0.1,
        restore_condition=True,
        seed=child.seed,
    )
    np.testing.assert_array_equal(run.segments[child.key].array(), codes.numpy())


def test_the_film_shows_no_frame_twice(tmp_path):
    plan = plan_of(tmp_path)
    render_into(tmp_path / "run", plan)
    run = Run.open(tmp_path / "run")
    lengths = [len(frames_of(run, s.key, *s.shown)) for s in plan.segments]
    assert lengths == [17, 7, 12, 2]


def test_damaged_frames_are_named_with_what_to_do(tmp_path):
    plan = plan_of(tmp_path)
    made = render_into(tmp_path / "run", plan)
    Path(made.film).unlink()
    run = Run.open(tmp_path / "run")
    with run.mezzanine(plan.segments[0].key) as path:
        pass
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(MediaError, match=f"{path.name}: damaged.*Delete it"):
        render_into(tmp_path / "run", plan)
    path.unlink()
    assert render_into(tmp_path / "run", plan).sha256 == made.sha256


class Fickle(InProcessExecutor):
    """Does something else than it should at the first events of "dusk"."""

    def __init__(self, options, clock, events):
        super().__init__(options)
        self.events, self.replaced, self.replicas, self.shot = list(events), [], [], None

    def submit(self, request):
        self.shot = request.segment.shot
        place = super().submit(request)
        self.replicas.append(place.replica)
        return place

    def replace(self, place):
        self.replaced.append(place.replica)
        super().replace(place)

    def next_event(self, timeout_s):
        place, event = super().next_event(timeout_s)
        if self.shot == "dusk" and self.events and isinstance(event, Done):
            return place, self.events.pop(0)(event)
        return place, event


WRONG = {
    "codes out of range": lambda done: replace(done, codes=np.full_like(done.codes, 65_535)),
    "another shape": lambda done: replace(done, codes=done.codes[:1]),
    "another type": lambda done: replace(done, codes=done.codes.astype(np.float32)),
    "a path": lambda done: replace(done, frames_sha256="../" * 20),
    "too many steps": lambda done: Step(done.key, 5, 4),
}


class Hours:
    """A clock for which waiting takes no time; `waits` are the seconds for which nothing ran."""

    def __init__(self):
        self.now_s, self.waits = 0.0, []

    def __call__(self):
        return self.now_s

    def wait(self, seconds):
        self.now_s += seconds
        self.waits.append(seconds)


def direct(folder, executor_kind, clock, listener=None, board=TWO_SHOTS, **options):
    plan, run = plan_of(folder, board), Run.create(folder / "run")
    executor = executor_for(plan, run, executor_kind, clock=clock, **options)
    with run.locked():
        run.begin(plan)
        Director(plan, run, executor, listener or Listener(), clock).make_segments()
    return run, executor


@pytest.mark.parametrize("what", WRONG)
def test_wrong_output_costs_an_attempt_and_the_replica(undisturbed, tmp_path, what):
    run, executor = direct(tmp_path, Fickle, Hours(), events=[WRONG[what]] * 2)
    good = Run.open(Path(undisturbed.film).parent)
    assert {key: commit.codes for key, commit in run.segments.items()} == {
        key: commit.codes for key, commit in good.segments.items()
    }
    # Two of "dawn" and the first try at "dusk" are of one replica.
    first, second, third = sorted(set(executor.replicas))
    assert executor.replaced == [first, second]
    assert executor.replicas[-1] == third


def test_wrong_output_without_end_fails_the_segment(tmp_path):
    with pytest.raises(RenderError, match=r"dusk\[0\]: failed 3 times, .* code 65535 came back; expected 0 to"):
        direct(tmp_path, Fickle, Hours(), events=[WRONG["codes out of range"]] * 3)


def lost(done):
    return Failed(done.key, LostError("the node was preempted"))


def test_lost_replicas_cost_nothing(tmp_path):
    run, _ = direct(tmp_path, Fickle, Hours(), events=[lost] * 9)
    assert len(run.segments) == 4


class Vanishing(InProcessExecutor):
    """Whatever it is given, its replica is gone."""

    def __init__(self, options, clock):
        super().__init__(options)
        self.key, self.clock = None, clock

    def submit(self, request):
        self.key = request.segment.key
        return Place("r", "n")

    def next_event(self, timeout_s):
        if self.key is None:
            self.clock.wait(timeout_s)
            return None
        key, self.key = self.key, None
        return Place("r", "n"), Failed(key, LostError("gone"))


def test_replicas_that_always_vanish_end_the_render_after_minutes_of_waiting(tmp_path):
    clock = Hours()
    with pytest.raises(RenderError, match=r"dawn\[0\]: lost 10 replicas in a row without a step"):
        direct(tmp_path, Vanishing, clock)
    assert clock.now_s == 0 + 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60


def test_while_one_segment_waits_after_losses_others_are_made(tmp_path):
    class Unsteady(InProcessExecutor):
        """Loses "left" five times in a row, so that it waits for 15 s in all."""

        num_left = 5

        def __init__(self, options, clock):
            super().__init__(options)
            self.clock = clock

        def submit(self, request):
            self.place, self.key = super().submit(request), request.segment.key
            self.is_lost = request.segment.name == "left[0]" and self.num_left > 0
            return self.place

        def next_event(self, timeout_s):
            if self._running is None and not self._writing:
                return self.clock.wait(timeout_s)
            if self.is_lost:
                self.num_left -= 1
                self._running = None
                return self.place, Failed(self.key, LostError("gone"))
            return super().next_event(timeout_s)

    class Order(Listener):
        def __init__(self):
            self.committed = []

        def finish(self, segment, place, seconds):
            self.committed.append(segment.shot)

    order = Order()
    direct(tmp_path, Unsteady, Hours(), order, TWO_CHAINS)
    assert order.committed == ["right"] * 3 + ["left"] * 2 + ["after"]


def test_what_has_arrived_is_committed_when_a_render_is_interrupted(tmp_path):
    class Interrupted(InProcessExecutor):
        def next_event(self, timeout_s):
            place, event = super().next_event(timeout_s)
            if isinstance(event, Done):
                self.kept = place, event
                raise KeyboardInterrupt
            return place, event

        def arrived(self):
            return [self.kept]

    plan, run = plan_of(tmp_path), Run.create(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        render(plan, run, executor_for(plan, run, Interrupted))
    assert run.segments.keys() == {plan.segments[0].key}


def hang_once(monkeypatch):
    """The first write of frames hangs until the event is set; a list of when each began."""
    go_on, begun, write = Event(), [], work.write_mezzanine

    def hang_and_write(*arguments):
        begun.append(monotonic())
        if len(begun) == 1:
            assert go_on.wait(60)
        return write(*arguments)

    monkeypatch.setattr(work, "write_mezzanine", hang_and_write)
    return go_on, begun


@pytest.mark.parametrize("board", [TWO_SHOTS, ONE_SEGMENT])
def test_frames_whose_writing_hangs_are_made_again_and_hang_nothing(tmp_path, monkeypatch, board):
    go_on, _ = hang_once(monkeypatch)
    for module in (writer, schedule, director):
        monkeypatch.setattr(module, "MAX_WRITING_S", 0.5)
    for module in (schedule, director):
        monkeypatch.setattr(module, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(executor_module, "WRITTEN_WITHIN_S", 0.1)
    plan = plan_of(tmp_path, board)
    hung = render_into(tmp_path / "hung", plan)
    go_on.set()
    assert hung.sha256 == render_into(tmp_path / "undisturbed", plan).sha256


def test_a_render_that_ends_early_waits_for_frames_and_not_for_ever(tmp_path, monkeypatch):
    go_on, begun = hang_once(monkeypatch)
    monkeypatch.setattr(executor_module, "WRITTEN_WITHIN_S", 0.5)
    with pytest.raises(KeyboardInterrupt):
        render_into(tmp_path / "run", plan_of(tmp_path), Interrupted, after=0)
    assert 0.5 < monotonic() - begun[0] < 30
    go_on.set()


def test_a_model_that_failed_is_gone_before_the_next_is_loaded(tmp_path, monkeypatch):
    """Two models on one GPU: the second would have no memory either."""
    alive_at_loading, workers = [], []

    class Counting(InProcessExecutor):
        def _load(self):
            alive_at_loading.append(sum(worker() is not None for worker in workers))
            worker = super()._load()
            workers.append(weakref.ref(worker))
            return worker

    def fail(self, condition, **options):
        try:
            raise RuntimeError("CUDA out of memory")
        except RuntimeError as error:
            raise OSError("cannot decode") from error

    monkeypatch.setattr(Ursa, "decode", fail)
    with pytest.raises(RenderError, match=r"failed 3 times, the last time with: cannot decode"):
        render_into(tmp_path / "run", plan_of(tmp_path, ONE_SEGMENT), Counting)
    assert alive_at_loading == [0, 0, 0]


def test_nodes_that_fail_are_blocked(tmp_path):
    class Blocking(Unlucky):
        num_nodes = 2
        blocked = ()

        def block(self, node):
            self.blocked += (node,)

    class Three(Blocking):
        def next_event(self, timeout_s):
            self.shot = self.request.segment.shot
            return super().next_event(timeout_s)

    board = TWO_CHAINS + "  - {id: more, prompt: a red square rests, frames: 9}\n"
    plan, run = plan_of(tmp_path, board), Run.create(tmp_path / "run")
    executor = executor_for(plan, run, Three, shot="", error=RuntimeError("broken"))
    with pytest.raises(RenderError, match="left, more, right failed; 0 of 7"):
        render(plan, run, executor)
    assert executor.blocked == (gethostname(),)
