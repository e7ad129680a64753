"""A run in a bucket: what a store does on a real HTTP server, and what it says when it cannot."""

import hashlib
import os
import sys
from contextlib import suppress

import pytest

from tests.ledger.runs import state
from ursa_ray.cli import main
from ursa_ray.errors import LedgerError, OptionError
from ursa_ray.ledger import Run, open_store
from ursa_ray.ledger.bucket import connect

SHA256 = "ab" * 32


@pytest.fixture
def store(bucket):
    return open_store(f"{bucket}/films/x")


@pytest.fixture
def client(bucket):
    return connect(1, 10.0)


def put(client, store, name, content=b""):
    bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
    client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=content)


def test_a_run_opened_again_has_the_same_segments_films_and_plan(bucket, commit, plan):
    run = Run.create(f"{bucket}/films/x")
    with run.locked():
        run.begin(plan)
        run.commit(commit("one"))
        run.commit(commit("two"))
    again = Run.open(f"{bucket}/films/x/")
    assert again.segments == {"one": commit("one"), "two": commit("two")}
    assert again.plan() == plan
    assert state(again) == state(run) == state(Run.create(f"{bucket}/films/x"))


def test_a_run_may_be_all_that_a_bucket_holds(bucket, commit):
    Run.create(bucket).commit(commit("one"))
    assert Run.open(bucket).segments.keys() == {"one"}


def test_of_two_renders_of_one_run_the_second_to_commit_stops_and_loses_nothing_of_the_first(bucket, commit):
    run = Run.create(f"{bucket}/run")
    other = Run.open(f"{bucket}/run")
    run.commit(commit("one"))
    with pytest.raises(LedgerError, match="another render has taken over this run"):
        other.commit(commit("two"))
    assert Run.open(f"{bucket}/run").segments == {"one": commit("one")}


