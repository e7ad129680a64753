"""GenEval and DPG-Bench: suites of images.

GenEval's scorer (github.com/djghosh13/geneval, `evaluation/evaluate_images.py`) goes through folders whose names are
digits; each has `metadata.jsonl`, the prompt's line of `evaluation_metadata.jsonl`, and `samples/` with images whose
names are digits. DPG-Bench's (github.com/TencentQQGYLab/ELLA, `dpg_bench/compute_dpg_bench.py`) opens every file of a
folder: one image for each prompt, named as its file of the suite, that holds four samples in two rows.
"""

import json
from pathlib import Path
from typing import Any

from ursa_ray.errors import OptionError
from ursa_ray.suites.suite import Preset, Result, Suite, checked, file_name, read_lines, read_objects, read_text

IMAGES = Preset("BAAI/URSA-1.7B-IBQ1024", num_samples=4)

# Samples of DPG-Bench's grid.
GRID = 4


def read_geneval(prompts: Path, rewritten: Path | None = None, num_samples: int | None = None) -> Suite:
    """GenEval of its `evaluation_metadata.jsonl`; the published figures are of prompts rewritten at length.

    `rewritten` is a JSON list of objects with `id`, the line from 0, and `dense_prompt`, as the published repository
    has it.

    Raises:
        OptionError: a file cannot be read, or says something else.
    """
    count = num_samples or IMAGES.num_samples
    lines = read_lines(prompts)
    entries = [_entry(line, f"{prompts}:{number}") for number, line in lines]
    texts = {index: entry["prompt"] for index, entry in enumerate(entries)}
    if rewritten is not None:
        texts |= _rewritten(rewritten, len(entries))
    results = (
        Result(f"{index:05d}/samples/{sample:05d}.png", texts[index], (sample,))
        for index in range(len(entries))
        for sample in range(count)
    )
    notes = {f"{index:05d}/metadata.jsonl": line for index, (_, line) in enumerate(lines)}
    return Suite("geneval", "image", IMAGES, tuple(results), _files(prompts, rewritten), notes)


def read_dpg(prompts: Path) -> Suite:
    """DPG-Bench of its folder of prompts, `ID.txt` each, or of a JSON list of objects with `id` and `prompt`.

    Raises:
        OptionError: there are none, or a file cannot be read.
    """
    texts = _dpg_folder(prompts) if prompts.is_dir() else _dpg_list(prompts)
    results = (
        Result(f"{name}.png", text, tuple(range(GRID)))
        for name, text in texts.items()
    )
    return Suite("dpg", "image", IMAGES, tuple(results), (prompts,))


def _entry(line: str, where: str) -> dict[str, Any]:
    try:
        return checked(json.loads(line), {"tag": str, "prompt": str}, where)
    except json.JSONDecodeError as error:
        raise OptionError(f"{where}: {error.msg}, expected a JSON object.") from error


def _rewritten(path: Path, num_prompts: int) -> dict[int, str]:
    texts = {entry["id"]: entry["dense_prompt"] for entry in read_objects(path, {"id": int, "dense_prompt": str})}
    if missing := set(range(num_prompts)) - texts.keys():
        raise OptionError(f"{path}: has no entry with id {min(missing)}, expected 0 to {num_prompts - 1}.")
    return {index: texts[index] for index in range(num_prompts)}


def _dpg_folder(folder: Path) -> dict[str, str]:
    texts = {path.stem: read_text(path).strip() for path in sorted(folder.glob("*.txt"))}
    if not texts:
        raise OptionError(f"{folder}: has no .txt files. Give DPG-Bench's folder of prompts.")
    return texts


def _dpg_list(path: Path) -> dict[str, str]:
    entries = list(read_objects(path, {"id": str, "prompt": str}))
    return {file_name(entry["id"], f"{path}: entry {number}"): entry["prompt"] for number, entry in enumerate(entries)}


def _files(*paths: Path | None) -> tuple[Path, ...]:
    return tuple(path for path in paths if path is not None)
