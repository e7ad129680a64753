"""How segments are best joined: variants of the hand-over on the same chains, measured on films of the drawn world.

    python benchmarks/bench_joins.py --model tiny --chains 20 --extensions 3 --out benchmarks/results

A chain is a segment for a held-out prompt and its extensions, each conditioned on the last frames of the one before.
The seam ratio compares the difference of frames at joins with that inside segments; the tokenizer alone, on drawn films
that were encoded and decoded window by window, is the bar.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from ursa_ray.evaluation.detector import detect
from ursa_ray.evaluation.rates import Rate
from ursa_ray.evaluation.seams import seam_ratio
from ursa_ray.training import world
from ursa_ray.training.captions import caption


@dataclass(frozen=True)
class Variant:
    """`noise` of the condition; `restored`: the condition's own codes are put back before decoding."""

    name: str
    noise: float
    restored: bool


VARIANTS = [
    Variant("published (noise 0.1)", 0.1, restored=False),
    Variant("noise 0", 0.0, restored=False),
    Variant("noise 0.2", 0.2, restored=False),
    Variant("noise 0.1, restored", 0.1, restored=True),
    Variant("noise 0, restored", 0.0, restored=True),
]


def load(model):
    import torch

    from ursa_ray.model import Ursa

    torch.set_num_threads(1)
    return Ursa.from_pretrained(model, device="cpu")


def extend(ursa, prompt, given, seed, variant):
    """Frames of a segment that goes on after the frames `given`, which it repeats."""
    options = {"cond_noise_scale": variant.noise, "restore_condition": variant.restored}
    return ursa.decode(ursa.generate(prompt, video=given, seed=seed, **options))


def run_variant(variant, model, num_chains, num_extensions):
    ursa = load(model)
    overlap = ursa.checkpoint.defaults.overlap
    rows, rng = [], np.random.default_rng(1)
    for chain in range(num_chains):
        scene = world.sample_scene(rng, "held-out")
        prompt = caption(scene, rng)
        segments = [ursa.decode(ursa.generate(prompt, seed=1000 * chain))]
        for extension in range(1, num_extensions + 1):
            given = segments[-1][-overlap:]
            segments.append(extend(ursa, prompt, given, 1000 * chain + extension, variant))
        film = np.concatenate([segments[0], *(segment[overlap:] for segment in segments[1:])])
        joins = [len(segments[0]) + i * (len(segments[1]) - overlap) for i in range(num_extensions)]
        first, extended = detect(segments[0]), detect(segments[1])
        last = detect(segments[-1])
        rows.append(
            {
                "seam": seam_ratio(film, joins),
                "direction_kept": first.direction is not None and extended.direction == first.direction,
                "colour_kept": first.colour is not None and last.colour == first.colour,
                "present": float(last.track.present.mean()),
            }
        )
    return rows


def tokenizer_alone(model, num_chains, num_extensions):
    """Seam ratios of drawn films that the tokenizer saw in the same windows."""
    ursa = load(model)
    frames, overlap = ursa.checkpoint.defaults.frames, ursa.checkpoint.defaults.overlap
    rng, ratios = np.random.default_rng(1), []
    for _ in range(num_chains):
        scene = world.sample_scene(rng, "held-out")
        caption(scene, rng)
        starts = [i * (frames - overlap) for i in range(num_extensions + 1)]
        drawn = world.draw(scene, starts[-1] + frames)
        windows = [ursa.decode(ursa.encode(drawn[start : start + frames])) for start in starts]
        film = np.concatenate([windows[0], *(window[overlap:] for window in windows[1:])])
        ratios.append(seam_ratio(film, [start + overlap for start in starts[1:]]))
    return ratios


def mean_and_interval(values):
    """Mean and bootstrap interval of 95 %; a film in which nothing moves has no ratio, and there must be none."""
    assert np.isfinite(values).all(), values
    rng = np.random.default_rng(0)
    means = rng.choice(values, (2000, len(values))).mean(axis=1)
    return float(np.mean(values)), *np.quantile(means, [0.025, 0.975]).tolist()


def row(name, seams, rows):
    mean, low, high = mean_and_interval(seams)
    cells = [f"{mean:.2f} ({low:.2f} to {high:.2f})"]
    for key in ("direction_kept", "colour_kept"):
        rate = Rate(key, sum(entry[key] for entry in rows), len(rows)) if rows else None
        cells.append("" if rate is None else f"{rate.share:.2f} ({rate.interval[0]:.2f} to {rate.interval[1]:.2f})")
    cells.append("" if not rows else f"{np.mean([entry['present'] for entry in rows]):.2f}")
    return f"| {name} | " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--chains", type=int, default=20)
    parser.add_argument("--extensions", type=int, default=3)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    with ProcessPoolExecutor(given.processes) as pool:
        alone = pool.submit(tokenizer_alone, given.model, given.chains, given.extensions)
        measure = partial(run_variant, model=given.model, num_chains=given.chains, num_extensions=given.extensions)
        results = dict(zip([variant.name for variant in VARIANTS], pool.map(measure, VARIANTS), strict=True))
    lines = [
        f"{date.today()}: {given.model}, {given.chains} chains of 1 + {given.extensions} segments, the same seeds; "
        "intervals of 95 %",
        "",
        "| variant | seam ratio | direction kept (first extension) | colour kept (last) | object seen (last) |",
        "|---|---|---|---|---|",
        row("tokenizer alone, drawn films", alone.result(), []),
        *(row(name, [entry["seam"] for entry in rows], rows) for name, rows in results.items()),
    ]
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "joins.md").write_text("\n".join(lines) + "\n")
    (given.out / "joins.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
