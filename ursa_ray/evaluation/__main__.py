"""Measure how well a model of the drawn world follows held-out prompts.

    python -m ursa_ray.evaluation --model FOLDER --prompts 200 --out DIR

Writes one row a clip and the rates as Parquet, the rates as text and as a plot, and a contact sheet of the first 20.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ursa_ray.errors import OptionError, UrsaRayError
from ursa_ray.evaluation.adherence import adherence_rates, generate_clips, judge, table_of
from ursa_ray.evaluation.report import text_table, write_report
from ursa_ray.media.stills import write_contact_sheet

NUM_ON_SHEET = 20


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ursa_ray.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="a folder in the published layout, a hub id, or tiny")
    parser.add_argument("--prompts", type=int, default=200, help="how many clips for the held-out prompts (200)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--seed", type=int, default=0, help="decides prompts and samples (0)")
    parser.add_argument("--device", help="cuda where there is one, else cpu")
    parser.add_argument("--steps", type=int, help="steps of sampling; the model's default")
    parser.add_argument("--guidance", type=float, help="guidance scale; the default of generate")
    return parser.parse_args(arguments)


def evaluate(given: argparse.Namespace) -> str:
    """Generate, judge and write the report; the table of rates as text."""
    if given.prompts < 1:
        raise OptionError(f"--prompts is {given.prompts}, expected 1 or more.")
    from ursa_ray.model import Ursa

    ursa = Ursa.from_pretrained(given.model, given.device)
    options = {"num_inference_steps": given.steps, "guidance_scale": given.guidance}
    options = {name: value for name, value in options.items() if value is not None}
    rows, sheet, started = [], [], time.monotonic()
    for scene, prompt, seed, frames in generate_clips(ursa, given.prompts, given.seed, **options):
        rows.append(judge(scene, prompt, seed, frames))
        if len(rows) <= NUM_ON_SHEET:
            sheet.append((prompt.partition(", ")[2], frames[len(frames) // 2]))
        if len(rows) % 10 == 0:
            sys.stderr.write(f"{len(rows)} of {given.prompts} clips, {time.monotonic() - started:.0f} s\n")
    table = table_of(rows)
    rates = adherence_rates(table)
    write_report(
        given.out, table, rates, f"{given.model}: {given.prompts} clips for held-out prompts, seed {given.seed}"
    )
    write_contact_sheet(given.out / "contact-sheet.png", sheet)
    return text_table(rates)


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        sys.stdout.write(evaluate(parse(arguments)))
    except UrsaRayError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
