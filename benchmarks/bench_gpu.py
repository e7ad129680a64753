"""Everything about a GPU that the goals ask for, in one run of at most so many minutes.

    python benchmarks/bench_gpu.py --out DIR --published FOLDER --python PYTHON --minutes 8

Random weights of the released sizes are made on the device, since time does not depend on them: 49 frames of 320x512,
320 text tokens, guidance 7, float16. FOLDER is a checkout of github.com/baaivision/URSA, PYTHON an interpreter with
what it needs (transformers 4.57.1, diffusers 0.35.2, scipy, and the torch of this one); without them our side is
measured alone. `--device cpu --sizes small` tries the script where there is no GPU.

On a machine without a network, wheels of what is missing there make PYTHON from the interpreter that has torch:

    python3 -m venv --without-pip ENV && SITE=ENV/lib/python3.12/site-packages
    python3 -c "import pathlib, torch; print(pathlib.Path(torch.__file__).parents[1])" > $SITE/torch.pth
    python3 -m pip install --no-index --no-deps --target $SITE WHEELS/*.whl

In this order of worth: the machine and its ceilings, attention by every backend, then for every size steps by every
way to compute them in turns with the published ones, a segment, and where the time of a step goes. What there is no
time for is skipped and says so; `gpu.json` and `gpu.md` are written after every row, `sides.log` has what the sides
print. Both sides have the same weights, and their logits are compared.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from time import monotonic
from typing import Any

NEEDED = ("torch", "numpy", "safetensors", "einops", "jaxtyping", "tokenizers", "ursa_ray")
NEEDED_PUBLISHED = ("torch", "transformers", "diffusers", "scipy", "einops", "PIL")

absent = [name for name in NEEDED if find_spec(name) is None]
if absent:
    sys.exit(f"{sys.executable} lacks {', '.join(absent)}. Install them, or name their folders in PYTHONPATH.")

import numpy as np  # noqa: E402
from gpu_process import HERE, Budget, RowError, Side, missing  # noqa: E402
from gpu_sizes import SIZES, Size  # noqa: E402
from gpu_tables import tables  # noqa: E402

# How our side computes, beside the attention kernel: plainly, with all that there is, and with less of it. Where one is
# not to be had, its row says so.
VARIANTS: dict[str, dict[str, Any]] = {
    "eager": {"draws": "torch"},
    "fused, triton draws, compiled": {"draws": "triton", "fused": True, "compile": True},
    "fused": {"draws": "torch", "fused": True},
    "fused, triton draws": {"draws": "triton", "fused": True},
    "fused, compiled": {"draws": "torch", "fused": True, "compile": True},
}

# Seconds to build a model and to compile it, and the rate that a step is sure to have.
LOAD_S, COMPILE_S, SLOW_FLOPS_PER_S = 15, 40, 350e12
ROUNDS, NUM_ROWS = 3, 64


class Bench:
    def __init__(self, given: argparse.Namespace):
        self.given, self.budget = given, Budget(60 * given.minutes)
        self.out, self.rows = given.out, list[dict[str, Any]]()
        self.out.mkdir(parents=True, exist_ok=True)
        self.log = (self.out / "sides.log").open("w")
        self.about = {
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": " ".join(sys.argv),
            "commit": given.commit or commit(HERE),
            "published_commit": given.published_commit or (commit(given.published) if given.published else None),
        }
        self.ours = Side(sys.executable, "gpu_ours.py", [HERE.parent], given.device, self.budget, self.log)
        self.sides = {"ours": self.ours}
        if given.published is not None:
            self.sides["published"] = Side(
                given.python, "gpu_published.py", [given.published], given.device, self.budget, self.log
            )

    def row(self, name: str, estimate_s: float, measure: Callable[[], Any], **about: Any) -> Any:
        """Measure a row if there is time, and write it; None if it was not to be had."""
        row: dict[str, Any] = {"row": name, **about}
        began_s = monotonic()
        if self.budget.left_s < estimate_s:
            row["skipped"] = f"{self.budget.left_s:.0f} s were left of the about {estimate_s:.0f} s that it takes"
        else:
            try:
                row["found"] = measure()
            except RowError as error:
                row["error"] = str(error)
        row["took_s"] = round(monotonic() - began_s, 1)
        self.rows.append(row)
        self.write()
        said = row.get("skipped") or row.get("error") or "measured"
        sys.stderr.write(f"{self.budget.left_s:5.0f} s left | {name} {about or ''} {row['took_s']} s | {said}\n")
        return row.get("found")

    def write(self) -> None:
        content = {**self.about, "rows": self.rows}
        (self.out / "gpu.json").write_text(json.dumps(content, indent=1) + "\n")
        (self.out / "gpu.md").write_text(tables(content))

    def run(self) -> None:
        for side in self.sides.values():
            side.start()
        for name, side in list(self.sides.items()):
            if self.row("machine", 5, lambda side=side: side.ask("versions"), side=name) is None:
                self.sides.pop(name).close()
        if "ours" not in self.sides:
            return
        small = self.given.device == "cpu"
        self.row("ceilings", 10, lambda: self.ours.ask("ceilings", small=small))
        kernel = self.attention(SIZES[self.given.sizes[0]])
        variants = self.given.variants
        for name in self.given.sizes:
            best = self.size(SIZES[name], kernel, variants)
            # Of the next size, what comes without a choice and what is best.
            variants = list(dict.fromkeys([variants[0], best or variants[0]]))

    def attention(self, size: Size) -> str:
        """The fastest kernel that takes grouped heads, as both sides have them."""
        config = size.transformer
        shape = (2, config.num_attention_heads, config.num_key_value_heads, size.num_positions, config.head_dim)
        dtypes = ["float16", "bfloat16"] if self.given.device == "cuda" else ["float32"]
        rates = dict[str, float]()
        backends = self.row("backends", 1, lambda: self.ours.ask("backends")) or ["default"]
        for dtype, backend, grouped in product(dtypes, backends, (True, False)):
            about = {"backend": backend, "grouped": grouped, "dtype": dtype}
            found = self.row(
                "attention", 5, lambda about=about: self.ours.ask("attention", shape=shape, **about), **about
            )
            if found and grouped and dtype == dtypes[0] and backend != "default":
                rates[backend] = found["flops_per_s"]
        return max(rates, key=rates.__getitem__) if rates else "default"

    def size(self, size: Size, kernel: str, variants: list[str]) -> str | None:
        """All rows of a size; the variant with the shortest step."""
        slow_s = size.minimum_flops / SLOW_FLOPS_PER_S
        best: tuple[float, str] | None = None
        for variant in variants:
            estimate_s = LOAD_S + (ROUNDS + 1) * len(size.steps) * len(self.sides) * slow_s
            estimate_s += COMPILE_S if VARIANTS[variant].get("compile") else 0
            about = {"size": size.name, "variant": variant, "attention": kernel, "minimum_flops": size.minimum_flops}
            found = self.row("step", estimate_s, lambda v=variant: self.steps(size, v, kernel), **about)
            if found and (best is None or found["median_s"]["ours"] < best[0]):
                best = found["median_s"]["ours"], variant
        if best is None:
            return None
        self.after(size, kernel, *best)
        return best[1]

    def load(self, side: str, size: Size, variant: str, kernel: str) -> Any:
        if side == "published":
            return self.sides[side].load(size=size.as_dict(), attention=kernel)
        # On a CPU, and where torch is to choose, ours takes its own best.
        own = None if kernel == "default" else kernel
        return self.ours.load(size=size.as_dict(), attention=own, **VARIANTS[variant])

    def steps(self, size: Size, variant: str, kernel: str) -> dict[str, Any]:
        """All runs of both sides in turns, after an unmeasured run of every step; of ours alone where theirs breaks."""
        loaded = self.load("ours", size, variant, kernel)
        for step in size.steps:
            self.ours.ask("step", step=step, seed=0)
        names, note = list(self.sides), None
        try:
            if "published" in names:
                self.load("published", size, variant, kernel)
                self.sides["published"].ask("step", step=size.steps[0], seed=0)
        except RowError as error:
            names, note = ["ours"], str(error)
        apart = self.apart(size) if len(names) == 2 else None
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for seed, step in product(range(ROUNDS), size.steps):
            for name in names:
                runs[name].append({"step": step, **self.sides[name].ask("step", step=step, seed=seed)})
        median_s = {name: statistics.median(run["seconds"] for run in of) for name, of in runs.items()}
        return {"median_s": median_s, "runs": runs, "apart": apart, "published_error": note, "loaded": loaded}

    def apart(self, size: Size) -> float:
        """Root mean square of the difference of both sides' logits, relative to theirs."""
        rows = np.linspace(0, size.num_visual - 1, NUM_ROWS).astype(int).tolist()
        files = {name: self.out / f"{name}.npy" for name in self.sides}
        for name, side in self.sides.items():
            side.ask("logits", file=str(files[name]), rows=rows)
        ours, published = (np.load(file).astype(np.float64) for file in files.values())
        for file in files.values():
            file.unlink()
        return float(np.sqrt(np.square(ours - published).mean() / np.square(published).mean()))

    def after(self, size: Size, kernel: str, step_s: float, variant: str) -> None:
        """A segment and the parts of a step, by the best way to compute them."""

        def row(name: str, side: str, estimate_s: float, **options: Any) -> None:
            def measure() -> Any:
                self.load(side, size, variant, kernel)
                return self.sides[side].ask(name, **options)

            how = variant if side == "ours" else "as published"
            self.row(name, LOAD_S + estimate_s, measure, size=size.name, side=side, variant=how, **options)

        middle = size.steps[len(size.steps) // 2]
        for side in self.sides:
            row("parts", side, 4 * step_s, step=middle)
        for side in self.sides:
            row("decode", side, 1)
        whole = self.budget.left_s > 1.2 * size.num_steps * step_s + 2 * LOAD_S
        row("segment", "ours", 12 * step_s, whole=whole)
        row("files", "ours", 5)

    def close(self) -> None:
        for side in self.sides.values():
            side.close()
        self.log.close()


def commit(folder: Path) -> str:
    asked = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return asked.stdout.strip() or "unknown"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--published", type=Path, help="checkout of the published repository")
    parser.add_argument("--commit", help="ours, if this is not a git checkout")
    parser.add_argument("--published-commit", help="its commit, if it is not a git checkout")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the published side")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--sizes", default="1.7B,0.6B", type=lambda names: names.split(","), help=", ".join(SIZES))
    parser.add_argument(
        "--variants", default=";".join(VARIANTS), type=lambda names: names.split(";"), help="; ".join(VARIANTS)
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    given = parser.parse_args()
    for kind, names, known in (("size", given.sizes, SIZES), ("variant", given.variants, VARIANTS)):
        if not set(names) <= set(known):
            parser.error(f"unknown {kind} in {names}; known: {', '.join(known)}")
    if given.published is not None:
        lacking = missing(given.python, NEEDED_PUBLISHED)
        if lacking or not (given.published / "diffnext").is_dir():
            sys.stderr.write(f"no published side: {given.python} lacks {lacking or given.published / 'diffnext'}\n")
            given.published = None
    return given


def main() -> None:
    bench = Bench(arguments())
    try:
        bench.run()
    finally:
        bench.close()
    sys.stdout.write((bench.out / "gpu.md").read_text())


if __name__ == "__main__":
    main()
