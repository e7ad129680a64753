"""What failed in a render is in its run until it is made."""

import json

import pytest

from tests.ledger.damage import flip
from tests.storyboards import TWO_CHAINS
from tests.test_render import Unlucky, plan_of, render_into
from ursa_ray.errors import LedgerError, RenderError
from ursa_ray.failed import read_failures
from ursa_ray.ledger import Run
from ursa_ray.summary import run_summary, run_text


@pytest.fixture
def failed(tmp_path):
    """A run whose shot "left" could not be made."""
    plan = plan_of(tmp_path, TWO_CHAINS)
    with pytest.raises(RenderError):
        render_into(tmp_path / "run", plan, Unlucky, shot="left", error=RuntimeError("out of memory"))
    return plan, tmp_path / "run"


def test_the_report_names_what_failed_its_attempts_and_what_waits_for_it(failed):
    report = json.loads((failed[1] / "report.json").read_bytes())
    (left,) = report["failed"]
    assert (left["segment"], left["shot"]) == ("left[0]", "left")
    assert [(attempt["kind"], attempt["error"]) for attempt in left["attempts"]] == [
        ("RuntimeError", "out of memory")
    ] * 3
    assert len({attempt["replica"] for attempt in left["attempts"]}) == 3
    assert report["waiting"] == ["left[1]", "after[0]"]
    assert (report["num_committed"], report["num_segments"]) == (3, 6)


def test_status_shows_the_failure_and_each_attempt(failed):
    text = run_text(run_summary(Run.open(failed[1])))
    assert "left[0] failed: failed 3 times, the last time with: out of memory" in text
    assert text.count("RuntimeError: out of memory (replica process") == 3


def test_a_render_that_succeeds_removes_the_report_and_makes_only_the_rest(failed):
    plan, folder = failed
    made = render_into(folder, plan)
    assert (made.generated_segments, made.reused_segments) == (3, 3)
    assert not (folder / "report.json").exists()
    assert run_summary(Run.open(folder))["failed"] == []


def test_a_report_of_another_film_is_not_shown(failed, tmp_path):
    run = Run.open(failed[1])
    run.begin(plan_of(tmp_path))
    assert read_failures(run) is None


def test_a_flipped_bit_is_found_or_is_in_the_layout(failed):
    path = failed[1] / "report.json"
    content, run = path.read_bytes(), Run.open(failed[1])
    expected, problems = read_failures(run), set()
    for bit in range(0, 8 * len(content), 37):
        path.write_bytes(flip(content, bit))
        try:
            assert read_failures(run) == expected
        except LedgerError as error:
            problems.add((bit, str(error)))
    assert len(problems) > 100
    assert all("report.json: is damaged. Remove it, or render again" in problem for _, problem in problems)


def test_where_the_report_cannot_be_written_what_failed_is_told_all_the_same(tmp_path):
    Run.create(tmp_path / "run")
    (tmp_path / "run" / "report.json").mkdir()
    with pytest.raises(RenderError) as failing:
        render_into(tmp_path / "run", plan_of(tmp_path, TWO_CHAINS), Unlucky, shot="left", error=RuntimeError("broken"))
    said = str(failing.value)
    assert "left failed; 3 of 6 segments are committed" in said
    assert "left[0]: failed 3 times, the last time with: broken" in said
    assert "run/report.json: cannot be written (Is a directory)" in said
    assert said.endswith("Mend the cause and render again: it goes on from there.")
