"""Measure a model of the drawn world.

    python -m ursa_ray.evaluation --model tiny --out DIR --processes 4

adherence: are held-out prompts followed; joins: do they show, beside those of the tokenizer alone, and does a segment
go on as the one before; drift: films of a minute, second by second. Films are made as the pipeline makes them. Writes
figures.txt and figures.parquet, for every part its rows (PART.parquet) and a plot (PART.svg), a contact sheet of the
first clips, and seconds.txt and seconds.svg for the films. The same seed gives the same figures whatever the number of
processes.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from ursa_ray.errors import OptionError, UrsaRayError
from ursa_ray.evaluation.adherence import adherence_rates, judge, make_clip, table_of
from ursa_ray.evaluation.drift import drift_figures, measure_film, sample_films
from ursa_ray.evaluation.figures import Figure
from ursa_ray.evaluation.films import Take, sample_takes
from ursa_ray.evaluation.joins import joins_figures, measure_chain
from ursa_ray.evaluation.report import write_figures, write_part, write_seconds
from ursa_ray.evaluation.workers import Workers
from ursa_ray.media.stills import write_contact_sheet

if TYPE_CHECKING:
    from ursa_ray.model import Ursa

NUM_ON_SHEET = 20

T = TypeVar("T")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ursa_ray.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="a folder in the published layout, a hub id, or tiny")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure (all)")
    parser.add_argument("--prompts", type=int, default=200, help="adherence: clips for held-out prompts (200)")
    parser.add_argument("--chains", type=int, default=20, help="joins: chains of segments (20)")
    parser.add_argument("--extensions", type=int, default=3, help="joins: segments after the first of a chain (3)")
    parser.add_argument("--films", type=int, default=8, help="drift: films, over every background in turn (8)")
    parser.add_argument("--seconds", type=int, default=60, help="drift: length of a film (60)")
    parser.add_argument("--seed", type=int, default=0, help="decides prompts and samples (0)")
    parser.add_argument("--processes", type=int, default=1, help="processes of one thread each (1)")
    parser.add_argument("--device", help="cuda where there is one, else cpu")
    parser.add_argument("--steps", type=int, help="steps of sampling; the model's default")
    parser.add_argument("--guidance", type=float, help="guidance scale; the model's default")
    return parser.parse_args(arguments)


def evaluate(given: argparse.Namespace) -> str:
    """Measure what is asked for and write the report; all figures as text."""
    for name in ("prompts", "chains", "extensions", "films", "seconds", "processes"):
        if getattr(given, name) < 1:
            raise OptionError(f"--{name} is {getattr(given, name)}, expected 1 or more.")
    workers = Workers(given.model, given.device, given.processes)
    return write_figures(given.out, {part: PARTS[part](given, workers) for part in PARTS if part in given.parts})


def measure_adherence(given: argparse.Namespace, workers: Workers) -> list[Figure]:
    options = {"num_inference_steps": given.steps, "guidance_scale": given.guidance}
    takes = sample_takes(given.prompts, given.seed)
    looked = list(_told(workers.map(partial(_look, options=options), takes), len(takes), "clips"))
    table = table_of(row for row, _ in looked)
    figures: list[Figure] = [*adherence_rates(table)]
    title = f"{given.model}, {given.prompts} clips for held-out prompts, seed {given.seed}"
    write_part(given.out, "adherence", table, figures, title)
    sheet = [(take.prompt.partition(", ")[2], frame) for take, (_, frame) in zip(takes, looked, strict=True)]
    write_contact_sheet(given.out / "contact-sheet.png", sheet[:NUM_ON_SHEET])
    return figures


def measure_joins(given: argparse.Namespace, workers: Workers) -> list[Figure]:
    measure = partial(measure_chain, num_extensions=given.extensions, steps=given.steps, guidance=given.guidance)
    takes = sample_takes(given.chains, given.seed)
    table = pa.Table.from_pylist(list(_told(workers.map(measure, takes), len(takes), "chains")))
    figures = joins_figures(table)
    title = f"{given.model}, {given.chains} chains of 1 + {given.extensions} segments, seed {given.seed}"
    write_part(given.out, "joins", table, figures, title)
    return figures


def measure_drift(given: argparse.Namespace, workers: Workers) -> list[Figure]:
    measure = partial(measure_film, seconds=given.seconds, steps=given.steps, guidance=given.guidance)
    takes = sample_films(given.films, given.seed)
    films = _told(workers.map(measure, takes), len(takes), "films")
    table = pa.Table.from_pylist([row for rows in films for row in rows])
    figures = drift_figures(table)
    title = f"{given.model}, {given.films} films of {given.seconds} s, seed {given.seed}"
    write_part(given.out, "drift", table, figures, title)
    write_seconds(given.out, table, title)
    return figures


PARTS: dict[str, Callable[[argparse.Namespace, Workers], list[Figure]]] = {
    "adherence": measure_adherence,
    "joins": measure_joins,
    "drift": measure_drift,
}


def _look(ursa: "Ursa", take: Take, options: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray]:
    """What a clip shows, and its middle frame."""
    frames = make_clip(ursa, take, **options)
    return judge(take, frames), frames[len(frames) // 2]


def _told(results: Iterable[T], num: int, what: str) -> Iterator[T]:
    """Say on standard error how far it is, about ten times."""
    started = time.monotonic()
    for done, result in enumerate(results, 1):
        if done % max(1, num // 10) == 0:
            sys.stderr.write(f"{done} of {num} {what}, {time.monotonic() - started:.0f} s\n")
        yield result


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        sys.stdout.write(evaluate(parse(arguments)))
    except UrsaRayError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0
