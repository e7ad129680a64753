"""Renders whose replicas have two devices; here processes on a CPU."""

import os
import signal
import time

import numpy as np
import pytest

from tests.processes import Process
from tests.storyboards import TWO_SHOTS, write
from ursa_ray.errors import ReplicaError
from ursa_ray.exchange import Step, WorkerOptions
from ursa_ray.executor import Failed, InProcessExecutor
from ursa_ray.ledger import Run
from ursa_ray.prepare import prepare
from ursa_ray.render import render

ON_TWO = ("--device", "cpu", "--devices-per-replica", "2")


class Unlucky(InProcessExecutor):
    """Loses its second device in the middle of the first segment."""

    kind, error, lost_at_s = None, None, 0.0

    def next_event(self, timeout_s):
        place, event = super().next_event(timeout_s)
        if isinstance(event, Step) and self.kind is None:
            self.kind, self.lost_at_s = self._worker.device_kind, time.monotonic()
            os.kill(self._worker.ursa.crew._followers[0].process.pid, signal.SIGKILL)
        elif isinstance(event, Failed):
            self.error, self.failed_after_s = event.error, time.monotonic() - self.lost_at_s
        return place, event


def render_on(plan, folder, kind=InProcessExecutor, **devices):
    """The codes of a film, by segment."""
    run = Run.create(folder)
    executor = kind(WorkerOptions(plan.model, plan.weights_sha256, run.store.anywhere, device="cpu", **devices))
    render(plan, run, executor)
    return executor, {segment.name: run.segments[segment.key].array() for segment in plan.segments}


def require_equal(codes, expected):
    assert codes.keys() == expected.keys()
    for name, made in codes.items():
        np.testing.assert_array_equal(made, expected[name], name)


def require_none_left(process, limit_s=20):
    until = time.monotonic() + limit_s
    while process.family() and time.monotonic() < until:
        time.sleep(0.05)
    assert process.family() == []


@pytest.fixture
def plan(tmp_path):
    return prepare(write(tmp_path, TWO_SHOTS)).plan


def test_a_film_of_two_devices_of_which_one_is_lost_is_the_film_of_one_device(tmp_path, plan):
    _, expected = render_on(plan, tmp_path / "one")
    executor, codes = render_on(plan, tmp_path / "two", Unlucky, num_devices=2, parallel="sequence")
    assert executor.kind.endswith("1 threads, sequence on 2 devices)")
    assert isinstance(executor.error, ReplicaError)
    assert str(executor.error) == "device 2 of 2 (cpu): its process ended with exit code -9."
    assert executor.failed_after_s < 10
    made = Run.open(tmp_path / "two").segments.values()
    assert {(commit.device, commit.backends.partition("draws")[2]) for commit in made} == {
        ("cpu", ", sequence on 2 devices")  # so that an export knows the device again
    }
    require_equal(codes, expected)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--devices-per-replica", "3", "--parallel", "guidance"), "'guidance' with 3 devices, expected 2"),
        (("--parallel", "sequence"), "'sequence' with one device"),
    ],
)
def test_devices_that_cannot_be_used_so_are_refused_before_anything_is_written(tmp_path, run_command, given, words):
    code, _, err = run_command(
        "render", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run", "--device", "cpu", *given
    )
    assert (code, words in err) == (2, True), err
    assert not (tmp_path / "run").exists()


def render_at_length(folder, *options):
    """A render that is within its first segment."""
    board = write(folder, TWO_SHOTS.replace("steps: 4", "steps: 900"))
    process = Process(folder, "render", board, "--run", folder / "run", *ON_TWO, *options)
    process.wait_until(lambda: list((folder / "run" / "steps").glob("*/*")))
    return process


@pytest.mark.slow  # tests/model/test_crew.py has it between two steps, when nothing is sent that could fail
def test_a_render_that_is_killed_leaves_no_device_at_work(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = render_at_length(tmp_path)
    assert len(process.family()) >= 2
    process.kill()
    process.end()
    require_none_left(process)
    assert list(tmp_path.glob("ursa-ray-crew-*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_render_that_is_interrupted_ends_in_order_with_its_devices(tmp_path, number):
    process = render_at_length(tmp_path, "--parallel", "sequence")
    for pid in process.family():  # as a terminal does it
        if number == signal.SIGINT or pid == process.pid:
            os.kill(pid, number)
    said = process.end()
    assert process.returncode == 130
    assert "Traceback" not in said
    require_none_left(process)


@pytest.mark.slow
@pytest.mark.ray
def test_replicas_of_a_cluster_with_two_devices_each_make_the_film_of_one_device(tmp_path, plan):
    _, expected = render_on(plan, tmp_path / "one")
    process = Process(tmp_path, "render", tmp_path / "film.yaml", "--run", tmp_path / "run", *ON_TWO, "--replicas", "2")
    said = process.end()
    assert process.returncode == 0, said
    run = Run.open(tmp_path / "run")
    require_equal({segment.name: run.segments[segment.key].array() for segment in plan.segments}, expected)
    assert {commit.backends for commit in run.segments.values()} == {
        "onednn attention, torch draws, guidance on 2 devices"
    }
    require_none_left(process)
