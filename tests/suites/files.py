"""Suites of a few prompts in the formats of the benchmarks' own files."""

import json
from pathlib import Path

GENEVAL = [
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"},
    {"tag": "counting", "include": [{"class": "cat", "count": 2}], "prompt": "a photo of two cats"},
]

VBENCH = [
    {"prompt_en": "In a still frame, a stop sign", "dimension": ["temporal_flickering"]},
    {"prompt_en": "a red bicycle", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}},
    {"prompt_en": "Ukiyo", "dimension": ["appearance_style"]},
    {"prompt_en": "Ukiyo", "dimension": ["appearance_style"]},
]

VBENCH_I2V = [
    {"prompt_en": "a beach", "dimension": ["i2v_background"], "image_type": "scenery", "image_name": "a beach.jpg"},
    {
        "prompt_en": "a beach, camera pans left",
        "dimension": ["camera_motion"],
        "image_type": "scenery",
        "image_name": "a beach.jpg",
    },
]


def geneval(folder: Path) -> Path:
    return _written(folder / "evaluation_metadata.jsonl", "".join(json.dumps(entry) + "\n" for entry in GENEVAL))


def geneval_rewritten(folder: Path) -> Path:
    entries = [{"id": 1, "dense_prompt": "two cats at length"}, {"id": 0, "dense_prompt": "a bench at length"}]
    return _written(folder / "prompts.json", json.dumps(entries))


def dpg(folder: Path) -> Path:
    prompts = folder / "prompts"
    prompts.mkdir()
    _written(prompts / "7.txt", "five pairs of shoes\n")
    _written(prompts / "vrd6.txt", "a figure at the corner")
    return prompts


def vbench(folder: Path) -> Path:
    return _written(folder / "VBench_full_info.json", json.dumps(VBENCH))


def vbench_i2v(folder: Path) -> Path:
    return _written(folder / "vbench2_i2v_full_info.json", json.dumps(VBENCH_I2V))


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
