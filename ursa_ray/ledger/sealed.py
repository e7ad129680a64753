"""Parquet files with a hash of all that they say.

Parquet's own checksums cover its pages alone. Page headers and the footer, which holds the schema and its metadata,
have none: of the flipped bits of a commit, one in 700 gave another commit. So a hash of rows and metadata goes along.
"""

import hashlib
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ursa_ray.errors import LedgerError

SEAL = b"sha256"


def seal(rows: list[dict[str, Any]], schema: pa.Schema, about: dict[str, Any] | None = None) -> bytes:
    """A Parquet file; `about` is what is said of all rows together, plain JSON."""
    text = json.dumps(about or {}).encode()
    table = pa.Table.from_pylist(rows, schema=schema)
    sealed = table.replace_schema_metadata({b"about": text, SEAL: _digest(table.to_pylist(), text)})
    sink = io.BytesIO()
    pq.write_table(sealed, sink, write_page_checksum=True, compression="zstd")
    return sink.getvalue()


def unseal(content: bytes, where: str, fix: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a file and what is said of all of them, as they were written.

    Raises:
        LedgerError: they are not; says `where` and the `fix`.
    """
    try:
        table = pq.read_table(io.BytesIO(content), page_checksum_verification=True, use_threads=False)
        metadata = table.schema.metadata or {}
        rows, about = table.to_pylist(), metadata[b"about"]
        if metadata[SEAL] != _digest(rows, about):
            raise ValueError("its content does not match its hash")
        return rows, json.loads(about)
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError) as error:
        raise LedgerError(f"{where}: is damaged ({error}). {fix}") from error


def _digest(rows: list[dict[str, Any]], about: bytes) -> bytes:
    digest = hashlib.sha256(about)
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=_sha256).encode())
    return digest.hexdigest().encode()


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()  # as text, 66 KB of codes would cost 1 ms
