"""Damaged entries: reading refuses them until a later entry invalidates exactly these bytes."""

import re
from dataclasses import replace

import pytest

from tests.ledger.damage import flip
from tests.ledger.runs import contents
from ursa_ray.errors import LeaseError, LedgerError, OptionError
from ursa_ray.ledger import Commit, Run, open_store
from ursa_ray.ledger import run as run_module
from ursa_ray.ledger.commit import Link
from ursa_ray.ledger.damage import invalidate


def entry(run, number):
    return run.store.folder / "log" / f"{number:020}.parquet"


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def open_again(run):
    return Run.open(run.store.folder)


@pytest.fixture
def five(run, commit):
    for name in ("zero", "one", "two", "three", "four"):
        run.commit(commit(name))
    return run


DAMAGES = {"cut": cut, "missing": lambda path: path.unlink(), "empty": lambda path: path.write_bytes(b"")}


# Nobody knows of a last entry that it is missing.
@pytest.mark.parametrize(
    ("number", "damage"),
    [(number, name) for number in (0, 2, 4) for name in DAMAGES if (number, name) != (4, "missing")],
)
def test_a_run_opens_again_without_what_was_invalidated(five, commit, number, damage):
    DAMAGES[damage](entry(five, number))
    with pytest.raises(LedgerError, match=f"{entry(five, number).name}: is (damaged|missing).*run `ursa-ray fsck`"):
        open_again(five)
    before = contents(five.store.folder)
    invalidate(five.store, number)
    after = contents(five.store.folder)
    assert {path: after[path] for path in before if path.name != "LEASE"} == {
        path: content for path, content in before.items() if path.name != "LEASE"
    }
    names = ["zero", "one", "two", "three", "four"]
    lost = names.pop(number)
    again = open_again(five)
    assert list(again.segments) == names
    again.commit(commit(lost))
    assert open_again(five).segments.keys() == {*names, lost}


def test_two_damages_are_invalidated_one_after_the_other(five):
    cut(entry(five, 1))
    cut(entry(five, 2))
    invalidate(five.store, 2)
    with pytest.raises(LedgerError, match=f"{entry(five, 1).name}: is damaged"):
        open_again(five)
    invalidate(five.store, 1)
    assert list(open_again(five).segments) == ["zero", "three", "four"]


def test_other_damage_to_the_same_entry_is_an_error_again(five):
    cut(entry(five, 2))
    invalidate(five.store, 2)
    cut(entry(five, 2))
    with pytest.raises(LedgerError, match=f"{entry(five, 2).name}: is damaged"):
        open_again(five)
    invalidate(five.store, 2)
    assert "two" not in open_again(five).segments


def test_an_invalidated_entry_that_is_restored_counts_again(five, commit):
    for number in (2, 4):
        whole = entry(five, number).read_bytes()
        cut(entry(five, number))
        invalidate(five.store, number)
        entry(five, number).write_bytes(whole)
        assert list(open_again(five).segments) == ["zero", "one", "two", "three", "four"]


@pytest.mark.parametrize("number", [0, 4, 5, 10**19])
def test_a_whole_entry_and_one_that_never_was_are_not_invalidated(five, number):
    before = contents(five.store.folder / "log")
    with pytest.raises(OptionError, match=r"is not to be invalidated, only entries .* are: none\."):
        invalidate(five.store, number)
    assert contents(five.store.folder / "log") == before


def test_an_entry_that_cannot_be_read_is_not_invalidated(five):
    entry(five, 2).unlink()
    entry(five, 2).mkdir()
    with pytest.raises(OptionError, match="is not to be invalidated"):
        invalidate(five.store, 2)
    with pytest.raises(LedgerError, match=f"{entry(five, 2).name}: cannot be read"):
        open_again(five)


def test_nothing_is_invalidated_while_a_render_works(five):
    cut(entry(five, 1))
    with five.store.lease("a render"), pytest.raises(LeaseError, match="a render"):
        invalidate(five.store, 1)


def test_a_place_that_is_no_run_is_not_touched(tmp_path):
    with pytest.raises(OptionError, match="is not a run"):
        invalidate(open_store(tmp_path), 0)
    assert list(tmp_path.iterdir()) == []


def test_an_entry_of_which_a_bit_changed_that_says_nothing_is_blamed_by_the_next(five, commit):
    """Half of the bits of an entry may flip and it still reads the same; its hash does not."""
    file = entry(five, 2)
    whole = file.read_bytes()
    read = Commit.from_parquet(whole, "here")
    silent = next(bit for bit in range(8 * len(whole)) if reads_as(flip(whole, bit), read))
    file.write_bytes(flip(whole, silent))
    with pytest.raises(LedgerError, match=rf"^{re.escape(str(file))}: is damaged \(the entry after it follows"):
        open_again(five)
    invalidate(five.store, 2)
    assert list(open_again(five).segments) == ["zero", "one", "three", "four"]


def reads_as(content, expected):
    try:
        return Commit.from_parquet(content, "here") == expected
    except LedgerError:
        return False


def test_an_entry_under_another_number_is_damaged(five):
    entry(five, 3).write_bytes(entry(five, 1).read_bytes())
    with pytest.raises(LedgerError, match=rf"{entry(five, 3).name}: is damaged \(it is entry 1\)"):
        open_again(five)


def test_an_entry_put_in_place_of_a_whole_one_is_found(five, commit):
    stranger = replace(commit("stranger"), device="another").to_parquet(Link(2, "", 0, "nonce"))
    entry(five, 2).write_bytes(stranger)
    with pytest.raises(LedgerError, match=f"{entry(five, 2).name}: is damaged"):
        open_again(five)


def test_a_file_numbered_far_ahead_is_named_at_once(five):
    entry(five, 10**19).write_bytes(b"")
    with pytest.raises(LedgerError, match=rf"{10**19:020}\.parquet: is no entry of this log"):
        open_again(five)


def test_a_run_that_was_open_forgets_what_has_been_invalidated_since(five):
    early = open_again(five)
    cut(entry(five, 2))
    invalidate(five.store, 2)
    assert "two" in early.segments
    with early.locked():
        assert list(early.segments) == ["zero", "one", "three", "four"]


def test_a_run_that_was_open_forgets_it_even_if_a_snapshot_came_in_between(five, monkeypatch):
    early = open_again(five)
    cut(entry(five, 2))
    invalidate(five.store, 2)
    monkeypatch.setattr(run_module, "COMPACT_AT", 5)
    with open_again(five).locked():
        pass
    with early.locked():
        assert list(early.segments) == ["zero", "one", "three", "four"]


def test_a_snapshot_leaves_out_what_was_invalidated(five, monkeypatch):
    cut(entry(five, 2))
    invalidate(five.store, 2)
    monkeypatch.setattr(run_module, "COMPACT_AT", 5)
    with open_again(five).locked():
        pass
    assert list((five.store.folder / "log").iterdir()) == []
    assert list(open_again(five).segments) == ["zero", "one", "three", "four"]
