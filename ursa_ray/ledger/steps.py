"""The state within a segment that is being made: its codes after the latest step, best effort.

A step is drawn from the codes before it and (seed, step) alone, so going on from any of them gives the same segment.
"""

from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ursa_ray.errors import LedgerError
from ursa_ray.ledger.sealed import seal, unseal
from ursa_ray.ledger.store import Store

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("num_done", pa.int32(), nullable=False),
        pa.field("codes", pa.binary(), nullable=False),
        pa.field("codes_dtype", pa.string(), nullable=False),
        pa.field("codes_shape", pa.list_(pa.int32()), nullable=False),
    ]
)


class Saved(NamedTuple):
    """Codes (t, h, w), uint16 or uint32, after `num_done` steps."""

    num_done: int
    codes: np.ndarray


class Steps:
    def __init__(self, store: Store):
        self._store = store

    def save(self, key: str, num_done: int, codes: np.ndarray) -> None:
        """Keep the codes after `num_done` steps, and no older ones."""
        row = {
            "key": key,
            "num_done": num_done,
            "codes": codes.tobytes(),
            "codes_dtype": str(codes.dtype),
            "codes_shape": codes.shape,
        }
        name = _name(num_done)
        self._store.put(f"{_folder(key)}/{name}", seal([row], SCHEMA))
        for other in self._store.names(_folder(key)):
            if other < name:
                self._store.remove(f"{_folder(key)}/{other}")

    def latest(self, key: str) -> Saved | None:
        """The furthest state that is whole; a crash of the machine may have spoilt any."""
        for name in reversed(self.names(key)):
            try:
                return self.read(key, name)
            except (LedgerError, OSError):
                continue
        return None

    def names(self, key: str) -> list[str]:
        """The saved states of a segment, the furthest last."""
        return self._store.names(_folder(key))

    def num_done(self, key: str) -> int:
        """Steps after which the furthest state was saved; it is not read."""
        names = self.names(key)
        return int(names[-1].partition(".")[0]) if names else 0

    def read(self, key: str, name: str) -> Saved:
        """A saved state.

        Raises:
            LedgerError: it is damaged.
            FileNotFoundError: it has just been removed.
        """
        where = f"{_folder(key)}/{name}"
        ((row,), _) = unseal(self._store.read(where), where, "")
        if (row["key"], _name(row["num_done"])) != (key, name):
            raise LedgerError(f"{where}: is damaged (it is step {row['num_done']} of {row['key']}).")
        return Saved(row["num_done"], np.frombuffer(row["codes"], row["codes_dtype"]).reshape(row["codes_shape"]))

    def clear(self, key: str) -> None:
        """Forget a segment that is committed, with its preview; best effort."""
        self._store.remove_folder(_folder(key))
        with suppress(OSError):
            self._store.remove(preview_name(key))


def preview_name(key: str) -> str:
    """Of the file that shows what a segment will likely be."""
    return f"previews/{key}.webp"


def _folder(key: str) -> str:
    return f"steps/{key}"


def _name(num_done: int) -> str:
    return f"{num_done:06d}.parquet"
