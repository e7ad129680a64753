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
print. Both sides have the same weights, and their logits are compared. Goals are those of an H200, and are judged on
one alone. Both sides are on the card at once, with 45 GB by count at most, so that one of 80 GB holds every row.
"""

import argparse
import statistics
import sys
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

NEEDED = ("torch", "numpy", "safetensors", "einops", "jaxtyping", "tokenizers", "ursa_ray")
NEEDED_PUBLISHED = ("torch", "transformers", "diffusers", "scipy", "einops", "PIL")

absent = [name for name in NEEDED if find_spec(name) is None]
if absent:
    sys.exit(f"{sys.executable} lacks {', '.join(absent)}. Install them, or name their folders in PYTHONPATH.")

import numpy as np  # noqa: E402
from checkout import commit  # noqa: E402
from gpu_process import ANSWER_S, HERE, Side, missing  # noqa: E402
from gpu_record import Budget, Record, RowError  # noqa: E402
from gpu_sizes import SIZES, Size  # noqa: E402

from ursa_ray.model.sampling import NUM_SHARES, NUM_SHARES_ON_CPU  # noqa: E402

# How our side computes, beside the attention kernel: plainly, with all that there is, and with less of it. Where one is
# not to be had, its row says so.
VARIANTS: dict[str, dict[str, Any]] = {
    "eager": {"draws": "torch"},
    "fused, triton draws, compiled": {"draws": "triton", "fused": True, "compile": True},
    "fused": {"draws": "torch", "fused": True},
    "fused, triton draws": {"draws": "triton", "fused": True},
    "fused, compiled": {"draws": "torch", "fused": True, "compile": True},
}

# Seconds to build a model, to compile it, and to build kernels for another number of rows, and the rate that a step is
# sure to have.
LOAD_S, COMPILE_S, BUILD_S, SLOW_FLOPS_PER_S = 15, 40, 0.5, 350e12
ROUNDS, NUM_ROWS = 3, 64

# Kinds of steps in a segment at most, by their shares of tokens that may jump, and the last, which has one branch; and
# steps that stand for all.
NUM_KINDS, NUM_SPREAD = {"cpu": NUM_SHARES_ON_CPU + 1, "cuda": NUM_SHARES + 1}, 8


class Bench:
    def __init__(self, given: argparse.Namespace):
        self.given, self.out, self.budget = given, given.out, Budget(60 * given.minutes)
        self.out.mkdir(parents=True, exist_ok=True)
        self.log = (self.out / "sides.log").open("w")
        about = {
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": " ".join(sys.argv),
            "commit": given.commit or commit(HERE),
            "published_commit": given.published_commit or (commit(given.published) if given.published else None),
        }
        self.row = Record(self.out, about, self.budget).row
        self.sides = {"ours": self.side(sys.executable, "gpu_ours.py", HERE.parent)}
        if given.published is not None:
            self.sides["published"] = self.side(given.python, "gpu_published.py", given.published)

    def side(self, python: str, script: str, folder: Path) -> Side:
        return Side(python, script, [folder], self.given.device, self.budget, self.log)

    def run(self) -> None:
        for side in self.sides.values():
            side.start()
        for name, side in list(self.sides.items()):
            if self.row("machine", 5, partial(side.ask, "versions"), side=name) is None:
                self.sides.pop(name).close()
        if "ours" not in self.sides:
            return
        self.row("ceilings", 10, partial(self.sides["ours"].ask, "ceilings", small=self.given.device == "cpu"))
        kernel = self.attention(SIZES[self.given.sizes[0]])
        variants = self.given.variants
        for name in self.given.sizes:
            best = self.size(SIZES[name], kernel, variants)
            # Of the next size, what comes without a choice and what is best.
            variants = list(dict.fromkeys([variants[0], best or variants[0]]))

    def attention(self, size: Size) -> str:
        """The fastest kernel that takes grouped heads, as both sides have them."""
        ask, rates = self.sides["ours"].ask, dict[str, float]()
        dtypes = ["float16", "bfloat16"] if self.given.device == "cuda" else ["float32"]
        backends = self.row("backends", 1, partial(ask, "backends")) or ["default"]
        for dtype, backend, grouped in product(dtypes, backends, (True, False)):
            about = {"backend": backend, "grouped": grouped, "dtype": dtype}
            found = self.row("attention", 5, partial(ask, "attention", size=size.as_dict(), **about), **about)
            if found and grouped and dtype == dtypes[0] and backend != "default":
                rates[backend] = found["flops_per_s"]
        return max(rates, key=rates.__getitem__) if rates else "default"

    def size(self, size: Size, kernel: str, variants: list[str]) -> str | None:
        """All rows of a size; the variant with the shortest step."""
        slow_s = size.minimum_flops / SLOW_FLOPS_PER_S
        best: tuple[float, str] | None = None
        for variant in variants:
            estimate_s = start_s(variant) + (ROUNDS + 1) * len(size.steps) * len(self.sides) * slow_s
            about = {"size": size.name, "variant": variant, "attention": kernel, "minimum_flops": size.minimum_flops}
            found = self.row("step", estimate_s, partial(self.steps, size, variant, kernel), **about)
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
        return self.sides[side].load(size=size.as_dict(), attention=own, **VARIANTS[variant])

    def steps(self, size: Size, variant: str, kernel: str) -> dict[str, Any]:
        """All runs of both sides in turns, after unmeasured ones; of ours alone where theirs breaks."""
        ready = partial(self.ready, size=size, variant=variant, kernel=kernel)
        loaded, names = ready("ours"), ["ours"]
        apart = note = None
        if "published" in self.sides:
            try:
                ready("published")
                names.append("published")
                apart = self.apart(size)
            except RowError as error:
                note = str(error)
                for name in names:
                    ready(name)  # what broke may have ended it
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for seed, step in product(range(ROUNDS), size.steps):
            for name in names:
                runs[name].append({"step": step, **self.sides[name].ask("step", step=step, seed=seed)})
        median_s = {name: statistics.median(run["seconds"] for run in of) for name, of in runs.items()}
        return {"median_s": median_s, "runs": runs, "apart": apart, "note": note, "loaded": loaded}

    def ready(self, side: str, size: Size, variant: str, kernel: str) -> Any:
        """Load it and run the steps once; it may have run them before."""
        loaded = self.load(side, size, variant, kernel)
        for step in size.steps if loaded else size.steps[:1]:
            self.sides[side].ask("step", step=step, seed=0)
        return loaded

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
            of = self.sides[side]

            def measure() -> Any:
                self.load(side, size, variant, kernel)
                return of.ask(name, limit_s=ANSWER_S + 2 * estimate_s, **options)

            how = variant if side == "ours" else "as published"
            loading_s = 0 if of.is_loaded else start_s(how)
            self.row(name, loading_s + estimate_s, measure, size=size.name, side=side, variant=how, **options)

        self.sides["ours"].close()  # so that its segment is the first one of a process
        num_kinds = NUM_KINDS[self.given.device]
        whole_s = (size.num_steps + num_kinds) * step_s + num_kinds * BUILD_S
        whole = self.budget.left_s > 1.1 * whole_s + start_s(variant)
        row("segment", "ours", whole_s if whole else NUM_SPREAD * (2 * step_s + BUILD_S), whole=whole)
        for side in self.sides:
            row("decode", side, 1)
        row("files", "ours", 5)
        for side in self.sides:
            row("parts", side, 4 * step_s, step=size.steps[len(size.steps) // 2])

    def close(self) -> None:
        for side in self.sides.values():
            side.close()
        self.log.close()


def start_s(variant: str) -> float:
    return LOAD_S + (COMPILE_S if VARIANTS.get(variant, {}).get("compile") else 0)


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
