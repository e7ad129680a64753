"""Writing beside the work, with writes that fail and writes that hang."""

import subprocess
import sys
from threading import Event

import pytest

from ursa_ray import writer as module
from ursa_ray.writer import Writer


@pytest.fixture
def hung():
    """A write that hangs to the end of the test."""
    go_on = Event()
    yield go_on.wait
    go_on.set()


def refused():
    raise OSError("no space left on device")


def test_a_write_that_hangs_holds_up_the_next_for_so_long_and_no_longer(hung, monkeypatch):
    monkeypatch.setattr(module, "MAX_WRITING_S", 0.1)
    writer = Writer("frames")
    writer.begin(hung)
    writer.wait()
    for ask in (lambda: writer.begin(dict), writer.require_written):
        with pytest.raises(TimeoutError, match=r"frames are still being written after 0 s"):
            ask()


def test_a_write_that_failed_and_was_waited_for_is_not_held_against_the_next():
    writer = Writer("steps")
    writer.begin(refused)
    writer.wait()
    writer.require_written()
    writer.begin(refused)
    with pytest.raises(OSError, match="no space left"):
        writer.require_written()
    assert writer.begin(lambda: "written").result() == "written"


def test_a_write_that_hangs_does_not_keep_the_process_from_ending():
    script = "import time\nfrom ursa_ray.writer import Writer\nWriter('frames').begin(lambda: time.sleep(60))"
    assert subprocess.run([sys.executable, "-c", script], timeout=20, check=False).returncode == 0
