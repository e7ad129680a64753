"""Commits and new runs when the power goes, or the disk is full."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ledger.runs import contents, state
from ursa_ray.errors import LedgerError
from ursa_ray.ledger import Run


class Crash(BaseException):
    """The process is told to stop: no handler of errors runs, but what only tidies up does."""


def stop_at(monkeypatch, name, number, error):
    """The `number`th call of an operation of the disk raises instead; all later ones too, as of a full disk."""
    real, calls = getattr(os, name), []

    def stopped(*args, **kwargs):
        calls.append(args)
        if len(calls) >= number:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, stopped)


def full_disk():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("number", range(1, 4))
@pytest.mark.parametrize("name", ["fsync", "replace", "mkdir"])
def test_a_run_whose_making_was_cut_short_is_made_again(tmp_path, monkeypatch, commit, name, number):
    with monkeypatch.context() as patch:
        stop_at(patch, name, number, Crash())
        with suppress(Crash):
            Run.create(tmp_path / "run")
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / ".aside-0123456789abcdef").mkdir()  # the power went before it was removed
    run = Run.create(tmp_path / "run")
    run.commit(commit("one"))
    assert Run.open(tmp_path / "run").segments.keys() == {"one"}


@pytest.mark.parametrize("name", ["fsync", "link"])
def test_a_commit_on_a_full_disk_fails_and_leaves_the_log_as_it_was(rendered, commit, monkeypatch, name):
    before, files = state(rendered), contents(rendered.store.folder)
    with monkeypatch.context() as patch:
        stop_at(patch, name, 1, full_disk())
        with pytest.raises(
            LedgerError, match=r"cannot be written \(No space left on device\)\. What is committed is safe"
        ):
            rendered.commit(commit("three"))
    assert contents(rendered.store.folder) == files
    assert state(rendered) == state(Run.open(rendered.store.folder)) == before
    rendered.commit(commit("three"))
    assert Run.open(rendered.store.folder).segments["three"] == commit("three")


def test_a_commit_that_cannot_write_its_bytes_leaves_the_log_as_it_was(rendered, commit, monkeypatch):
    files, real_open = contents(rendered.store.folder), Path.open

    def short(path, mode="r", *args, **kwargs):
        file = real_open(path, mode, *args, **kwargs)
        if mode != "xb":
            return file
        file.write(b"half")
        file.close()
        raise full_disk()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", short)
        with pytest.raises(LedgerError, match="No space left on device"):
            rendered.commit(commit("three"))
    assert contents(rendered.store.folder) == files


def test_a_commit_whose_name_may_not_be_on_disk_fails_but_is_whole_or_absent(rendered, commit, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, "fsync", 2, full_disk())
        with pytest.raises(LedgerError, match="cannot be written"):
            rendered.commit(commit("three"))
    assert "three" not in rendered.segments
    assert Run.open(rendered.store.folder).segments.get("three") in (None, commit("three"))


@pytest.mark.parametrize("name", ["fsync", "link"])
def test_a_plan_on_a_full_disk_is_not_begun(run, plan, monkeypatch, name):
    files = contents(run.store.folder)
    with monkeypatch.context() as patch:
        stop_at(patch, name, 1, full_disk())
        with pytest.raises(LedgerError, match=r"cannot be written \(No space left on device\)"):
            run.begin(plan)
    assert contents(run.store.folder) == files
    run.begin(plan)
    assert Run.open(run.store.folder).plan() == plan


def test_an_entry_is_on_disk_before_it_gets_its_name_and_its_name_before_the_commit_returns(run, commit, monkeypatch):
    run.commit(commit("zero"))
    calls = []
    real_fsync, real_link = os.fsync, os.link

    def fsync(descriptor):
        calls.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        real_fsync(descriptor)

    def link(source, target):
        calls.append(("link", str(source)))
        real_link(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    run.commit(commit("one"))
    assert [name for name, _ in calls] == ["fsync", "link", "fsync"]
    assert calls[0][1] == calls[1][1]
    assert calls[2][1] == str(run.store.folder / "log")
