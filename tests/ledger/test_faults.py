"""The disk fails at every operation of a commit in turn: the old or new state, a clear error, and another try works."""

import errno
from itertools import count

import pytest

from tests.ledger.disk import Disk
from tests.ledger.runs import state
from tests.ledger.scenarios import ALL, begin, commit_first, commit_next, create
from ursa_ray.errors import InputError, LedgerError
from ursa_ray.ledger import Run

FAULTS = {name: getattr(errno, name) for name in ("EIO", "ENOSPC", "EMFILE")}


def seen(folder):
    try:
        return state(Run.open(folder))
    except InputError:
        return None


def attempt(act, folder, monkeypatch, **fault):
    """Act with a fault at one operation: what was there to see before, the error, and whether it was met at all."""
    before = seen(folder)
    with monkeypatch.context() as patch:
        disk = Disk(patch, **fault)
        try:
            act()
        except (LedgerError, InputError) as error:
            return before, error, True
    return before, None, disk.num > fault["at"]


@pytest.mark.parametrize("code", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("scenario", ALL)
def test_a_fault_at_any_operation_is_a_clear_error_and_loses_nothing(
    scenario, code, tmp_path, monkeypatch, commit, plan
):
    scenario(tmp_path / "whole", commit, plan)()
    new, num_failed = seen(tmp_path / "whole"), 0
    for at in count():
        folder = tmp_path / str(at)
        act = scenario(folder, commit, plan)
        old, error, is_met = attempt(act, folder, monkeypatch, at=at, code=code)
        if not is_met:
            break
        assert seen(folder) in ([new] if error is None else [old, new])
        if error is not None:
            num_failed += 1
            assert any(words in str(error) for words in ("cannot be written", "cannot be read")), error
        goes_on(folder, commit)
    assert num_failed >= 5


@pytest.mark.parametrize("code", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("scenario", [create, commit_first, commit_next, begin])
def test_after_a_fault_at_any_operation_the_same_render_may_try_again(
    scenario, code, tmp_path, monkeypatch, commit, plan
):
    """Also where only what follows the put has failed, so that the entry is there."""
    scenario(tmp_path / "whole", commit, plan)()
    new = seen(tmp_path / "whole")
    for at in count():
        folder = tmp_path / str(at)
        act = scenario(folder, commit, plan)
        _, error, is_met = attempt(act, folder, monkeypatch, at=at, code=code)
        if not is_met:
            break
        if error is not None:
            act()
        assert seen(folder) == new


@pytest.mark.parametrize("scenario", ALL)
def test_a_short_write_is_gone_on_with(scenario, tmp_path, monkeypatch, commit, plan):
    scenario(tmp_path / "whole", commit, plan)()
    new, num_met = seen(tmp_path / "whole"), 0
    for at in count():
        folder = tmp_path / str(at)
        _, error, is_met = attempt(scenario(folder, commit, plan), folder, monkeypatch, at=at, is_short=True)
        if not is_met:
            break
        num_met += 1
        assert error is None
        assert seen(folder) == new
    assert num_met >= 5


def test_a_disk_that_fills_up_within_a_write_leaves_the_log_as_it_was(tmp_path, monkeypatch, commit, plan):
    """A short write, and the next one finds no room."""
    run = Run.create(tmp_path)
    run.commit(commit("one"))
    with monkeypatch.context() as patch:
        disk = Disk(patch)
        real = disk.write

        def fill(path, data, descriptor):
            if disk.operations[-1].kind == "write":
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(path, data[: len(data) // 2], descriptor)

        patch.setattr(disk, "write", fill)
        with pytest.raises(LedgerError, match="No space left on device"):
            run.commit(commit("two"))
    assert Run.open(tmp_path).segments.keys() == run.segments.keys() == {"one"}
    run.commit(commit("two"))
    assert Run.open(tmp_path).segments.keys() == {"one", "two"}


def goes_on(folder, commit):
    run = Run.create(folder)
    with run.locked():
        run.commit(commit("later"))
    assert Run.open(folder).segments["later"] == commit("later")
