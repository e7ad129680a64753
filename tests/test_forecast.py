"""Wall time, GPU hours, critical path and deadlines, beside what one computes by hand."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.boards import plan_of
from tests.plan.test_chain import forest_plan, forests
from tests.storyboards import write
from ursa_ray.forecast import Gpu, critical_path, fewest, forecast, num_chains
from ursa_ray.ledger import Commit, Run
from ursa_ray.schedule import missing_jobs
from ursa_ray.storyboard.durations import parse_time_limit

# Segments: a has 3, b goes on after it with 2, c has 4 and d 1. So 10 in all, 5 of them in a row.
FILM = """\
version: 1
model: BAAI/URSA-1.7B-FSQ320
shots:
  - {id: a, prompt: fog, frames: 121}
  - {id: b, prompt: fog, frames: 72, continue: a}
  - {id: c, prompt: fog, frames: 157}
  - {id: d, prompt: fog, frames: 49}
"""
# 49 steps of 716 TFLOP (725 as published, less what needs no work) at 640 TFLOP/s.
SEGMENT_S = 54.8
START_S = 60


@pytest.fixture
def plan_json(run_command, tmp_path):
    board = write(tmp_path, FILM)

    def plan(*options):
        code, out, err = run_command("plan", board, *options, "--json")
        assert code == 0, err
        return out, json.loads(out.splitlines()[-1])

    return plan


def seconds(num_segments):
    return pytest.approx(START_S + num_segments * SEGMENT_S, rel=1e-3)


def test_on_two_gpus_the_film_takes_as_long_as_its_longest_chain(plan_json):
    out, found = plan_json("--gpus", "2", "--price", "3.6")
    on = found["prediction"]["on_gpus"]
    assert (on["num_gpus"], on["wall_s"], on["gpu_s"]) == (2, seconds(5), pytest.approx(2 * on["wall_s"]))
    assert on["cost"] == pytest.approx(on["gpu_s"] / 1000)
    assert on["busy_share"] == pytest.approx(5 * SEGMENT_S / (5 * SEGMENT_S + 60), rel=1e-3)
    assert "critical path: a (3), b (2): 5 segments one after the other, 4.6 min" in out
    assert "on 2 h200: 5.6 min, 0.19 GPU hours, busy 82% of that, cost 0.67" in out


def test_gpus_for_which_there_is_no_chain_are_not_paid_for(plan_json):
    on = plan_json("--gpus", "8")[1]["prediction"]["on_gpus"]
    assert on["wall_s"] == seconds(5)
    assert on["gpu_s"] == pytest.approx(3 * START_S + 10 * SEGMENT_S, rel=1e-3)


@pytest.mark.parametrize(("num_segments", "num_gpus"), [(5, 2), (9.9, 2), (10, 1), (100, 1)])
def test_a_deadline_is_met_by_the_fewest_gpus(plan_json, num_segments, num_gpus):
    out, found = plan_json("--deadline", f"{START_S + num_segments * SEGMENT_S + 1:.0f}s")
    assert found["prediction"]["within_deadline"]["num_gpus"] == num_gpus
    assert f"{num_gpus} h200" in out


def test_a_deadline_shorter_than_the_longest_chain_is_met_by_no_number_of_gpus(plan_json):
    out, found = plan_json("--deadline", "5m")
    assert found["prediction"]["within_deadline"] is None
    assert "no number of h200 will do: 2 take 5.6 min, and more as long. " in out
    assert "Cut the critical path: leave out the continue of b, or make a several shots" in out
    assert found["prediction"]["quickest"]["wall_s"] == seconds(5)


def test_one_segment_cannot_be_cut(run_command, tmp_path):
    film = write(tmp_path, FILM[: FILM.index("  - {id: a")] + "  - {id: d, prompt: fog, frames: 49}\n")
    _, out, _ = run_command("plan", film, "--deadline", "1m")
    assert "within 60 s: no number of h200 will do: 1 take 1.9 min, and more as long\n" in out


def test_another_gpu_takes_longer_in_proportion(plan_json):
    on = plan_json("--gpus", "1", "--gpu", "a100")[1]["prediction"]["on_gpus"]
    assert on["wall_s"] == pytest.approx(60 + 10 * SEGMENT_S * 989 / 312, rel=1e-3)


def test_without_gpus_or_deadline_nothing_is_predicted(plan_json):
    out, found = plan_json()
    assert "prediction" not in found
    assert "critical path" not in out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--gpu", "h200"], "give also --gpus, how many of it, or a --deadline"),
        (["--price", "2"], "give also --gpus, how many of it, or a --deadline"),
        (["--gpus", "2", "--gpu", "gtx"], "--gpu gtx: is not known, expected one of a100, h100, h200, l40s."),
        (["--deadline", "soon"], "--deadline soon: expected a time such as 45min, 30m or 2h 30min."),
        (["--gpus", "0"], "--gpus"),
    ],
)
def test_what_cannot_be_predicted_is_refused(run_command, tmp_path, options, complaint):
    code, _, err = run_command("plan", write(tmp_path, FILM), *options)
    assert code == 2
    assert complaint in err


def commit(run, *segments):
    codes = np.zeros((13, 40, 64), np.uint16)
    for segment in segments:
        run.commit(Commit.of_codes(segment.key, codes))


def test_of_a_run_only_what_is_missing_counts(run_command, tmp_path):
    plan = plan_of(
        {"id": "a", "frames": 121},
        {"id": "b", "frames": 72, "continue": "a"},
        {"id": "c", "frames": 157},
        {"id": "d", "frames": 49},
    )
    run = Run.create(tmp_path / "run")
    with run.locked():
        run.begin(plan)
        commit(run, *plan.shots[0].segments, *plan.shots[2].segments[:2])
    code, out, _ = run_command(
        "plan", write(tmp_path, FILM), "--run", tmp_path / "run", "--gpus", "1", "--deadline", "3m", "--json"
    )
    found = json.loads(out.splitlines()[-1])
    assert code == 0
    assert found["difference"]["num_new"] == 5  # of b 2, of c 2, of d 1
    assert found["prediction"]["on_gpus"]["wall_s"] == seconds(5)
    assert found["prediction"]["within_deadline"]["num_gpus"] == 3
    assert found["prediction"]["critical_path"] == [{"shot": "b", "num_segments": 2}]


def test_when_all_is_committed_nothing_is_left(run_command, tmp_path):
    plan = plan_of({"id": "d", "frames": 49})
    run = Run.create(tmp_path / "run")
    with run.locked():
        run.begin(plan)
        commit(run, *plan.segments)
    film = write(tmp_path, FILM[: FILM.index("  - {id: a")] + "  - {id: d, prompt: fog, frames: 49}\n")
    code, out, _ = run_command("plan", film, "--run", tmp_path / "run", "--gpus", "1", "--deadline", "1s")
    assert code == 0
    assert out.splitlines()[-1] == "nothing is left to make"


@settings(deadline=None, max_examples=100)
@given(forests(), st.integers(1, 60))
def test_no_smaller_number_of_gpus_meets_a_deadline(forest, deadline):
    plan = forest_plan([(parent, flops * 640e12) for parent, flops in forest])
    gpu = Gpu("h200", startup_s=2.0)
    jobs = missing_jobs(plan)
    took = [forecast(jobs, gpu, num) for num in range(1, 13)]
    meeting = [each.num_gpus for each in took if each.wall_s <= deadline + 1e-6]
    found = fewest(jobs, gpu, deadline, forecast(jobs, gpu, num_chains(jobs)))
    assert (None if found is None else found.num_gpus) == (meeting[0] if meeting else None)
    assert all(each.wall_s == took[num_chains(jobs) - 1].wall_s for each in took[num_chains(jobs) :])
    assert all(each.wall_s >= 2 + critical_path(plan, jobs, gpu).seconds - 1e-6 for each in took)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30m", 1800), ("30min", 1800), ("2h 30m", 9000), ("1.5h", 5400), ("90s", 90), ("48h", 172_800), ("5ms", 0.005)],
)
def test_a_deadline_may_be_of_any_length_and_say_m_for_minutes(text, expected):
    assert parse_time_limit(text) == Fraction(str(expected))


@pytest.mark.parametrize("text", ["", "30", "m", "0s", "-5m", "30 miles", "5m 2h"])
def test_other_deadlines_are_refused(text):
    with pytest.raises(ValueError, match="expected a time such as"):
        parse_time_limit(text)
