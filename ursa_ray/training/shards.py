"""Parquet shards of tokens: clips are encoded once, ahead of training.

Columns: `codes` (little-endian bytes, uint16 up to 65,536 codes, else uint32), `shape` (t, h, w), `captions` (one or
more ways to say what is shown) and `foreground` (a byte for every token: 255 where the object covers all of it; empty
if nobody knows). The file's metadata says what decided its tokens (`Origin`): those of another tokenizer look alike and
are worth nothing.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ursa_ray.errors import OptionError
from ursa_ray.files import published

SCHEMA = pa.schema(
    {
        "codes": pa.binary(),
        "shape": pa.list_(pa.int32(), 3),
        "captions": pa.list_(pa.string()),
        "foreground": pa.binary(),
    }
)


ORIGIN = b"ursa_ray.origin"


@dataclass(frozen=True)
class Origin:
    """What decides the tokens of a shard.

    Attributes:
        tokenizer: hash of the weights that encode.
        size: frames, pixels and frame rate of a clip.
        clips: where they come from.
    """

    tokenizer: str
    size: str
    clips: str


@dataclass(frozen=True)
class Example:
    """Attributes:
    codes: (t, h, w).
    foreground: (t, h, w) in [0, 1]; None if unknown.
    """

    codes: np.ndarray
    captions: tuple[str, ...]
    foreground: np.ndarray | None = None


def write_shard(file: Path, examples: Iterable[Example], origin: Origin) -> None:
    """Write a shard, whole or not at all."""
    metadata = {ORIGIN: json.dumps(asdict(origin))}
    table = pa.Table.from_pylist([_to_row(example) for example in examples], schema=SCHEMA.with_metadata(metadata))
    with published(file) as aside:
        pq.write_table(table, aside, compression="zstd")


def is_made(file: Path, origin: Origin) -> bool:
    """Whether the shard is there.

    Raises:
        OptionError: it is, but of another origin.
    """
    if not file.exists():
        return False
    found = json.loads((pq.read_schema(file).metadata or {}).get(ORIGIN, b"{}"))
    for name, expected in asdict(origin).items():
        if found.get(name) != expected:
            raise OptionError(
                f"{file}: was made with {name} {found.get(name, 'unknown')}, expected {expected}. "
                f"Delete {file.parent} and what was trained on it, or choose another folder."
            )
    return True


def read_shards(folder: Path) -> Iterator[Example]:
    """All examples, in the order of the names of the shards.

    Raises:
        OptionError: there is no shard, or a row is damaged.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise OptionError(f"{folder}: no shards of tokens here. `ursa-ray tokenize` makes them.")
    for file in files:
        for number, row in enumerate(pq.read_table(file, schema=SCHEMA).to_pylist()):
            yield _from_row(row, f"{file}: row {number}")


def count_examples(folder: Path) -> tuple[int, int]:
    """How many shards, and how many examples in them."""
    files = sorted(folder.glob("*.parquet"))
    return len(files), sum(pq.read_metadata(file).num_rows for file in files)


def _to_row(example: Example) -> dict:
    assert example.captions, example
    codes = example.codes.astype("<u2" if example.codes.max(initial=0) < 2**16 else "<u4")
    assert (codes == example.codes).all(), (example.codes.min(), example.codes.max())
    foreground = example.foreground
    return {
        "codes": codes.tobytes(),
        "shape": list(codes.shape),
        "captions": list(example.captions),
        "foreground": b"" if foreground is None else np.rint(foreground * 255).astype(np.uint8).tobytes(),
    }


def _from_row(row: dict, where: str) -> Example:
    shape = tuple(row["shape"])
    num_tokens = math.prod(shape)
    kinds = {2 * num_tokens: "<u2", 4 * num_tokens: "<u4"}
    if len(row["codes"]) not in kinds or len(row["foreground"]) not in (0, num_tokens) or not row["captions"]:
        raise OptionError(
            f"{where}: {len(row['codes'])} bytes of codes, {len(row['foreground'])} of foreground and "
            f"{len(row['captions'])} captions do not fit the shape {shape}. Make the shards again."
        )
    codes = np.frombuffer(row["codes"], kinds[len(row["codes"])]).astype(np.int64).reshape(shape)
    foreground = np.frombuffer(row["foreground"], np.uint8).astype(np.float32) / 255 if row["foreground"] else None
    return Example(codes, tuple(row["captions"]), None if foreground is None else foreground.reshape(shape))
