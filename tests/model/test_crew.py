"""Real processes that talk by gloo: what they compute together is what one computes alone."""

import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Timer
from unittest.mock import patch

import numpy as np
import pytest
import torch

from tests.processes import listeners_below
from ursa_ray.errors import OptionError, ReplicaError
from ursa_ray.model import Devices, Ursa, check_devices, group
from ursa_ray.model.crew import GIVE_UP_AFTER_S, Crew
from ursa_ray.model.follower import _follow
from ursa_ray.model.group import ON_ERRORS, Group

GRID = (3, 4, 5)
CPU = torch.device("cpu")

# Float32 products of fewer rows are rounded otherwise; rows are of the size of 3.
ROUNDING = {"atol": 5e-6, "rtol": 0}


SMALL = {"width": 32, "height": 32, "num_frames": 5}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """More than there are free cores wait for each other for longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def alone(random_checkpoint):
    return Ursa.from_pretrained(str(random_checkpoint), "cpu")


@pytest.fixture(
    scope="module", params=["guidance on 2", "sequence on 2", pytest.param("sequence on 3", marks=pytest.mark.slow)]
)
def together(request, random_checkpoint):
    parallel, number = request.param.split(" on ")
    ursa = Ursa.from_pretrained(str(random_checkpoint), "cpu", num_devices=int(number), parallel=parallel)
    yield ursa
    ursa.close()


def random_input(transformer, num_prompts, num_text):
    random = torch.Generator().manual_seed(num_text)
    config = transformer.config
    prompts = torch.randint(config.lm_vocab_size, (num_prompts, num_text), generator=random)
    return prompts, torch.randint(config.lm_head_size, (60,), generator=random)


def pids(ursa):
    return [follower.process.pid for follower in ursa.crew._followers]


def wait_until_gone(pid, limit_s=10):
    until = time.monotonic() + limit_s
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists()


@torch.no_grad()
@pytest.mark.parametrize("num_prompts", [1, 2])
@pytest.mark.parametrize("num_text", [1, 8, 63])  # with begin-of-visual and 60 tokens 62, 69 and 124 positions
@pytest.mark.parametrize("scored", [None, [59], [40, 3, 59, 17, 4, 5, 0]], ids=["all", "the last", "some"])
def test_rows_of_several_devices_are_those_of_one(alone, together, num_prompts, num_text, scored):
    transformer = alone.transformer
    prompts, codes = random_input(transformer, num_prompts, num_text)
    scored = None if scored is None else torch.tensor(scored)
    expected = transformer(prompts, codes, transformer.rotary(num_text, GRID), scored)
    torch.testing.assert_close(together.crew.rows(prompts, codes, GRID, scored), expected, **ROUNDING)


def test_devices_listen_on_the_loopback_alone(together):
    listeners = [address for pid in pids(together) for address, _ in listeners_below(pid)]
    assert listeners
    assert all(address.is_loopback for address in listeners), listeners


@torch.no_grad()
def test_a_model_that_leads_a_crew_still_works_alone(together):
    transformer = together.transformer
    prompts, codes = random_input(transformer, 2, 8)
    rotary = transformer.rotary(8, GRID)
    before = transformer(prompts, codes, rotary)
    together.crew.rows(prompts, codes, GRID)
    assert torch.equal(transformer(prompts, codes, rotary), before)


# Rounding can make a token flip, once in millions of draws; with these seeds, on the processors tried, none does.
@pytest.mark.parametrize(
    "options",
    [{}, {"guidance_scale": 1.0}, {"guidance_trunc": 0.3}, {"sampler": "published", "num_inference_steps": 3}],
    ids=["guided", "unguided", "guided at first", "published"],
)
def test_codes_of_several_devices_are_those_of_one(alone, together, options):
    arguments = {"prompt": "a red square", "seed": 5, "num_inference_steps": 6} | SMALL | options
    assert torch.equal(together.generate(**arguments), alone.generate(**arguments))


def test_a_condition_and_a_resumed_step_give_the_codes_of_one_device(alone, together):
    video = np.random.default_rng(3).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8)
    arguments = {"prompt": "on", "video": video, "cond_noise_scale": 0.1, "num_inference_steps": 5} | SMALL
    *_, third, _, (_, last) = alone.generate_steps(**arguments)
    *_, (_, resumed) = together.generate_steps(**arguments, resume=third)
    assert torch.equal(resumed, last)


def test_a_generation_that_is_given_up_leaves_the_next_one_alone(alone, together):
    arguments = {"prompt": "up", "num_inference_steps": 4} | SMALL
    begun = together.generate_steps(**arguments)
    next(begun), next(begun)
    other = {"prompt": "down", "num_inference_steps": 3} | SMALL | {"width": 64}
    assert torch.equal(together.generate(**other), alone.generate(**other))
    *_, (_, codes) = begun
    assert torch.equal(codes, alone.generate(**arguments))


@contextmanager
def crew_of(random_checkpoint, parallel):
    ursa = Ursa.from_pretrained(str(random_checkpoint), "cpu", num_devices=2, parallel=parallel)
    try:
        yield ursa, ursa.generate_steps("a red square", num_inference_steps=50, **SMALL)
    finally:
        ursa.close()


@pytest.mark.slow  # tests/test_devices.py has it in a render
@pytest.mark.parametrize("parallel", ["guidance", "sequence"])
def test_a_lost_device_ends_a_generation_with_its_name_and_without_a_wait(random_checkpoint, parallel):
    with crew_of(random_checkpoint, parallel) as (ursa, steps):
        next(steps), next(steps)
        os.kill(pids(ursa)[0], signal.SIGKILL)
        started = time.monotonic()
        with pytest.raises(ReplicaError, match=r"device 2 of 2 \(cpu\): its process ended with exit code -9"):
            list(steps)
        assert time.monotonic() - started < 10
        with pytest.raises(ReplicaError, match="were let go"):
            ursa.generate("a red square", num_inference_steps=2, **SMALL)


@pytest.mark.slow
def test_what_goes_wrong_on_a_device_is_told(random_checkpoint):
    with crew_of(random_checkpoint, "guidance") as (ursa, _):
        beyond = torch.full((2, 8), 10**6)  # no such token: this device sees it, too
        with pytest.raises((ReplicaError, IndexError), match="index out of range"):
            ursa.crew.rows(beyond, torch.zeros(60, dtype=torch.int64), GRID)


def test_a_device_that_hangs_is_given_up_and_named_also_where_its_pipe_is_full(random_checkpoint, monkeypatch):
    with crew_of(random_checkpoint, "guidance") as (ursa, _):
        (follower,) = ursa.crew._followers
        with socket.socket(fileno=os.dup(follower.pipe.fileno())) as pipe:
            pipe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # of the 266 KB of a released size a part fits
        os.kill(follower.process.pid, signal.SIGSTOP)
        monkeypatch.setattr("ursa_ray.model.group.TIMEOUT", timedelta(seconds=1))
        monkeypatch.setattr("ursa_ray.model.crew.NEWS_WITHIN_S", 0.1)
        rescue = Timer(20, os.kill, (follower.process.pid, signal.SIGKILL))
        rescue.start()
        with pytest.raises(ReplicaError, match=r"^device 2 of 2 did not answer: Timed out waiting 1000ms"):
            ursa.crew.rows(torch.zeros(2, 8, dtype=torch.int64), torch.zeros(600, dtype=torch.int64), (6, 10, 10))
        rescue.cancel()
        wait_until_gone(follower.process.pid)


def test_a_step_that_no_single_operation_gives_up_is_given_up_as_a_whole(random_checkpoint, monkeypatch):
    with crew_of(random_checkpoint, "sequence") as (ursa, _):
        (follower,) = ursa.crew._followers
        os.kill(follower.process.pid, signal.SIGSTOP)
        monkeypatch.setitem(GIVE_UP_AFTER_S, "cpu", 1.0)
        rescue = Timer(20, os.kill, (follower.process.pid, signal.SIGKILL))
        rescue.start()
        with pytest.raises(ReplicaError, match=r"^the 2 devices of a step did not all end it in 1 s\.$"):
            ursa.crew.rows(torch.zeros(2, 8, dtype=torch.int64), torch.zeros(60, dtype=torch.int64), GRID)
        rescue.cancel()
        wait_until_gone(follower.process.pid)


class Nccl:
    """Without GPUs there is none: what its constructor finds."""

    class Options:
        _timeout = None

    def __init__(self, store, rank, size, options):
        self.on_errors, self.timeout = os.environ.get(ON_ERRORS), options._timeout


@pytest.mark.parametrize("before", [None, "1"])
def test_nccl_is_told_to_leave_errors_to_the_crew_and_nothing_else_is(before, monkeypatch):
    monkeypatch.delenv(ON_ERRORS, raising=False)
    if before is not None:
        monkeypatch.setenv(ON_ERRORS, before)
    monkeypatch.setattr(group.DIST, "ProcessGroupNCCL", Nccl, raising=False)
    backend = group._nccl(None, 0, 2)
    assert backend.on_errors == "0"
    assert backend.timeout.total_seconds() > 2 * GIVE_UP_AFTER_S["cuda"]
    assert os.environ.get(ON_ERRORS) == before


def test_a_device_that_dies_before_it_meets_the_others_is_named(alone, monkeypatch):
    def kill_and_join(cls, *arguments):
        (follower,) = set(multiprocessing.active_children()) - before
        os.kill(follower.pid, signal.SIGKILL)
        return join(*arguments)

    join, before = Group.join, set(multiprocessing.active_children())
    monkeypatch.setattr(Group, "join", classmethod(kill_and_join))
    monkeypatch.setattr("ursa_ray.model.group.MEET_WITHIN", timedelta(seconds=1))
    with pytest.raises(ReplicaError, match=r"device 2 of 2 \(cpu\): its process ended with exit code -9"):
        Crew(alone.transformer, alone.checkpoint, Devices(CPU, 2))


def follow_late(orders, pipe):
    """As a process of its own: the last loads for longer than the others would wait for it where they meet."""
    group.MEET_WITHIN = timedelta(seconds=1.5)
    if orders.rank == 2:
        time.sleep(5)
    _follow(orders, pipe)


def test_a_device_that_loads_for_longer_than_others_wait_at_their_meeting_is_waited_for(alone, monkeypatch):
    monkeypatch.setattr("ursa_ray.model.follower._follow", follow_late)
    crew = Crew(alone.transformer, alone.checkpoint, Devices(CPU, 3))
    prompts, codes = random_input(alone.transformer, 1, 8)
    assert crew.rows(prompts, codes, GRID).isfinite().all()
    crew.close()


def lack_memory(*_):
    raise RuntimeError("out of memory")


def follow_or_fail(orders, pipe):
    """As a process of its own: the last does not load, while the one before it takes its time."""
    if orders.rank == 1:
        time.sleep(60)
    with patch("ursa_ray.model.follower.load_transformer", lack_memory):
        _follow(orders, pipe)


def test_a_device_that_ends_while_others_load_is_told_in_its_own_words_without_a_wait_for_them(alone, monkeypatch):
    monkeypatch.setattr("ursa_ray.model.follower._follow", follow_or_fail)
    started = time.monotonic()
    with pytest.raises(ReplicaError, match=r"^device 3 of 3 \(cpu\): RuntimeError: out of memory\.$"):
        Crew(alone.transformer, alone.checkpoint, Devices(CPU, 3))
    assert time.monotonic() - started < 50


def test_a_leader_is_the_first_to_miss_a_device_so_that_others_have_no_news(tmp_path, monkeypatch):
    monkeypatch.setattr("ursa_ray.model.group.MEET_WITHIN", timedelta(seconds=0.5))
    with ThreadPoolExecutor() as pool:
        other = pool.submit(Group.join, tmp_path, 1, 3, CPU)
        with pytest.raises(ReplicaError, match="another of 3 devices did not answer"):
            Group.join(tmp_path, 0, 3, CPU)
        assert not other.done()
        assert isinstance(other.exception(timeout=10), ReplicaError)


def missing(*_):
    """As torch's store says it of a folder that is not there, after 5 minutes."""
    raise group.DIST.DistStoreError("No such file or directory")


