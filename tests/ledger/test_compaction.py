"""A log that has grown long becomes a snapshot; what it says stays the same, whoever looks and whenever."""

import errno
import os
import re
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from tests.ledger.runs import state
from ursa_ray.errors import LeaseError, LedgerError
from ursa_ray.ledger import Commit, Run
from ursa_ray.ledger import run as run_module


@pytest.fixture(autouse=True)
def early(monkeypatch):
    """Compact a log of 5 entries."""
    monkeypatch.setattr(run_module, "COMPACT_AT", 5)


def names(run, folder):
    return [int(path.stem) for path in sorted((run.store.folder / folder).glob("*.parquet"))]


def compact(run):
    with run.locked():
        pass


def test_a_log_of_256_entries_is_compacted_when_a_render_begins(run, commit, monkeypatch):
    monkeypatch.setattr(run_module, "COMPACT_AT", 256)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    for number in range(254):
        run.commit(commit(str(number)))
    compact(run)
    assert (len(names(run, "log")), names(run, "snap")) == (255, [])
    compact(run)
    assert (names(run, "log"), names(run, "snap")) == ([], [255])
    assert Run.open(run.store.folder).segments == {str(number): commit(str(number)) for number in range(254)}


def test_a_compacted_run_is_the_same_and_goes_on(rendered, commit, plan):
    before = state(rendered)
    compact(rendered)
    assert (names(rendered, "log"), names(rendered, "snap")) == ([], [4])
    again = Run.open(rendered.store.folder)
    assert state(again) == state(rendered) == before
    rendered.commit(commit("three"))
    assert names(rendered, "log") == [5]
    assert Run.open(rendered.store.folder).segments.keys() == {"one", "two", "three"}
    assert Run.open(rendered.store.folder).plan() == plan


def test_a_snapshot_has_one_row_for_what_was_said_twice(run, commit, plan):
    run.begin(plan)
    run.commit(commit("one"))
    later = replace(commit("one"), media_sha256="99" * 32)
    run.commit(later)
    run.commit(Commit("film", "old"))
    run.commit(Commit("film", "new"))
    compact(run)
    rows = pq.read_table(run.store.folder / "snap" / f"{5:020}.parquet").to_pylist()
    assert [(row["kind"], row["key"]) for row in rows] == [("plan", plan.sha256), ("segment", "one"), ("film", "new")]
    assert Run.open(run.store.folder).segments == {"one": later}


def test_a_later_snapshot_replaces_the_earlier(rendered, commit):
    compact(rendered)
    for name in ("three", "four", "five", "six"):
        rendered.commit(commit(name))
    compact(rendered)
    assert (names(rendered, "log"), names(rendered, "snap")) == ([], [9])
    assert len(Run.open(rendered.store.folder).segments) == 6


def test_the_first_entry_after_a_snapshot_follows_the_last_one_in_it(rendered, commit, tmp_path):
    compact(rendered)
    stranger = Run.create(tmp_path / "stranger")
    for name in "abcdef":
        stranger.commit(commit(name))
    entry = f"{5:020}.parquet"
    (rendered.store.folder / "log" / entry).write_bytes((stranger.store.folder / "log" / entry).read_bytes())
    with pytest.raises(LedgerError, match=f"{entry}: is damaged .it does not follow the entry before it"):
        Run.open(rendered.store.folder)


def test_entries_that_a_killed_compaction_left_are_passed_over_and_removed_by_the_next(rendered, commit, monkeypatch):
    before = state(rendered)
    with monkeypatch.context() as patch:
        patch.setattr(type(rendered.store), "remove", lambda store, name: None)
        compact(rendered)
    assert (names(rendered, "log"), names(rendered, "snap")) == ([0, 1, 2, 3, 4], [4])
    assert state(Run.open(rendered.store.folder)) == before
    for name in ("three", "four", "five", "six"):
        rendered.commit(commit(name))
    compact(rendered)
    assert (names(rendered, "log"), names(rendered, "snap")) == ([], [9])