def test_what_is_created_twice_stays_as_it_was(store):
    store.create("a/b", b"first")
    with pytest.raises(FileExistsError):
        store.create("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_what_is_put_twice_is_replaced_and_what_is_removed_is_gone(store):
    store.put("steps/k/1", b"first")
    store.put("steps/k/1", b"second")
    store.put("steps/other", b"")
    assert store.read("steps/k/1") == b"second"
    store.remove_folder("steps/k")
    assert store.names("steps") == ["other"]
    store.remove("steps/other")
    store.remove("steps/other")
    assert not store.exists("steps/other")
    with pytest.raises(FileNotFoundError):
        store.read("steps/other")


def test_names_are_those_directly_in_a_folder_in_order(store, client):
    for name in ["b", "a/2", "a/1", "ab/1", ""]:  # the last is a folder that was made in a console
        put(client, store, name)
    assert store.names("") == ["a", "ab", "b"]
    assert store.names("a") == ["1", "2"]
    assert store.names("none") == []


def test_more_names_than_fit_on_a_page_are_all_found(store, client):
    numbers = [f"{number:04d}" for number in range(1003)]
    for number in numbers:
        put(client, store, f"log/{number}")
    assert store.names("log") == numbers


def test_files_are_there_once_the_folder_is_closed_and_only_then(store):
    with store.writing("media") as folder:
        (folder / "one.mkv").write_bytes(b"one")
        (folder / ".aside-x").mkdir()
        (folder / ".aside-x" / "half.mkv").write_bytes(b"half")
        assert store.names("media") == []
    assert store.names("media") == ["one.mkv"]
    with store.reading("media/one.mkv") as path:
        assert (path.name, path.read_bytes()) == ("one.mkv", b"one")
    assert not path.exists()


def test_nothing_is_there_of_a_folder_that_an_error_closed(store):
    with suppress(KeyboardInterrupt), store.writing("media") as folder:
        (folder / "one.mkv").write_bytes(b"one")
        raise KeyboardInterrupt
    assert store.names("media") == []


def test_a_file_that_is_sent_in_parts_arrives_as_it_was(store):
    content = os.urandom(20_000_000)
    with store.writing("") as folder:
        (folder / "film.mp4").write_bytes(content)
    with store.reading("film.mp4") as path:
        assert path.read_bytes() == content


def test_the_hash_of_a_file_is_known_without_its_content_where_it_was_sent_in_one_part(store, client, monkeypatch):
    small, large = b"film", bytes(9 * 2**20)  # boto3 sends more than 8 MiB in parts
    with store.writing("samples") as folder:
        (folder / "small.mp4").write_bytes(small)
        (folder / "large.mp4").write_bytes(large)
    put(client, store, "samples/old.mp4", small)
    assert store.sha256("samples/large.mp4") == hashlib.sha256(large).hexdigest()
    assert store.sha256("samples/old.mp4") == hashlib.sha256(small).hexdigest()
    assert store.sha256("samples/none.mp4") is None

    def refuse(name):
        raise AssertionError(f"{name} was downloaded")

    monkeypatch.setattr(store, "reading", refuse)
    assert store.sha256("samples/small.mp4") == hashlib.sha256(small).hexdigest()
    with pytest.raises(AssertionError, match="large"):
        store.sha256("samples/large.mp4")


def test_what_is_made_again_takes_the_place_of_what_was_damaged(store, client):
    put(client, store, f"assets/{SHA256}", b"wrong")
    with store.writing("assets") as folder:
        (folder / SHA256).write_bytes(b"right")  # as long
    assert store.read(f"assets/{SHA256}") == b"right"


def test_a_prefix_of_something_else_is_refused_and_untouched(store, client):
    put(client, store, "thesis.txt", b"mine")
    with pytest.raises(OptionError, match="is neither a run nor an empty folder"):
        Run.create(store.url)
    assert store.names("") == ["thesis.txt"]


def test_a_prefix_that_is_no_run_cannot_be_opened(store):
    with pytest.raises(OptionError, match=r"is not a run \(FORMAT.json is missing\)"):
        Run.open(store.url)


@pytest.mark.parametrize("enter", [Run.open, Run.create])
def test_a_bucket_that_is_not_there_is_named(bucket, enter):
    with pytest.raises(OptionError, match=r"^s3://no-such-films/x.*there is no such bucket"):
        enter("s3://no-such-films/x")


def test_missing_credentials_are_named(bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(OptionError, match="Unable to locate credentials"):
        Run.open(f"{bucket}/x")


def test_an_unknown_profile_is_named(bucket, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobodys")
    with pytest.raises(OptionError, match=r"nobodys.*AWS_"):
        open_store(f"{bucket}/x")


@pytest.mark.parametrize("url", ["gs://bucket/x", "http://bucket/x", "file:///x"])
def test_other_urls_are_refused(url):
    with pytest.raises(OptionError, match=r"a run is in a folder or at s3://bucket/prefix"):
        open_store(url)


@pytest.mark.parametrize("url", ["s3://", "s3:///films"])
def test_a_url_without_a_bucket_is_refused(url):
    with pytest.raises(OptionError, match="names no bucket"):
        open_store(url)


def test_without_boto3_the_extra_is_named(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith(("boto", "ursa_ray.ledger.s3", "ursa_ray.ledger.b"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SystemExit) as leaving:
        main(["status", "s3://films/x"])
    assert leaving.value.code == OptionError.exit_code
    assert 'needs boto3, which is missing. pip install "ursa-ray[s3]"' in capsys.readouterr().err


def test_status_of_a_run_in_a_bucket(bucket, commit, plan, capsys):
    run = Run.create(f"{bucket}/x")
    run.begin(plan)
    run.commit(commit(plan.segments[0].key))
    with pytest.raises(SystemExit):
        main(["status", f"{bucket}/x", "--json"])
    assert f'"num_committed": 1, "seconds_spent": {1.5}' in capsys.readouterr().out
