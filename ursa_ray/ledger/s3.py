"""A run in an S3 bucket, under a prefix."""

import base64
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError

from ursa_ray.errors import LeaseError, LedgerError, OptionError
from ursa_ray.files import ASIDE, file_sha256
from ursa_ray.ledger.bucket import PAUSES_S, Bucket, connect, os_errors
from ursa_ray.ledger.folder import unwritable
from ursa_ray.ledger.lease import LIFE_S, Lease, seen_holder

SCHEME = "s3://"
LEASE = "LEASE"

# A put or read of a log entry (66 KB) or a lease; see LIFE_S.
ENTRY_TIMEOUT_S = 10.0


class S3Store:
    """Entries, plans and the lease go through `Bucket`, files of any size through boto3's transfers with its retries.

    Attributes:
        entries, files: clients for the one and the other.
    """

    def __init__(
        self,
        url: str,
        life_s: float = LIFE_S,
        pauses_s: tuple[float, ...] = PAUSES_S,
        entries: Any = None,
        files: Any = None,
    ):
        place = url.removeprefix(SCHEME).rstrip("/")
        bucket, _, prefix = place.partition("/")
        if not bucket:
            raise OptionError(f"{url}: names no bucket, expected s3://bucket/prefix.")
        self.url = f"{SCHEME}{place}"
        self._prefix = f"{prefix}/" if prefix else ""
        self._life_s = life_s
        try:
            self._bucket = Bucket(bucket, entries or connect(1, ENTRY_TIMEOUT_S), pauses_s)
            self._client = files or connect(5, 60.0)
        except (BotoCoreError, ValueError) as error:
            raise OptionError(f"{url}: cannot be reached ({error}). Mend the AWS_* settings.") from error
        self._lease: Lease | None = None

    @property
    def anywhere(self) -> str:
        return self.url

    def names(self, folder: str) -> list[str]:
        prefix = self._key(f"{folder}/" if folder else "")
        found = set()
        with os_errors(self._where(folder)):
            for page in self._pages(Prefix=prefix, Delimiter="/"):
                found |= {each["Key"] for each in page.get("Contents", ())}
                found |= {each["Prefix"] for each in page.get("CommonPrefixes", ())}
        # The prefix itself is an object where somebody has made a folder in a console.
        return sorted(key.removeprefix(prefix).rstrip("/") for key in found - {prefix})

    def exists(self, name: str) -> bool:
        return self._head(name) is not None

    def read(self, name: str) -> bytes:
        return self._bucket.read(self._key(name))

    def sha256(self, name: str) -> str | None:
        """As the store keeps it, of what is sent in one part; what is larger, or older, is downloaded."""
        head = self._head(name)
        if head is None:
            return None
        kept = head.get("ChecksumSHA256", "")
        # Of several parts it is a hash of their hashes, in which, or in the ETag, is a hyphen before their number.
        if kept and "-" not in kept + head["ETag"]:
            return base64.b64decode(kept).hex()
        with self.reading(name) as path:
            return file_sha256(path)

    def create(self, name: str, content: bytes) -> None:
        if self._lease is not None and self._lease.is_lost:
            raise LeaseError(f"{self.url}: another render has taken over this run. What is committed is safe.")
        self._bucket.swap(self._key(name), content, None)

    def put(self, name: str, content: bytes) -> None:
        with os_errors(self._where(name)):
            self._client.put_object(Bucket=self._bucket.name, Key=self._key(name), Body=content)

    def remove(self, name: str) -> None:
        with os_errors(self._where(name)):
            self._client.delete_object(Bucket=self._bucket.name, Key=self._key(name))

    def remove_folder(self, folder: str) -> None:
        with suppress(OSError):
            for name in self.names(folder):
                self.remove(f"{folder}/{name}")

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            with os_errors(self._where(name)):
                self._client.download_file(self._bucket.name, self._key(name), str(path))
            yield path

    @contextmanager
    def writing(self, folder: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as local:
            yield Path(local)
            for path in sorted(Path(local).iterdir()):
                if not path.name.startswith(ASIDE):
                    self._upload(path, f"{folder}/{path.name}" if folder else path.name)

    @contextmanager
    def lease(self, holder: str) -> Iterator[None]:
        lease = Lease(self._bucket, self._key(LEASE), self.url, self._life_s)
        with ExitStack() as stack:
            try:
                self._lease = stack.enter_context(lease.held(holder))
                ignores = self._bucket.ignores_conditions(self._key(LEASE), lease.content)
            except OSError as error:
                raise unwritable(self._where(LEASE), error) from error
            if ignores:
                raise LedgerError(
                    f"{self.url}: this store ignores the conditions of puts (If-None-Match, If-Match), so that two "
                    "renders would overwrite each other's commits. Use one that has them, or a folder."
                )
            try:
                yield
            finally:
                self._lease = None

    def holder(self) -> str | None:
        return seen_holder(self._bucket, self._key(LEASE), self._life_s)

    def _upload(self, path: Path, name: str) -> None:
        """An object appears when its last byte has arrived, also one that is sent in parts."""
        with os_errors(self._where(name)):
            with_sha256 = {"ChecksumAlgorithm": "SHA256"}
            self._client.upload_file(str(path), self._bucket.name, self._key(name), ExtraArgs=with_sha256)

    def _head(self, name: str) -> dict[str, Any] | None:
        try:
            with os_errors(self._where(name)):
                return self._client.head_object(Bucket=self._bucket.name, Key=self._key(name), ChecksumMode="ENABLED")
        except FileNotFoundError:
            return None

    def _pages(self, **what: str) -> Iterator[dict[str, Any]]:
        return iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket.name, **what))

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _where(self, name: str) -> str:
        return f"{self.url}/{name}"
