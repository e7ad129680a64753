"""Our steps beside those of the published implementation: same weights, same sizes, same machine, one thread.

    python benchmarks/bench_vs_published.py --published FOLDER --python PYTHON --out benchmarks/results/DATE

FOLDER is a checkout of github.com/baaivision/URSA, PYTHON an interpreter with what it needs: torch, scipy, transformers
4.57.1 (it does not run with 5) and diffusers 0.35.2. Without them our side is timed alone.

Each side is a process (`our_side.py`, `published_side.py`). Both are given one checkpoint of random weights; their
unguided logits for the same codes must agree within 1e-5. Then they take turns: both run once unmeasured, then a run of
ours, a run of theirs, and so on. Seconds are process time and medians over the runs; the peak is resident memory above
what the process held with its weights loaded. `published.json` has all runs, `published.md` the table.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkout import commit
from published_cases import CASES, Case, write_case

from ursa_ray.errors import OptionError

HERE = Path(__file__).parent
LOGITS_WITHIN = 1e-5


class Process:
    """One side of one case, running."""

    def __init__(self, python: str, script: str, pythonpath: Path, folder: Path):
        environment = os.environ | {"PYTHONPATH": str(pythonpath), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [python, str(HERE / script), str(folder)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str, **more: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"what": what, **more}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise OptionError(f"{self._process.args}: ended with {self._process.wait()} instead of an answer.")
        found = json.loads(answer)
        if "error" in found:
            raise OptionError(f"{self._process.args}: {found['error']}")
        return found["answer"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(case: Case, sides: dict[str, Process], rounds: int, folder: Path) -> dict[str, Any]:
    """All runs of a case, in turns; `logits_apart` is the largest difference between the sides' logits.

    Raises:
        OptionError: the sides' logits differ, so that they do not do the same work.
    """
    versions = {name: side.ask("versions") for name, side in sides.items()}
    found: dict[str, Any] = {"versions": versions, "logits_apart": _logits_apart(sides, folder)}
    for side in sides.values():
        side.ask("steps", steps=case.steps, seed=0)
    found["runs"] = {name: [] for name in sides}
    for seed in range(rounds):
        for name, side in sides.items():
            found["runs"][name].append(side.ask("steps", steps=case.steps, seed=seed))
    return found


def _logits_apart(sides: dict[str, Process], folder: Path) -> float | None:
    files = {name: folder / f"{name}.npy" for name in sides}
    for name, side in sides.items():
        side.ask("logits", file=str(files[name]))
    if len(sides) == 1:
        return None
    ours, published = (np.load(file, mmap_mode="r") for file in files.values())
    # A branch at a time: both of all codes are gigabytes.
    apart = max(float(np.abs(a - b).max()) for a, b in zip(ours, published, strict=True))
    if not apart <= LOGITS_WITHIN:
        raise OptionError(f"the logits are {apart:.1e} apart, expected at most {LOGITS_WITHIN:.0e}.")
    return apart


def row(case: Case, found: dict[str, Any]) -> str:
    seconds, peaks = (
        {name: statistics.median(run[what] for run in runs) for name, runs in found["runs"].items()}
        for what in ("seconds", "peak_bytes")
    )
    cells = [f"{case.name}: {case.describe()}"]
    for values, unit in ((seconds, 1e-3 * len(case.steps)), (peaks, 1e6)):
        cells += [f"{values[name] / unit:,.0f}" if name in values else "" for name in ("ours", "published")]
        cells.append(f"{values['published'] / values['ours']:.2f}" if "published" in values else "")
    apart = found["logits_apart"]
    return " | ".join(["", *cells, "" if apart is None else f"{apart:.1e}", ""]).strip()


def machine() -> dict[str, Any]:
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": cpus[0].partition(":")[2].strip() if cpus else platform.machine(),
        "cores": os.cpu_count(),
        "isa": torch.backends.cpu.get_cpu_capability(),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", type=Path, help="checkout of the published repository")
    parser.add_argument("--published-commit", help="its commit, if it is not a git checkout")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the published side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    cases = [case for case in CASES if given.case is None or case.name in given.case]
    commits = {"ours": commit(HERE)}
    if given.published is not None:
        commits["published"] = given.published_commit or commit(given.published)
    content = {"date": str(date.today()), "commits": commits, "machine": machine(), "threads": 1, "cases": {}}
    lines = [
        f"{content['date']}, {content['machine']}, one thread, {given.rounds} runs of each side in turns, {commits}",
        "",
        "| case | ours, ms a step | published | times | ours, MB above rest | published | times | logits apart |",
        "|---" * 8 + "|",
    ]
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            write_case(case, Path(folder))
            sides = {"ours": Process(sys.executable, "our_side.py", HERE.parent, Path(folder))}
            if given.published is not None:
                sides["published"] = Process(given.python, "published_side.py", given.published, Path(folder))
            found = measure(case, sides, given.rounds, Path(folder))
            for side in sides.values():
                side.close()
        content["cases"][case.name] = {"sizes": case.as_dict(), **found}
        lines.append(row(case, found))
        sys.stderr.write(lines[-1] + "\n")
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "published.json").write_text(json.dumps(content, indent=1) + "\n")
    (given.out / "published.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
