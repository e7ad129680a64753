"""Ctrl-C and SIGTERM, given to real processes at awkward moments."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import Process
from tests.storyboards import TWO_SHOTS, write
from ursa_ray.interrupt import INTERRUPTED, LEAVE_WITHIN_S, uninterrupted
from ursa_ray.ledger import Run

# What is promised; a machine that is busy with other things gets as much again.
WITHIN_S = 10
BUSY_S = 10

pytestmark = pytest.mark.timeout(240)


def start_render(folder, *options, steps=4):
    board = write(folder, TWO_SHOTS.replace("steps: 4", f"steps: {steps}"))
    return Process(folder, "render", board, "--run", folder / "run", *options)


def interrupt(process, number):
    process.send_signal(number)
    said = process.end(WITHIN_S + BUSY_S)
    assert process.returncode == INTERRUPTED, said
    assert "interrupted; what is committed is safe" in said
    assert "Traceback" not in said
    until = time.monotonic() + WITHIN_S
    while process.family() and time.monotonic() < until:
        time.sleep(0.05)
    assert process.family() == []


def require_free(folder):
    """Nobody holds the lease."""
    with Run.open(folder / "run").locked():
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_segment_keeps_its_steps(tmp_path, number):
    process = start_render(tmp_path, steps=900)
    process.wait_until(lambda: list((tmp_path / "run" / "steps").glob("*/*")))
    interrupt(process, number)
    assert "dawn[0] begins" in process.log.read_text()
    require_free(tmp_path)
    run = Run.open(tmp_path / "run")
    assert run.steps.latest(run.plan().segments[0].key).num_done >= 1


@pytest.mark.parametrize("streams", [("stdout",), ("stdout", "stderr")])
def test_an_interruption_is_told_by_the_exit_code_though_nobody_reads_what_is_said(tmp_path, streams):
    read, write = os.pipe()
    run = tmp_path / "run"
    command = [sys.executable, "-m", "ursa_ray", "image", "a bear", "--steps", "900", "--device", "cpu", "--run", run]
    said = {name: write if name in streams else subprocess.DEVNULL for name in ("stdout", "stderr")}
    process = subprocess.Popen(command, **said)
    os.close(write)
    until = time.monotonic() + 100
    while not list(run.glob("steps/*/*")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    os.close(read)
    process.send_signal(signal.SIGINT)
    assert process.wait(WITHIN_S + BUSY_S) == INTERRUPTED


def test_a_render_is_interrupted_while_it_starts(tmp_path):
    process = start_render(tmp_path)
    process.wait_until_interruptible()
    time.sleep(random.Random(3).uniform(0, 1))
    interrupt(process, signal.SIGTERM)


def test_an_interrupt_in_the_midst_of_an_import_ends_in_order(tmp_path, monkeypatch):
    """Where classes are made of text."""
    (tmp_path / "interrupted.py").write_text(
        "import ursa_ray.prepare\n"
        "from ursa_ray.cli import main\n"
        "def prepare(*_, **__):\n"
        "    exec('import os, signal; os.kill(os.getpid(), signal.SIGINT)')\n"
        "ursa_ray.prepare.prepare = prepare\n"
        "main(['plan', 'film.yaml'])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    interrupted = subprocess.run([sys.executable, "-m", "interrupted"], capture_output=True, text=True, check=False)
    assert (interrupted.returncode, interrupted.stderr) == (INTERRUPTED, "ursa-ray: interrupted\n")


def test_an_interrupt_before_anything_is_there_to_hear_it_ends_without_a_word(tmp_path, monkeypatch):
    (tmp_path / "typer.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    command = [sys.executable, "-m", "ursa_ray", "plan", "film.yaml"]
    interrupted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (interrupted.returncode, interrupted.stderr) == (-signal.SIGINT, "")


def test_a_render_is_interrupted_while_its_model_loads(tmp_path):
    process = start_render(tmp_path)
    process.wait_until_said("dawn[0] begins")
    interrupt(process, signal.SIGINT)
    require_free(tmp_path)


def test_a_render_is_interrupted_while_ffmpeg_joins_the_film(tmp_path):
    process = start_render(tmp_path)
    process.wait_until_said("joining 38 frames")
    process.wait_until(lambda: len(process.family()) > 1)
    interrupt(process, signal.SIGTERM)
    require_free(tmp_path)
    assert not (tmp_path / "run" / "film.mp4").exists()
    again = start_render(tmp_path)
    assert "4 already committed" in again.end()
    assert (tmp_path / "run" / "film.mp4").exists()


@pytest.mark.ray
def test_a_render_is_interrupted_while_ray_starts(tmp_path):
    process = start_render(tmp_path, "--replicas", 2)
    process.wait_until_said("4 segments, 38 frames")
    process.wait_until(lambda: len(process.family()) > 1)
    interrupt(process, signal.SIGTERM)
    require_free(tmp_path)


@pytest.mark.ray
def test_a_render_on_replicas_is_interrupted(tmp_path):
    process = start_render(tmp_path, "--replicas", 2, steps=900)
    process.wait_until(lambda: list((tmp_path / "run" / "steps").glob("*/*")))
    interrupt(process, signal.SIGINT)
    require_free(tmp_path)


def test_a_second_interruption_ends_a_render_without_loss(tmp_path):
    process = start_render(tmp_path)
    process.wait_until_said("dawn[0] committed")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    said = process.end(WITHIN_S + BUSY_S)
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in said
    again = start_render(tmp_path)
    assert "already committed" in again.end()
    assert again.returncode == 0


# What a main thread can be at that never sees a `KeyboardInterrupt`.
STUCK = {
    "swallowing it": """
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            time.sleep(60)
    """,
    "calculating outside of Python": """
        threading.Timer(0.5, print, ["ready"], {"flush": True}).start()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
    """,
}


@pytest.fixture(params=STUCK)
def stuck(request):
    """A process that does not leave by itself."""
    script = (
        "import hashlib, threading, time\nfrom ursa_ray.interrupt import Interruptible\nwith Interruptible():"
        + STUCK[request.param]
    )
    script = "\n".join(line.removeprefix("    ") for line in script.splitlines())
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_process_that_does_not_leave_is_ended(stuck):
    stuck.send_signal(signal.SIGTERM)
    assert stuck.wait(WITHIN_S + BUSY_S) == INTERRUPTED


def test_a_second_interruption_ends_a_process_at_once(stuck):
    began = time.monotonic()
    stuck.send_signal(signal.SIGINT)
    time.sleep(0.2)
    stuck.send_signal(signal.SIGINT)
    assert stuck.wait(WITHIN_S + BUSY_S) == INTERRUPTED
    assert time.monotonic() - began < LEAVE_WITHIN_S


def test_other_signals_end_nothing():
    script = (
        "import os, signal, time\nfrom ursa_ray.interrupt import Interruptible\n"
        "signal.signal(signal.SIGUSR1, lambda *_: None)\n"
        "with Interruptible():\n    [os.kill(os.getpid(), signal.SIGUSR1) or time.sleep(0.1) for _ in range(3)]\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_interruption_is_put_off_to_the_end_of_the_block():
    done = []

    def work():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done.append("whole")
        done.append("after")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interruption_that_was_put_off_is_one_and_not_two():
    """Two would end the process at once, without its last words."""
    script = """
import os, signal, time
from ursa_ray.interrupt import Interruptible, uninterrupted
with Interruptible():
    try:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
        time.sleep(5)
    except KeyboardInterrupt:
        time.sleep(0.5)
        print("in order")
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-u", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "in order\n")


def test_of_two_renders_of_one_run_one_works_and_the_other_names_it(tmp_path):
    first = start_render(tmp_path / "first", "--run", tmp_path / "run", steps=900)
    first.wait_until_said("dawn[0] begins")
    second = start_render(tmp_path / "second", "--run", tmp_path / "run", steps=900)
    said = second.end()
    assert second.returncode == 7
    assert f"another render works on this run (process {first.pid} on " in said
    assert "Traceback" not in said
    interrupt(first, signal.SIGTERM)