def test_a_reader_whose_files_vanish_starts_over(rendered, commit, monkeypatch):
    """`status` has listed the log; then a render compacts it."""
    writer, reader = rendered, Run.open(rendered.store.folder)
    real, before = reader.store.read, state(rendered)

    def read(name):
        monkeypatch.undo()
        monkeypatch.setattr(run_module, "COMPACT_AT", 5)
        compact(writer)
        return real(name)

    monkeypatch.setattr(type(reader.store), "read", lambda store, name: read(name))
    reader._log.head = type(reader._log.head)()
    reader._read()
    assert names(writer, "snap") == [4]
    assert state(reader) == before


@pytest.mark.parametrize("at", ["log", "snap"])
def test_a_reader_that_lists_while_a_compaction_goes_on_sees_all(rendered, monkeypatch, at):
    before, folder = state(rendered), rendered.store.folder
    store = type(rendered.store)
    real = store.names

    def listing(self, name):
        if name == at:
            monkeypatch.setattr(store, "names", real)
            compact(rendered)
        return real(self, name)

    monkeypatch.setattr(store, "names", listing)
    assert state(Run.open(folder)) == before
    assert names(rendered, "snap") == [4]


def test_a_reader_behind_a_snapshot_catches_up_from_it(rendered, commit):
    reader = Run.open(rendered.store.folder)
    rendered.commit(commit("three"))
    compact(rendered)
    rendered.commit(commit("four"))
    with reader.locked():
        assert reader.segments.keys() == {"one", "two", "three", "four"}


def test_a_render_that_slept_through_a_compaction_finds_its_number_free_and_stops_all_the_same(rendered, commit):
    sleeper = Run.open(rendered.store.folder)
    compact(rendered)
    assert names(rendered, "log") == []
    for _ in range(2):
        with pytest.raises(LeaseError, match="another render has taken over this run"):
            sleeper.commit(commit("five"))
    assert names(rendered, "log") == []
    rendered.commit(commit("three"))
    assert Run.open(rendered.store.folder).segments.keys() == {"one", "two", "three"}


def test_nothing_is_removed_if_the_snapshot_is_not_what_was_written(rendered, monkeypatch):
    store, before = type(rendered.store), state(rendered)
    real = store.create

    def spoilt(self, name, content):
        real(self, name, content[:-1] if name.startswith("snap/") else content)

    with monkeypatch.context() as patch:
        patch.setattr(store, "create", spoilt)
        with pytest.raises(LedgerError, match=r"snap/0+4\.parquet: is"):
            compact(rendered)
    assert (names(rendered, "log"), names(rendered, "snap")) == ([0, 1, 2, 3, 4], [])
    assert state(Run.open(rendered.store.folder)) == before


def test_a_disk_that_is_full_stops_the_render_and_leaves_the_log(rendered, monkeypatch):
    store, before = type(rendered.store), state(rendered)
    real = store.create

    def full(self, name, content):
        if name.startswith("snap/"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, name, content)

    monkeypatch.setattr(store, "create", full)
    with pytest.raises(LedgerError, match=r"snap/0+4\.parquet: cannot be written \(No space left on device\)"):
        compact(rendered)
    assert state(Run.open(rendered.store.folder)) == before


def test_a_damaged_snapshot_is_named(rendered):
    compact(rendered)
    file = rendered.store.folder / "snap" / f"{4:020}.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LedgerError, match=f"^{re.escape(str(file))}: is damaged"):
        Run.open(rendered.store.folder)


def test_a_snapshot_under_another_number_is_refused(rendered, commit):
    compact(rendered)
    folder = rendered.store.folder / "snap"
    (folder / f"{4:020}.parquet").rename(folder / f"{7:020}.parquet")
    with pytest.raises(LedgerError, match=r"is damaged \(it is snapshot 4\)"):
        Run.open(rendered.store.folder)
