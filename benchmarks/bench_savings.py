"""What each saving of a step is worth: our side of `bench_vs_published.py` with one of them taken away at a time.

    python benchmarks/bench_savings.py --out benchmarks/results/DATE

One thread, process time, medians over runs in turns. Writes `savings.json` (all runs) and `savings.md`.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from bench_vs_published import machine
from checkout import commit
from our_side import OurSide
from published_cases import CASES, Case, write_case
from torch.nn import functional as F  # noqa: N812

from ursa_ray.model import draws, sampling, transformer
from ursa_ray.model.guidance import Denoiser
from ursa_ray.model.path import MetricPath


def _every_row(hidden: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def of_all(self: Denoiser, codes: torch.Tensor, t: float, scored: torch.Tensor | None = None) -> torch.Tensor:
        rows = hidden(self, codes, t)
        return rows if scored is None else rows[scored]

    return of_all


def _cumulate_all(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    return draws.invert(weights, uniform)[0]


# What each saving is taken away by: whose attribute is replaced, and by what.
WITHOUT: dict[str, tuple[Any, str, Any]] = {
    "tokens that stay are not scored": (MetricPath, "max_rate", lambda self, t: math.inf),
    "rates of near tokens alone": (
        MetricPath,
        "max_rates",
        lambda self, x_t, x_1, t: torch.full((len(x_t),), math.inf),
    ),
    "only scored rows in the last layer": (Denoiser, "hidden", _every_row(Denoiser.hidden)),
    "sums of groups in draws": (draws, "draw", _cumulate_all),
    "small blocks of logits": (sampling, "MAX_BLOCK_ON_CPU", 2**25),
    "oneDNN's linear layers": (transformer, "linear", F.linear),
    "oneDNN's attention": (
        transformer,
        "attend",
        lambda q, k, v, kernel: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
    ),
    "blocks of rows in feed forward": (transformer, "by_rows", lambda function, x: function(x)),
}
NOTHING = "nothing"


def without(name: str) -> AbstractContextManager[Any]:
    return nullcontext() if name == NOTHING else patch.object(*WITHOUT[name])


def measure(case: Case, rounds: int, names: list[str]) -> dict[str, list[float]]:
    """Milliseconds of a step, of every run without each saving."""
    with tempfile.TemporaryDirectory() as folder:
        write_case(case, Path(folder))
        side = OurSide(folder)
    side.steps(list(case.steps), 0)
    runs: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(rounds):
        for name, times in runs.items():
            with without(name):
                start_s = time.process_time()
                side.steps(list(case.steps), seed)
                times.append((time.process_time() - start_s) / len(case.steps) * 1e3)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append")
    parser.add_argument("--without", choices=list(WITHOUT), action="append", help="these alone")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cases = [case for case in CASES if given.case is None or case.name in given.case]
    names = [NOTHING, *(given.without or WITHOUT)]
    found = {case.name: measure(case, given.rounds, names) for case in cases}
    content = {"date": str(date.today()), "commit": commit(Path(__file__).parent), "machine": machine(), "ms": found}
    lines = [
        f"{content['date']}, {content['machine']}, {content['commit']}, one thread, {given.rounds} runs in turns; "
        "ms a step without each saving",
        "",
        f"| without | {' | '.join(found)} |",
        "|---" * (len(found) + 1) + "|",
    ]
    for name in names:
        cells = (f"{statistics.median(runs[name]):,.0f}" for runs in found.values())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "savings.json").write_text(json.dumps(content, indent=1) + "\n")
    (given.out / "savings.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
