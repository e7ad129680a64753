"""The folder of a render: opened again, moved, damaged, shared, or not one at all."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.ledger.runs import contents, state
from tests.plan.boards import plan_of
from ursa_ray.errors import LedgerError, OptionError
from ursa_ray.ledger import Run
from ursa_ray.ledger.folder import FolderStore


def log_files(run):
    return sorted(path.name for path in (run.store.folder / "log").iterdir())


def test_a_new_run_is_empty(run):
    assert (run.segments, run.last_film, run.plan_sha256, run.plan()) == ({}, None, None, None)


def test_a_run_opened_again_has_the_same_segments_films_and_plan(rendered, commit, plan):
    again = Run.open(rendered.store.folder)
    assert again.segments == {"one": commit("one"), "two": commit("two", np.uint32)}
    assert again.last_film.key == plan.sha256
    assert again.plan() == plan
    assert state(again) == state(rendered) == state(Run.create(rendered.store.folder))


def test_a_moved_run_is_the_same(rendered, tmp_path):
    before = state(rendered)
    rendered.store.folder.rename(tmp_path / "moved")
    assert state(Run.open(tmp_path / "moved")) == before


def test_log_files_are_numbered_from_0_with_20_digits(rendered):
    assert log_files(rendered) == [f"0000000000000000000{number}.parquet" for number in range(4)]


def test_the_plan_that_was_begun_last_is_the_plan(rendered, plan):
    other = plan_of({"frames": 9})
    rendered.begin(other)
    assert Run.open(rendered.store.folder).plan() == other
    rendered.begin(plan)
    assert Run.open(rendered.store.folder).plan() == plan


def test_a_plan_begun_again_is_noted_once(rendered, plan):
    rendered.begin(plan)
    Run.open(rendered.store.folder).begin(plan)
    assert len(log_files(rendered)) == 4


def test_a_later_commit_of_a_segment_replaces_the_earlier(run, commit):
    later = replace(commit("one"), media_sha256="99" * 32)
    run.commit(commit("one"))
    run.commit(later)
    assert Run.open(run.store.folder).segments == {"one": later}


def test_frames_of_a_segment_are_found_if_it_is_committed_and_its_file_is_there(run, commit):
    run.commit(commit("one"))
    run.commit(replace(commit("two"), media_sha256="99" * 32))
    assert run.framed() == set()
    with run.store.writing("media") as folder:
        (folder / f"{commit().media_sha256}.mkv").write_bytes(b"frames")
    assert run.framed() == {"one"}
    with run.mezzanine("one") as path:
        assert path.read_bytes() == b"frames"


def test_a_damaged_entry_is_named(rendered):
    file = rendered.store.folder / "log" / f"{1:020}.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LedgerError, match=f"^{re.escape(str(file))}: is damaged"):
        Run.open(rendered.store.folder)


def test_a_missing_entry_between_others_is_named(rendered):
    file = rendered.store.folder / "log" / f"{1:020}.parquet"
    file.unlink()
    with pytest.raises(LedgerError, match=f"^{re.escape(str(file))}: is missing, though later entries are there"):
        Run.open(rendered.store.folder)


def test_an_entry_that_cannot_be_read_is_named(rendered):
    file = rendered.store.folder / "log" / f"{3:020}.parquet"
    file.unlink()
    file.mkdir()
    with pytest.raises(LedgerError, match=f"^{re.escape(str(file))}: cannot be read"):
        Run.open(rendered.store.folder)


def test_a_missing_or_damaged_plan_is_named(rendered, plan):
    file = rendered.store.folder / f"plan-{plan.sha256}.parquet"
    file.write_bytes(file.read_bytes()[1:])
    with pytest.raises(LedgerError, match=f"^{re.escape(str(file))}: is damaged"):
        rendered.plan()
    file.unlink()
    with pytest.raises(LedgerError, match=f"^{re.escape(str(file))}: is missing"):
        rendered.plan()
    rendered.begin(plan)
    assert rendered.plan() == plan


def test_a_damaged_plan_is_written_anew_when_it_is_begun_again(rendered, plan):
    file = rendered.store.folder / f"plan-{plan.sha256}.parquet"
    file.write_bytes(file.read_bytes()[1:])
    rendered.begin(plan)
    assert Run.open(rendered.store.folder).plan() == plan


def test_of_two_renders_in_one_folder_the_second_to_commit_stops_and_loses_nothing_of_the_first(run, commit):
    other = Run.open(run.store.folder)
    run.commit(commit("one"))
    with pytest.raises(LedgerError, match="another render has taken over this run"):
        other.commit(commit("two"))
    with pytest.raises(LedgerError, match="another render has taken over this run"):
        other.commit(commit("two"))
    assert other.segments == {}
    run.commit(commit("three"))
    assert Run.open(run.store.folder).segments == {"one": commit("one"), "three": commit("three")}
    assert len(log_files(run)) == 2


@pytest.mark.parametrize("name", ["thesis.txt", "log/notes.txt", ".hidden", "FORMAT", "stills"])
def test_a_folder_of_something_else_is_refused_and_untouched(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(OptionError, match="is neither a run nor an empty folder"):
        Run.create(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("look", ["names", "exists"])
@pytest.mark.parametrize("enter", [Run.create, Run.find])
def test_a_run_that_another_render_makes_between_two_looks_is_opened(tmp_path, monkeypatch, enter, look):
    real = getattr(FolderStore, look)

    def look_too_early(store, name):
        found = real(store, name)
        with monkeypatch.context() as patch:
            patch.setattr(FolderStore, look, real)
            Run.create(store.folder)
        return found

    monkeypatch.setattr(FolderStore, look, look_too_early)
    run = enter(tmp_path / "run")
    assert run is None or run.segments == {}


def test_a_file_in_the_place_of_the_folder_is_refused_and_untouched(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OptionError, match="cannot be written"):
        Run.create(tmp_path / "run")
    with pytest.raises(OptionError, match="cannot be written"):
        Run.create(tmp_path / "run" / "below")
    assert (tmp_path / "run").read_text() == "mine"


def test_a_folder_that_is_no_run_cannot_be_opened(tmp_path):
    with pytest.raises(OptionError, match=r"is not a run \(FORMAT.json is missing\)"):
        Run.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "found", [{"format": "ursa-ray run", "version": 2}, {"format": "other", "version": 1}, [], None]
)
def test_another_format_is_refused(run, found):
    (run.store.folder / "FORMAT.json").write_text(json.dumps(found))
    for enter in (Run.open, Run.create):
        with pytest.raises(LedgerError, match=re.escape(f"FORMAT.json: is {json.dumps(found)}, expected ")):
            enter(run.store.folder)


@pytest.mark.parametrize("found", [b"", b'{"format": "ursa-ray run", "version": ', b"\xff"])
def test_a_damaged_format_is_refused(run, found):
    (run.store.folder / "FORMAT.json").write_bytes(found)
    with pytest.raises(LedgerError, match=r"FORMAT\.json: is damaged"):
        Run.open(run.store.folder)


def test_what_a_crash_leaves_beside_the_log_is_ignored(rendered, commit):
    before = state(rendered)
    (rendered.store.folder / "log" / f".{4:020}.parquet.0123456789abcdef").write_bytes(b"half")
    (rendered.store.folder / f".plan-{'0' * 64}.parquet.0123456789abcdef").write_bytes(b"half")
    again = Run.open(rendered.store.folder)
    assert state(again) == before
    again.commit(commit("three"))
    assert Run.open(rendered.store.folder).segments.keys() == {"one", "two", "three"}


def test_a_run_in_which_nobody_may_work_says_what_to_do(tmp_path):
    run = Run.create(tmp_path / "run")
    (tmp_path / "run" / "LEASE").mkdir()
    with (
        pytest.raises(OptionError, match=r"run/LEASE: cannot be written \(Is a directory\)\. .*another --run"),
        run.locked(),
    ):
        pass


def test_a_run_that_cannot_be_read_says_what_to_do(tmp_path):
    (tmp_path / "FORMAT.json").mkdir()
    with pytest.raises(OptionError, match=r"cannot be read \(Is a directory\)\. Make it readable, or give another run"):
        Run.open(tmp_path)