def test_a_meeting_that_has_lost_its_folder_is_lost_with_an_error_of_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(group.DIST, "FileStore", missing)
    with pytest.raises(ReplicaError, match="did not answer: No such file or directory"):
        Group.join(tmp_path, 0, 2, CPU)


def test_a_device_that_cannot_load_the_model_is_named(random_checkpoint, monkeypatch, alone):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no Python starts there
    with pytest.raises(ReplicaError, match=r"device 2 of 2 \(cpu\): its process ended with"):
        Crew(alone.transformer, alone.checkpoint, Devices(CPU, 2))


def test_closing_a_model_or_forgetting_it_ends_its_devices(random_checkpoint):
    ursa = Ursa.from_pretrained(str(random_checkpoint), "cpu", num_devices=2)
    (pid,) = pids(ursa)
    del ursa
    wait_until_gone(pid)


IDLE = """
import sys, time
from ursa_ray.model import Ursa

ursa = Ursa.from_pretrained(sys.argv[1], "cpu", num_devices=2)
print(*[follower.process.pid for follower in ursa.crew._followers], flush=True)
time.sleep(100)
"""


def blocks(pid, number):
    (mask,) = re.findall(r"^SigBlk:\s+(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_a_device_is_deaf_to_ctrl_c_and_ends_with_a_leader_that_is_killed_between_two_steps(
    random_checkpoint, tmp_path
):
    command = [sys.executable, "-c", IDLE, str(random_checkpoint)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as leader:
        pid = int(leader.stdout.readline())
        is_deaf = blocks(pid, signal.SIGINT)
        leader.kill()
    assert is_deaf
    wait_until_gone(pid)
    assert list(tmp_path.glob("ursa-ray-crew-*")) == []


@pytest.mark.parametrize(
    ("number", "parallel", "words"),
    [
        (0, None, "on 0 devices, expected at least 1"),
        (1, "sequence", "'sequence' with one device"),
        (3, "guidance", "'guidance' with 3 devices, expected 2"),
    ],
)
def test_devices_that_cannot_be_used_so_are_refused(number, parallel, words):
    with pytest.raises(OptionError, match=words):
        Devices(CPU, number, parallel)


def test_several_devices_with_compiled_blocks_are_refused():
    with pytest.raises(OptionError, match="compile is on with 2 devices"):
        check_devices(2, None, compile=True)


def test_an_unknown_way_to_share_is_refused():
    with pytest.raises(OptionError, match="'tensor', expected 'guidance' or 'sequence'"):
        check_devices(2, "tensor")


def test_gpus_that_are_not_there_are_refused():
    with pytest.raises(OptionError, match=r"on 99 GPUs, the first of them cuda, .* finds \d+ here"):
        Devices(torch.device("cuda"), 99)


def test_two_devices_take_a_branch_each_unless_told_otherwise():
    assert [Devices(CPU, number).splits_guidance for number in (1, 2, 3)] == [False, True, False]
    assert not Devices(CPU, 2, "sequence").splits_guidance
