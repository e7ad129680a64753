"""Takes are remembered with the plan that they are in: both, or neither."""

import os
from contextlib import suppress
from dataclasses import asdict

import pytest

from tests.ledger.runs import contents
from tests.ledger.test_crashes import Crash, stop_at
from tests.plan.boards import plan_of
from ursa_ray.errors import LeaseError
from ursa_ray.ledger import Commit, Run
from ursa_ray.ledger import run as run_module
from ursa_ray.ledger.commit import SCHEMA, Link
from ursa_ray.ledger.damage import invalidate
from ursa_ray.ledger.sealed import seal
from ursa_ray.plan import take_again, with_takes

SHOTS = ({"frames": 60}, {"continue": "s0"})


@pytest.fixture
def first():
    return plan_of(*SHOTS)


def test_a_run_has_the_takes_of_the_plan_that_was_begun_last(run, first):
    assert run.takes == {}
    run.begin(first)
    assert run.takes == {}
    run.begin(with_takes(first, {"s0[1]": 1}))
    assert run.takes == Run.open(run.store.folder).takes == {"s0[1]": 1}
    run.begin(with_takes(first, {"s0[1]": 2, "s1[0]": 1}))
    assert run.takes == Run.open(run.store.folder).takes == {"s0[1]": 2, "s1[0]": 1}


def test_a_plan_of_takes_comes_back_from_its_file_as_it_was(run, first):
    plan = with_takes(first, {"s0[1]": 2})
    run.begin(plan)
    assert Run.open(run.store.folder).plan() == plan


def test_takes_of_what_a_plan_does_without_stay_for_when_it_comes_back(run, first):
    run.begin(with_takes(first, {"s0[1]": 2, "s1[0]": 1}))
    run.begin(with_takes(plan_of({"frames": 20}), run.takes))
    assert run.takes == Run.open(run.store.folder).takes == {"s0[1]": 2, "s1[0]": 1}


def test_takes_outlast_a_snapshot(run, first, monkeypatch):
    monkeypatch.setattr(run_module, "COMPACT_AT", 1)
    run.begin(with_takes(first, {"s0[1]": 2}))
    with run.locked():
        pass
    assert run.store.names("log") == []
    assert run.takes == Run.open(run.store.folder).takes == {"s0[1]": 2}


def test_takes_of_an_entry_that_is_passed_over_are_had_again_by_asking_again(run, first):
    run.begin(first)
    taken = with_takes(first, take_again(first, run.takes, {}, ["s0"]))
    run.begin(taken)
    entry = run.store.folder / "log" / f"{1:020}.parquet"
    entry.write_bytes(entry.read_bytes()[:-1])
    invalidate(run.store, 1)
    again = Run.open(run.store.folder)
    assert again.takes == {}
    assert with_takes(first, take_again(first, again.takes, {}, ["s0"])) == taken


def test_the_takes_that_the_last_film_shows_outlast_a_snapshot_and_later_takes(run, first, monkeypatch):
    monkeypatch.setattr(run_module, "COMPACT_AT", 1)
    assert run.shown_takes == {}
    run.begin(with_takes(first, {"s0[1]": 1}))
    run.commit(Commit("film", "the film", takes=run.takes))
    run.begin(with_takes(first, {"s0[1]": 2}))
    with run.locked():
        pass
    assert Run.open(run.store.folder).shown_takes == {"s0[1]": 1}


def test_of_a_film_that_does_not_say_its_takes_all_are_shown(run, first):
    run.begin(with_takes(first, {"s0[1]": 1}))
    run.commit(Commit("film", "from before films said so"))
    assert run.shown_takes == {"s0[1]": 1}


def test_a_plan_of_earlier_takes_goes_back_to_them(run, first):
    run.begin(with_takes(first, {"s0[1]": 2, "s1[0]": 1}))
    run.begin(with_takes(first, {"s0[1]": 1}))
    assert run.takes == Run.open(run.store.folder).takes == {"s0[1]": 1}


@pytest.mark.parametrize("before", [{}, {"s0[1]": 1}, {"s0[1]": 3, "s1[0]": 1}])
def test_who_planned_before_another_render_changed_takes_does_not_get_to_work(run, first, before):
    run.begin(with_takes(first, before))
    planned_with = Run.open(run.store.folder)
    run.begin(with_takes(first, {"s0[1]": 2} | {name: take for name, take in before.items() if name != "s0[1]"}))
    told = r"the take of s0\[1\] was changed since this was planned\. Render again\."
    with pytest.raises(LeaseError, match=told), planned_with.locked():
        pytest.fail("it got to work")
    assert run.store.names("log") == Run.open(run.store.folder).store.names("log")
    with Run.open(run.store.folder).locked():
        pass


@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize("name", ["fsync", "link", "unlink", "replace", "mkdir"])
def test_a_crash_leaves_take_and_plan_or_neither(run, first, monkeypatch, name, number):
    run.begin(first)
    taken = with_takes(first, {"s0[1]": 1})
    with monkeypatch.context() as patch:
        stop_at(patch, name, number, Crash())
        with suppress(Crash):
            run.begin(taken)
    again = Run.open(run.store.folder)
    assert (again.takes, again.plan_sha256) in [({}, first.sha256), ({"s0[1]": 1}, taken.sha256)]
    resumed = with_takes(first, again.takes)
    again.begin(resumed)
    assert Run.open(run.store.folder).takes == {segment.name: 1 for segment in resumed.segments if segment.take}


def test_an_entry_from_before_there_were_takes_is_read():
    link = Link(0, "", 1, "00")
    row = asdict(Commit("plan", "ab" * 32))
    del row["takes"]
    content = seal([row], SCHEMA.remove(SCHEMA.get_field_index("takes")), asdict(link))
    assert Commit.from_parquet(content, "here") == (Commit("plan", "ab" * 32), link)


def test_a_place_without_a_run_has_none_and_stays_as_it_is(tmp_path):
    (tmp_path / "empty").mkdir()
    assert Run.find(tmp_path / "empty") is None
    assert Run.find(tmp_path / "absent" / "below") is None
    assert os.listdir(tmp_path) == ["empty"]


def test_a_run_is_found_with_what_it_has(rendered):
    before = contents(rendered.store.folder)
    assert Run.find(rendered.store.folder).segments.keys() == {"one", "two"}
    assert contents(rendered.store.folder) == before
