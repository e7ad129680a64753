"""What a run may look like after the power went at any instant: the old or the new state, and once told so, the new."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.disk import Disk, Operation, Tree, after_power_loss, lay_out, tree
from tests.ledger.runs import state
from tests.ledger.scenarios import ALL, compact, compact_again
from ursa_ray.errors import OptionError
from ursa_ray.ledger import Run, Steps, open_store


@dataclass
class Recorded:
    root: Path
    before: Tree
    operations: list[Operation]
    old: Any
    new: Any
    look: Callable[[Path], Any]


def look(folder):
    """What there is to see of a run; that it can go on is part of it."""
    try:
        segments, *rest = state(Run.open(folder / "a" / "run"))
    except OptionError:
        segments, *rest = {}, None
    seen = segments.copy(), rest
    run = Run.create(folder / "a" / "run")
    with run.locked():
        assert rest == [None] or (run.segments, rest) == (segments, list(state(run)[1:]))
    return seen


@pytest.fixture
def record(tmp_path, monkeypatch, commit, plan):
    def recorded(scenario, see=look) -> Recorded:
        root = tmp_path / "disk"
        root.mkdir()
        act = scenario(root / "a" / "run", commit, plan)
        before, old = tree(root), seen_in(tree(root), tmp_path / "old", root, see)
        with monkeypatch.context() as patch:
            disk = Disk(patch)
            act()
        changing = [operation for operation in disk.operations if operation.kind not in ("open", "list")]
        new = seen_in(tree(root), tmp_path / "new", root, see)
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)
        return Recorded(root, before, changing, old, new, see)

    return recorded


def seen_in(left: Tree, folder: Path, root: Path, see: Callable[[Path], Any]) -> Any:
    shutil.rmtree(folder, ignore_errors=True)
    lay_out(left, folder, root)
    return see(folder)


def violations(recorded: Recorded, operations: list[Operation], folder: Path) -> Iterator[str]:
    for left, is_over in after_power_loss(recorded.before, operations):
        allowed = [recorded.new] if is_over else [recorded.old, recorded.new]
        try:
            if seen_in(left, folder, recorded.root, recorded.look) not in allowed:
                yield f"neither old nor new: {sorted(left)}"
        except Exception as error:
            yield repr(error)


@pytest.mark.parametrize("scenario", ALL)
def test_after_power_loss_a_run_is_in_its_old_or_new_state_and_no_sync_could_be_spared(scenario, record, tmp_path):
    recorded = record(scenario)
    if scenario not in (compact, compact_again):
        assert recorded.old != recorded.new
    assert list(violations(recorded, recorded.operations, tmp_path / "left")) == []
    syncs = [number for number, operation in enumerate(recorded.operations) if operation.is_sync]
    assert len(syncs) >= 2
    for number in syncs:
        without = recorded.operations[:number] + recorded.operations[number + 1 :]
        assert any(violations(recorded, without, tmp_path / "left")), recorded.operations[number]


def test_a_saved_step_is_after_power_loss_the_old_the_new_or_none_but_no_other(record, tmp_path, commit):
    first, second = commit("one").array(), commit("two").array()

    def save(folder, commit, plan):
        run = Run.create(folder)
        run.steps.save("key", 1, first)
        return lambda: run.steps.save("key", 2, second)

    def see(folder):
        saved = Steps(open_store(folder / "a" / "run")).latest("key")
        return None if saved is None else (saved.num_done, saved.codes.tobytes())

    recorded = record(save, see)
    assert (recorded.old, recorded.new) == ((1, first.tobytes()), (2, second.tobytes()))
    found = {
        seen_in(left, tmp_path / "left", recorded.root, see)
        for left, _ in after_power_loss(recorded.before, recorded.operations)
    }
    assert found == {recorded.old, recorded.new, None}
