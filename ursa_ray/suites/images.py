"""GenEval and DPG-Bench: suites of images.

GenEval's scorer (github.com/djghosh13/geneval, `evaluation/evaluate_images.py`) goes through folders whose names are
digits; each has `metadata.jsonl`, the prompt's line of `evaluation_metadata.jsonl`, and `samples/` with images whose
names are digits. DPG-Bench's (github.com/TencentQQGYLab/ELLA, `dpg_bench/compute_dpg_bench.py`) opens every file of a
folder: one image for each prompt, named as its file of the suite, that holds four samples in two rows.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ursa_ray.errors import OptionError
from ursa_ray.suites.suite import Preset, Result, Suite, checked, file_name, read_lines, read_objects, read_text

IMAGES = Preset("BAAI/URSA-1.7B-IBQ1024", num_samples=4)

# Samples of DPG-Bench's grid.
GRID = 4

GENEVAL_SCORERS = (
    "python evaluation/evaluate_images.py {out} --outfile results.jsonl --model-path OBJECT_DETECTOR_FOLDER",
    "python evaluation/summary_scores.py results.jsonl",
)
# Without --pic-num it reads one sample of the four, without --res-path it writes among the images.
DPG_SCORERS = (
    "accelerate launch dpg_bench/compute_dpg_bench.py --image-root-path {out} --resolution {width} "
    f"--pic-num {GRID} --res-path dpg.txt",
)


def read_geneval(prompts: Path, rewritten: Path | None = None, num_samples: int | None = None) -> Suite:
    """GenEval of its `evaluation_metadata.jsonl`; the published figures are of prompts rewritten at length.

    `rewritten` is a JSON list of objects with `id`, the line from 0, `dense_prompt`, and perhaps the `prompt` of that
    line, as the published repository has it.

    Raises:
        OptionError: a file cannot be read, or says something else; a rewritten prompt is of another one than its line.
    """
    count = num_samples or IMAGES.num_samples
    lines = read_lines(prompts)
    asked = [(_prompt(line, where), where) for line, where in ((line, f"{prompts}:{number}") for number, line in lines)]
    if rewritten is not None:
        asked = _rewritten(rewritten, asked)
    results = (
        Result(f"{index:05d}/samples/{sample:05d}.png", text, (sample,), where=where)
        for index, (text, where) in enumerate(asked)
        for sample in range(count)
    )
    notes = {f"{index:05d}/metadata.jsonl": line for index, (_, line) in enumerate(lines)}
    files = {"prompts": prompts} | ({} if rewritten is None else {"rewritten": rewritten})
    return Suite("geneval", "image", IMAGES, tuple(results), files, GENEVAL_SCORERS, notes, number=num_samples)


def read_dpg(prompts: Path) -> Suite:
    """DPG-Bench of its folder of prompts, `ID.txt` each, or of a JSON list of objects with `id` and `prompt`.

    Raises:
        OptionError: there are none, a file cannot be read, or its scorer would take two results for one.
    """
    asked = list(_dpg_folder(prompts) if prompts.is_dir() else _dpg_list(prompts))
    first: dict[str, str] = {}
    for name, _, where in asked:
        if "." in name:  # the scorer takes what comes before the first dot for the id
            raise OptionError(f"{where}: {name!r} has a dot, expected an id without one, as the scorer reads it.")
        if first.setdefault(name, where) != where:
            raise OptionError(f"{where}: has the id {name!r} of {first[name]}, expected another for each.")
    results = (Result(f"{name}.png", text, tuple(range(GRID)), where=where) for name, text, where in asked)
    return Suite("dpg", "image", IMAGES, tuple(results), {"prompts": prompts}, DPG_SCORERS)


def _prompt(line: str, where: str) -> str:
    try:
        return checked(json.loads(line), {"tag": str, "prompt": str}, where)["prompt"]
    except json.JSONDecodeError as error:
        raise OptionError(f"{where}: {error.msg}, expected a JSON object.") from error


def _rewritten(path: Path, asked: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each prompt, and where it is from, of the short ones that are `asked` for."""
    texts: dict[int, tuple[str, str]] = {}
    for number, entry in enumerate(read_objects(path, {"id": int, "dense_prompt": str})):
        where = f"{path}: entry {number}"
        if entry["id"] in texts:
            raise OptionError(f"{where}: has the id {entry['id']} of an earlier one, expected another for each.")
        texts[entry["id"]] = entry["dense_prompt"], where
        if 0 <= entry["id"] < len(asked):
            _require_same_prompt(entry, where, *asked[entry["id"]])
    if missing := set(range(len(asked))) - texts.keys():
        raise OptionError(f"{path}: has no entry with id {min(missing)}, expected 0 to {len(asked) - 1}.")
    return [texts[index] for index in range(len(asked))]


def _require_same_prompt(entry: dict[str, Any], where: str, prompt: str, line: str) -> None:
    if entry.get("prompt", prompt) != prompt:
        raise OptionError(
            f"{where}: has id {entry['id']} and the prompt {str(entry['prompt'])[:60]!r}, expected {prompt[:60]!r} as "
            f"in {line}. Give the file that was made of these --prompts."
        )


def _dpg_folder(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Id, prompt, and where it is from."""
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise OptionError(f"{folder}: has no .txt files. Give DPG-Bench's folder of prompts.")
    return ((path.stem, read_text(path).strip(), str(path)) for path in paths)


def _dpg_list(path: Path) -> Iterator[tuple[str, str, str]]:
    for number, entry in enumerate(read_objects(path, {"id": str, "prompt": str})):
        where = f"{path}: entry {number}"
        yield file_name(entry["id"], where), entry["prompt"], where
