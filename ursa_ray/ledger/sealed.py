"""Parquet files with a hash of all that they say.

Parquet's own checksums cover its pages alone. Page headers and the footer, which holds the schema and its metadata,
have none: of the flipped bits of a commit, one in 700 gave another commit. So a hash of rows and metadata goes along.
With it, none of the 53,128 bits of a commit gave another one, with or without checksums (decision 0008). They stay, so
that what is damaged does not reach a decompressor.
"""

import hashlib
import io
import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ursa_ray.errors import LedgerError

SEAL = b"sha256"

# Rows that are in memory both as Parquet's and as Python's: a film has thousands, of 66 KB each.
ROWS_AT_ONCE = 64


def seal(rows: list[dict[str, Any]], schema: pa.Schema, about: dict[str, Any] | None = None) -> bytes:
    """A Parquet file; `about` is what is said of all rows together, plain JSON."""
    text = json.dumps(about or {}).encode()
    tables = [
        pa.Table.from_pylist(rows[start : start + ROWS_AT_ONCE], schema=schema)
        for start in range(0, len(rows) or 1, ROWS_AT_ONCE)
    ]
    digest = _digest((row for table in tables for row in table.to_pylist()), text)
    sealed = schema.with_metadata({b"about": text, SEAL: digest})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, sealed, write_page_checksum=True, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table.replace_schema_metadata(sealed.metadata))
    return sink.getvalue()


def unseal(content: bytes, where: str, fix: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a file and what is said of all of them, as they were written.

    Raises:
        LedgerError: they are not; says `where` and the `fix`.
    """
    try:
        # A buffer of Arrow's own, and none of its threads: one that still held a Python file when the process ended
        # could abort it (apache/arrow issue 34314).
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        metadata = file.schema_arrow.metadata or {}
        batches = file.iter_batches(ROWS_AT_ONCE, use_threads=False)
        rows, about = [row for batch in batches for row in batch.to_pylist()], metadata[b"about"]
        if metadata[SEAL] != _digest(rows, about):
            raise ValueError("its content does not match its hash")
        return rows, json.loads(about)
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError) as error:
        raise LedgerError(f"{where}: is damaged ({error}). {fix}") from error


def _digest(rows: Iterable[dict[str, Any]], about: bytes) -> bytes:
    digest = hashlib.sha256(about)
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=_sha256).encode())
    return digest.hexdigest().encode()


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()  # as text, 66 KB of codes would cost 1 ms
