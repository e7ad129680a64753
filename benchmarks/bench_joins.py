"""How segments are best joined: variants of the hand-over on the same chains, measured on films of the drawn world.

    python benchmarks/bench_joins.py --model tiny --chains 24 --extensions 3 --processes 4 --out benchmarks/results/DATE

A chain is a segment for a held-out prompt and its extensions, each conditioned on the last frames of the one before,
with the same seeds in every variant. Hand-over: how the condition is noised; whether its tokens are free (as
published), put back for decoding (restored) or in every step (clamped); whether the new segment's frames are levelled
to those that they repeat. Then the cut: at the end of the overlap, at the frame of it where both segments agree best,
or as a cross-fade over it.

The seam ratio is the mean difference of frames at the cuts over that of all others; for a cross-fade, which has no cut,
the mean of all its steps. The largest step is that of the overlap, its end included, over the mean outside overlaps:
it compares all cuts on the same frames. The bar for both is the tokenizer alone, on drawn films in the same windows.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from join_variants import (
    DEFAULT,
    VARIANTS,
    Cut,
    HandOver,
    ends_of_overlaps,
    extend,
    joined,
    largest_step,
    make,
    overlap_of,
)

from ursa_ray.evaluation.detector import follow
from ursa_ray.evaluation.drift import background_errors
from ursa_ray.evaluation.figures import Figure, Mean, Rate, Ratio
from ursa_ray.evaluation.films import Take, chain_frames, plan_take, sample_takes
from ursa_ray.evaluation.joins import kept, tokenizer_windows
from ursa_ray.evaluation.seams import flicker, seam_ratio
from ursa_ray.evaluation.workers import Workers
from ursa_ray.plan import Plan

if TYPE_CHECKING:
    from ursa_ray.model import Ursa

ALONE: dict[Cut, str] = {
    "end": "tokenizer alone",
    "best": "tokenizer alone, best cut",
    "fade": "tokenizer alone, cross-fade",
}


def measure_chain(ursa: "Ursa", take: Take, num_extensions: int) -> list[dict[str, Any]]:
    """A row for every variant, and one for the tokenizer alone under every cut."""
    plan = plan_take(ursa.checkpoint, take, chain_frames(ursa.checkpoint, num_extensions), join="restored")
    windows = tokenizer_windows(ursa, take, plan)
    rows = [{"variant": name, **measure_film(take, plan, windows, how)} for how, name in ALONE.items()]
    first = make(ursa, plan.segments[0], None, HandOver())
    chains: dict[HandOver, list[np.ndarray]] = {}
    for variant in VARIANTS:
        if variant.hand_over not in chains:
            chains[variant.hand_over] = extend(ursa, plan, first, variant.hand_over)
        rows.append({"variant": variant.name, **measure_film(take, plan, chains[variant.hand_over], variant.cut)})
    return [{"prompt": take.prompt, "seed": take.seed, **row} for row in rows]


def measure_film(take: Take, plan: Plan, segments: Sequence[np.ndarray], how: Cut) -> dict[str, Any]:
    film, steps = joined(plan, segments, how)
    last = segments[-1]
    errors = background_errors(last, take.scene.background, follow(last, take.scene.background))
    return {
        "seam": seam_ratio(film, steps),
        "largest": largest_step(film, ends_of_overlaps(plan), overlap_of(plan)),
        **kept(segments),
        "last_background_error": float(errors.mean()),
        "flicker": flicker(film),
    }


def moving_chains(rows: Sequence[dict[str, Any]]) -> list[int]:
    """Seeds of the chains that have a ratio in every variant: where something moves."""
    still = {row["seed"] for row in rows if not np.isfinite([row["seam"], row["largest"]]).all()}
    return sorted({row["seed"] for row in rows} - still)


def figures_of(rows: Sequence[dict[str, Any]], variant: str) -> list[Figure | None]:
    """Of one variant, in the order of COLUMNS; of the tokenizer alone only what it has."""
    seeds = moving_chains(rows)

    def column(name: str, of: str = variant) -> tuple[float, ...]:
        by_seed = {row["seed"]: row[name] for row in rows if row["variant"] == of}
        return tuple(by_seed[seed] for seed in seeds)

    def rate(name: str) -> Rate:
        return Rate(name, int(sum(column(name))), len(seeds))

    seam, largest = Mean("seam", column("seam")), Mean("largest", column("largest"))
    error, flickers = Mean("last_background_error", column("last_background_error")), Mean("flicker", column("flicker"))
    if variant in ALONE.values():
        return [seam, None, None, largest, None, None, None, error, flickers]
    over_alone = Ratio("over_alone", column("seam"), column("seam", ALONE["end"]))
    over_default = None if variant == DEFAULT else Ratio("over_default", column("seam"), column("seam", DEFAULT))
    present = Mean("last_present", column("last_present"))
    rates = rate("direction_kept"), rate("last_colour_kept")
    return [seam, over_alone, over_default, largest, *rates, present, error, flickers]


COLUMNS = (
    *("seam ratio", "over the tokenizer alone", "over the default", "largest step", "direction kept (first extension)"),
    *("colour kept (last)", "object seen (last)", "background error (last)", "flicker"),
)


def text_of(figure: Figure | None) -> str:
    if figure is None:
        return ""
    low, high = figure.interval
    return f"{figure.value:.2f} ({low:.2f} to {high:.2f})"


def write(folder: Path, rows: Sequence[dict[str, Any]], title: str) -> str:
    """Write joins.parquet (a row for each chain and variant), joins.json and joins.md; returns the last."""
    names = [*ALONE.values(), *(variant.name for variant in VARIANTS)]
    figures = {name: figures_of(rows, name) for name in names}
    lines = [title, "", f"| variant | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(text_of, figures[name]))} |" for name in names]
    content = {
        name: {
            column: {"value": figure.value, "low": figure.interval[0], "high": figure.interval[1]}
            for column, figure in zip(COLUMNS, figures[name], strict=True)
            if figure is not None
        }
        for name in names
    }
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / "joins.parquet")
    (folder / "joins.json").write_text(json.dumps(content, indent=1) + "\n")
    text = "\n".join(lines) + "\n"
    (folder / "joins.md").write_text(text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--chains", type=int, default=24)
    parser.add_argument("--extensions", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows, started = [], time.monotonic()
    measure = partial(measure_chain, num_extensions=given.extensions)
    workers = Workers(given.model, "cpu", given.processes)
    for done, of_chain in enumerate(workers.map(measure, sample_takes(given.chains, given.seed)), 1):
        rows += of_chain
        sys.stderr.write(f"{done} of {given.chains} chains, {time.monotonic() - started:.0f} s\n")
    num_still = given.chains - len(moving_chains(rows))
    title = (
        f"{date.today()}: {given.model}, {given.chains} chains of 1 + {given.extensions} segments"
        + (f" without the {num_still} in which nothing moves" if num_still else "")
        + f", the same seeds (from {given.seed} on) for all; intervals of 95 %, ratios of seams paired by chain"
    )
    sys.stdout.write(write(given.out, rows, title))


if __name__ == "__main__":
    main()
