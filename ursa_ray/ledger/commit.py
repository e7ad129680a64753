"""One commit: a row of Parquet with everything that a finished segment is, its codes included.

Parquet's own checksums let flipped bits through when they are only written, so they are verified on reading too, and
the codes carry a sha256 of their own.
"""

import hashlib
import io
from dataclasses import asdict, dataclass, fields
from typing import Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ursa_ray.errors import LedgerError

SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("codes", pa.binary()),
        pa.field("codes_dtype", pa.string()),
        pa.field("codes_shape", pa.list_(pa.int32())),
        pa.field("codes_sha256", pa.string()),
        pa.field("frames_sha256", pa.string()),
        pa.field("device", pa.string()),
        pa.field("dtype", pa.string()),
        pa.field("seconds", pa.float64()),
        pa.field("version", pa.string()),
    ]
)


@dataclass(frozen=True)
class Commit:
    """A row of the log.

    Attributes:
        kind: "segment" has codes; "plan" and "film" are events, their key is a hash.
        key: of the segment; hash of the plan; of the film, the hash of the plan that it shows.
        frames_sha256: of the segment's decoded frames; of the film, of its file.
        device, dtype: what the segment was made with.
        seconds: wall time of making it.
    """

    kind: Literal["segment", "plan", "film"]
    key: str
    codes: bytes | None = None
    codes_dtype: str | None = None
    codes_shape: tuple[int, ...] | None = None
    codes_sha256: str | None = None
    frames_sha256: str | None = None
    device: str | None = None
    dtype: str | None = None
    seconds: float | None = None
    version: str | None = None

    @classmethod
    def of_segment(cls, key: str, codes: np.ndarray, **about: object) -> Self:
        """`codes` is (t, h, w), uint16 or uint32."""
        raw = np.ascontiguousarray(codes)
        assert raw.dtype in (np.uint16, np.uint32), raw.dtype
        content = raw.tobytes()
        return cls(
            "segment",
            key,
            codes=content,
            codes_dtype=str(raw.dtype),
            codes_shape=raw.shape,
            codes_sha256=hashlib.sha256(content).hexdigest(),
            **about,  # pyright: ignore[reportArgumentType]
        )

    def array(self) -> np.ndarray:
        """The codes (t, h, w)."""
        assert self.codes is not None and self.codes_dtype and self.codes_shape, self.key
        return np.frombuffer(self.codes, self.codes_dtype).reshape(self.codes_shape)

    def to_parquet(self) -> bytes:
        sink = io.BytesIO()
        table = pa.Table.from_pylist([asdict(self)], schema=SCHEMA)
        pq.write_table(table, sink, write_page_checksum=True, compression="zstd")
        return sink.getvalue()

    @classmethod
    def from_parquet(cls, content: bytes, where: str) -> Self:
        try:
            table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
            (row,) = table.to_pylist()
            row["codes_shape"] = row["codes_shape"] and tuple(row["codes_shape"])
            commit = cls(**{field.name: row[field.name] for field in fields(cls)})
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise LedgerError(f"{where}: is damaged ({error}). Restore it, or render into a new --run.") from error
        if commit.codes is not None and hashlib.sha256(commit.codes).hexdigest() != commit.codes_sha256:
            raise LedgerError(f"{where}: its codes are damaged. Restore it, or render into a new --run.")
        return commit
