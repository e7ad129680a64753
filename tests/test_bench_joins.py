"""The variants that `benchmarks/bench_joins.py` compares, and the bench itself once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from benchmarks.join_variants import HandOver, Level, clamp, joined, largest_step, make
from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.evaluation.films import Take, plan_take
from ursa_ray.model import Ursa
from ursa_ray.training import world
from ursa_ray.training.captions import canonical_caption
from ursa_ray.training.world import Scene

SCENE = Scene("green", "circle", "down", "meadow", speed=1.5, start=(32.0, 12.0))
TAKE = Take(SCENE, canonical_caption(SCENE), seed=5)
BENCH = Path(__file__).parent.parent / "benchmarks" / "bench_joins.py"


@pytest.fixture
def plan():
    """17 and 12 frames; the second segment repeats the frames 12 to 17."""
    return plan_take(open_checkpoint("tiny"), TAKE, 29, steps=3, join="restored")


def grey(*levels: int) -> np.ndarray:
    return np.repeat(np.array(levels, np.uint8), 48 * 64 * 3).reshape(-1, 48, 64, 3)


def test_a_kept_level_takes_an_offset_away_and_a_fading_one_gives_it_back():
    drawn, shade = world.draw(SCENE, 17), np.array([6, -4, 2], np.int16)
    shifted = np.clip(drawn + shade, 0, 255).astype(np.uint8)
    kept, fading = (Level(1e9, fades).apply(shifted, drawn[:5]).astype(int) for fades in (False, True))
    assert np.abs(kept - drawn).mean() < 0.2
    assert np.abs(fading[:5] - drawn[:5]).mean() < 0.2
    assert np.array_equal(fading[-1], shifted[-1])
    assert np.abs(fading[10] - drawn[10] - shade / 2).mean() < 0.6  # half-way from frame 4 to frame 16


def test_a_level_follows_what_differs_in_one_corner():
    drawn = world.draw(SCENE, 17)
    shifted = drawn.copy()
    shifted[:, :16, :16] -= 20
    assert (
        np.abs(Level(2.0, fades=False).apply(shifted, drawn[:5])[8, :12, :12] - drawn[8, :12, :12].astype(int)).max()
        < 2
    )
    assert np.array_equal(Level(2.0, fades=False).apply(shifted, drawn[:5])[:, 30:], drawn[:, 30:])


def test_cuts_lie_where_they_say_and_films_keep_their_length(plan):
    first, second = grey(*range(0, 34, 2)), grey(24, 26, 28, 39, 40, *range(34, 58, 2))
    film, steps = joined(plan, [first, second], "end")
    assert steps == [17] and film[:, 0, 0, 0].tolist() == list(range(0, 58, 2))
    film, steps = joined(plan, [first, second], "best")
    assert steps == [13] and film[12:18, 0, 0, 0].tolist() == [24, 26, 28, 39, 40, 34]
    film, steps = joined(plan, [first, second], "fade")
    assert steps == [12, 13, 14, 15, 16, 17]
    assert film[12:18, 0, 0, 0].tolist() == [24, 26, 28, 36, 39, 34]  # 30 to 39 by 4/6, 32 to 40 by 5/6


def test_the_largest_step_of_an_overlap_is_set_against_frames_outside():
    film = grey(*range(0, 20, 2), 21, 23, 25, 27, 29)  # 3 from 18 to 21, else 2
    assert largest_step(film, [11], overlap=3) == pytest.approx(3 / 2)


def test_a_clamped_condition_is_clean_before_every_step(plan, monkeypatch):
    ursa, segment = Ursa.from_pretrained("tiny", "cpu"), plan.segments[1]
    given = world.draw(SCENE, 5)
    clean, seen = ursa.encode(given), []
    trunk = ursa.transformer.trunk
    monkeypatch.setattr(
        ursa.transformer, "trunk", lambda ids, codes, *more: seen.append(codes) or trunk(ids, codes, *more)
    )
    codes = clamp(ursa, segment, given)
    assert torch.equal(codes[:2], clean)
    assert seen and all(torch.equal(codes.flatten()[:96], clean.flatten()) for codes in seen)


def test_hand_overs_differ_in_what_they_say_alone(plan):
    ursa, segment, given = Ursa.from_pretrained("tiny", "cpu"), plan.segments[1], world.draw(SCENE, 5)
    free, restored = (make(ursa, segment, given, HandOver(0.1, hold))[:5] for hold in ("free", "restored"))
    clean = ursa.decode(ursa.encode(given)).astype(int)
    # The frames that follow are decoded with them and change a pixel here and there.
    assert np.abs(restored - clean).mean() < 0.3 < np.abs(free - clean).mean()


@pytest.mark.slow
def test_the_bench_measures_every_variant_on_the_same_chains(tmp_path):
    command = [sys.executable, BENCH, "--chains", "1", "--extensions", "1", "--out", tmp_path]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    rows = pq.read_table(tmp_path / "joins.parquet").to_pylist()
    assert len({row["seed"] for row in rows}) == 1
    assert len(rows) == len({row["variant"] for row in rows}) == len(json.loads((tmp_path / "joins.json").read_text()))
    assert all(f"| {row['variant']} |" in (tmp_path / "joins.md").read_text() for row in rows)
