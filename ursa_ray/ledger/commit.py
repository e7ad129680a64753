"""One commit: a row of Parquet with everything that a finished segment is, its codes included."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa

from ursa_ray.errors import LedgerError
from ursa_ray.ledger.sealed import seal, unseal

# Kind and key are in every row. All else is nullable, and so must be every column that is added.
SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("codes", pa.binary()),
        pa.field("codes_dtype", pa.string()),
        pa.field("codes_shape", pa.list_(pa.int32())),
        pa.field("codes_sha256", pa.string()),
        pa.field("media_sha256", pa.string()),
        pa.field("device", pa.string()),
        pa.field("dtype", pa.string()),
        pa.field("num_threads", pa.int32()),
        pa.field("seconds", pa.float64()),
        pa.field("version", pa.string()),
        pa.field("files", pa.string()),
        pa.field("takes", pa.string()),
        pa.field("replica", pa.string()),
        pa.field("node", pa.string()),
        pa.field("finished", pa.string()),
        pa.field("failed", pa.string()),
        pa.field("backends", pa.string()),
    ]
)

IN_JSON = ("files", "takes", "failed")

FIX = "Restore it, or run `ursa-ray fsck` on this run."

# Events say only that something happened.
Kind = Literal["segment", "plan", "film", "samples", "epoch", "invalidate"]


@dataclass(frozen=True)
class Link:
    """An entry's place in the log.

    Attributes:
        previous_sha256: of the entry before; "" for the first, and for one that was appended behind a damaged one.
        epoch: counts the renders of this run.
        nonce: makes an entry differ from one that another render writes in its place.
    """

    number: int
    previous_sha256: str
    epoch: int
    nonce: str


@dataclass(frozen=True)
class Commit:
    """A row of the log.

    Attributes:
        kind: "segment" has codes; the others are events.
        key: of the segment; hash of the plan; of the film, the hash of the plan that it shows, and of samples; who
            began an epoch; the number of the entry that is invalidated.
        media_sha256: of the segment's decoded frames; of the film, of its file.
        device, dtype, num_threads: what the codes were made with; threads of a replica on a CPU.
        seconds: wall time of making it.
        files: names and sha256 of what was made with the film; of samples, the sha256 of the file of each shot, by
            the hash of its own plan; of a plan, of its storyboard; of an entry that is invalidated, as it was found.
        takes: of a plan, how often each segment was taken again, also of those that it does without. The latest
            plan has all takes of the run: a log that keeps it needs no earlier one. Of a film, those when it was made.
        replica, node: who made the segment.
        finished: when, in ISO 8601 and UTC, by the clock of who committed it.
        failed: the attempts before, of the same render: when, replica, node, kind, error.
        backends: what else decided how the codes were rounded: kernels, and how several devices shared a step.
    """

    kind: Kind
    key: str
    codes: bytes | None = None
    codes_dtype: str | None = None
    codes_shape: tuple[int, ...] | None = None
    codes_sha256: str | None = None
    media_sha256: str | None = None
    device: str | None = None
    dtype: str | None = None
    num_threads: int | None = None
    seconds: float | None = None
    version: str | None = None
    files: dict[str, str] | None = None
    takes: dict[str, int] | None = None
    replica: str | None = None
    node: str | None = None
    finished: str | None = None
    failed: list[dict[str, str]] | None = None
    backends: str | None = None

    @classmethod
    def of_codes(cls, key: str, codes: np.ndarray) -> Self:
        """A segment with nothing but its codes (t, h, w), uint16 or uint32."""
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
        )

    def array(self) -> np.ndarray:
        """The codes (t, h, w)."""
        assert self.codes is not None and self.codes_dtype and self.codes_shape, self.key
        return np.frombuffer(self.codes, self.codes_dtype).reshape(self.codes_shape)

    def to_row(self) -> dict[str, Any]:
        return asdict(self) | {name: _to_json(getattr(self, name)) for name in IN_JSON}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """From a row of any version: a column that it lacks is None, one that is unknown is passed over."""
        shape = row.get("codes_shape")
        plain: dict[str, Any] = {field.name: row[field.name] for field in fields(cls) if field.name in row}
        converted: dict[str, Any] = {name: _from_json(row.get(name)) for name in IN_JSON}
        converted["codes_shape"] = None if shape is None else tuple(shape)
        return cls(**plain | converted)

    def to_parquet(self, link: Link) -> bytes:
        return seal([self.to_row()], SCHEMA, asdict(link))

    @classmethod
    def from_parquet(cls, content: bytes, where: str) -> tuple[Self, Link]:
        rows, about = unseal(content, where, FIX)
        try:
            (row,) = rows
            return cls.from_row(row), Link(**{field.name: about[field.name] for field in fields(Link)})
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(f"{where}: is not a commit of this version ({error!r}). {FIX}") from error


def _to_json(content: Any) -> str | None:
    return None if content is None else json.dumps(content, sort_keys=True)


def _from_json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
