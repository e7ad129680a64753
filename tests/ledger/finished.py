"""A finished film of two segments with every kind of artefact, made in a second: its codes and frames are noise."""

import hashlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.plan.boards import plan_of, tiny
from ursa_ray.join import join
from ursa_ray.ledger import Commit, Run
from ursa_ray.media import write_mezzanine
from ursa_ray.plan import Plan

PICTURE = b"what a picture holds does not matter here"
SIZE = (48, 64, 3)


def finished_plan() -> Plan:
    """Two shots of one segment each, one from a picture; 48 frames a second make a short film."""
    asset = hashlib.sha256(PICTURE).hexdigest()
    checkpoint = tiny(width=64, height=48, frames=5, overlap=1, trained_sizes=((64, 48),), fps=Fraction(48))
    shots = {"frames": 3, "image": "still.png"}, {"frames": 2}
    return plan_of(*shots, checkpoint=checkpoint, asset=asset, title="Finished")


def finish(folder: Path) -> Run:
    plan = finished_plan()
    assert plan.num_segments == 2
    run = Run.create(folder)
    with run.locked():
        run.begin(plan)
        with run.store.writing("assets") as assets:
            (assets / plan.segments[0].condition.sha256).write_bytes(PICTURE)
        for segment in plan.segments:
            run.commit(segment_commit(run, segment, plan.fps))
        codes = run.segments[plan.segments[1].key].array()
        run.steps.save(plan.segments[1].key, 7, codes)
        join(plan, run)
    return run


def segment_commit(run, segment, fps) -> Commit:
    draw = np.random.default_rng(segment.seed)
    # Large cells: they are small once encoded, and no two segments look alike.
    cells = draw.integers(0, 256, (segment.num_frames, 3, 4, 3), np.uint8)
    frames = cells.repeat(SIZE[0] // 3, axis=1).repeat(SIZE[1] // 4, axis=2)
    with run.store.writing("media") as folder:
        frames_sha256 = write_mezzanine(folder, frames, fps)
    commit = Commit.of_codes(segment.key, draw.integers(0, 64_000, (2, 6, 8)).astype(np.uint16))
    return replace(commit, media_sha256=frames_sha256, device="cpu", seconds=1.5, version="0.1.0")
