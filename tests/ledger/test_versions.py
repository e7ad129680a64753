"""Runs of other versions of ursa-ray: older ones lack columns, newer ones have more, and may require features."""

import json
from dataclasses import asdict

import pyarrow as pa
import pytest

from ursa_ray.errors import LedgerError
from ursa_ray.ledger import Commit, Run
from ursa_ray.ledger.commit import SCHEMA, Link
from ursa_ray.ledger.plans import SCHEMA as PLAN_SCHEMA
from ursa_ray.ledger.plans import plan_from_parquet, plan_to_parquet
from ursa_ray.ledger.sealed import seal, unseal

LINK = Link(0, "", 0, "nonce")


def entry(commit, schema, about=None, **more):
    return seal([commit.to_row() | more], schema, about or asdict(LINK))


@pytest.mark.parametrize("name", [name for name in SCHEMA.names if name not in ("kind", "key")])
def test_an_entry_that_lacks_a_column_reads_as_none_there(commit, name):
    older = entry(commit(), pa.schema([field for field in SCHEMA if field.name != name]))
    read, _ = Commit.from_parquet(older, "here")
    assert read.to_row() == commit().to_row() | {name: None}


@pytest.mark.parametrize("name", ["kind", "key"])
def test_an_entry_without_kind_or_key_is_refused(commit, name):
    with pytest.raises(LedgerError, match="is not a commit of this version"):
        Commit.from_parquet(entry(commit(), pa.schema([field for field in SCHEMA if field.name != name])), "here")


def test_columns_that_are_unknown_are_passed_over(commit):
    schema = SCHEMA.append(pa.field("gpu_watts", pa.float64()))
    newer = entry(commit(), schema, asdict(LINK) | {"cluster": "unknown"}, gpu_watts=700.0)
    assert Commit.from_parquet(newer, "here") == (commit(), LINK)


def test_events_that_are_unknown_are_passed_over(run, commit):
    run.commit(Commit("applause", "loud"))
    run.commit(commit("one"))
    assert Run.open(run.store.folder).segments == {"one": commit("one")}


def test_all_columns_but_kind_and_key_are_nullable():
    assert [field.name for field in SCHEMA if not field.nullable] == ["kind", "key"]


def test_a_plan_with_an_unknown_column_is_read(plan):
    rows, about = unseal(plan_to_parquet(plan), "here", "")
    schema = PLAN_SCHEMA.append(pa.field("mood", pa.string()))
    assert plan_from_parquet(seal([row | {"mood": "blue"} for row in rows], schema, about), "here") == plan


def test_a_new_run_requires_nothing(run):
    content = json.loads((run.store.folder / "FORMAT.json").read_text())
    assert content == {"format": "ursa-ray run", "version": 1, "requires": []}


def test_a_run_that_requires_what_is_unknown_is_refused(run):
    required = {"format": "ursa-ray run", "version": 1, "requires": ["sound", "depth"]}
    (run.store.folder / "FORMAT.json").write_text(json.dumps(required))
    for enter in (Run.open, Run.create):
        with pytest.raises(LedgerError, match=r"FORMAT\.json: requires depth, sound, .* Use a newer ursa-ray\."):
            enter(run.store.folder)


def test_a_feature_that_is_known_is_no_obstacle(run, monkeypatch):
    monkeypatch.setattr("ursa_ray.ledger.format.FEATURES", frozenset({"sound"}))
    required = {"format": "ursa-ray run", "version": 1, "requires": ["sound"]}
    (run.store.folder / "FORMAT.json").write_text(json.dumps(required))
    assert Run.open(run.store.folder).segments == {}


@pytest.mark.parametrize("requires", [None, "sound", [1], {}])
def test_requirements_that_are_no_list_of_names_are_refused(run, requires):
    found = {"format": "ursa-ray run", "version": 1, "requires": requires}
    (run.store.folder / "FORMAT.json").write_text(json.dumps(found))
    with pytest.raises(LedgerError, match=r"expected .* Use a newer ursa-ray\."):
        Run.open(run.store.folder)


def test_a_run_from_before_there_were_requirements_opens(run):
    (run.store.folder / "FORMAT.json").write_text('{"format": "ursa-ray run", "version": 1}')
    assert Run.open(run.store.folder).segments == {}
