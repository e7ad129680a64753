"""Small objects in an S3 bucket, replaced only while they are still what was seen.

A put under a condition (`If-None-Match`, `If-Match`) is carried out completely or not at all, but its answer can get
lost, and one that was carried out is then refused when it is sent again. So whatever the answer, what counts is what is
there: contents hold a nonce, hence whoever reads its own bytes back has written them.
"""

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)

T = TypeVar("T")

# Between tries; six that are refused at once take 9 s, a renewal of a lease has 20 s. Time-outs come on top.
PAUSES_S = (0.1, 0.3, 1.0, 2.5, 5.0, 0.0)


class RefusedError(OSError):
    """412: the condition does not hold, perhaps because an earlier try of the same put was carried out."""


class ConflictError(OSError):
    """409: another put was under way; nothing was written."""


class UnansweredError(OSError):
    """Time-out, lost connection or 5xx: carried out or not, or not yet."""


class Found(NamedTuple):
    content: bytes
    etag: str


def connect(num_attempts: int, read_timeout_s: float) -> Any:
    """A client of S3; endpoint, region and credentials come from boto3's own environment and files."""
    retries = {"mode": "standard", "total_max_attempts": num_attempts}
    config = Config(retries=retries, connect_timeout=5, read_timeout=read_timeout_s)
    # A session of its own: boto3's default one keeps the credentials of when it was first used.
    return boto3.Session().client("s3", config=config)


class Bucket:
    """Reads and conditional puts; the client's own retries are off, since they would hide what became of a put."""

    def __init__(self, name: str, client: Any, pauses_s: tuple[float, ...] = PAUSES_S):
        self.name = name
        self._client = client
        self._pauses_s = pauses_s

    def find(self, key: str) -> Found | None:
        try:
            return self._again(lambda: self._get(key), key)
        except FileNotFoundError:
            return None

    def read(self, key: str) -> bytes:
        return self._again(lambda: self._get(key), key).content

    def age_s(self, key: str) -> float:
        """Since an object was put, by the store's clock alone."""
        with os_errors(self._where(key)):
            reply = self._client.head_object(Bucket=self.name, Key=key)
        now = parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
        return (now - reply["LastModified"]).total_seconds()

    def swap(self, key: str, content: bytes, expected: str | None) -> str:
        """Put an object in place of the one whose ETag is `expected`, or where none is; its ETag.

        Raises:
            FileExistsError: something else is there.
            OSError: nobody knows, or it cannot be done.
        """
        for pause_s in self._pauses_s:
            try:
                return self.put_if(key, content, expected)
            except ConflictError:
                pass
            except (RefusedError, UnansweredError, FileNotFoundError):
                found = self.find(key)
                if found is not None and found.content == content:
                    return found.etag
                if expected != (None if found is None else found.etag):
                    raise FileExistsError(errno.EEXIST, "another is there", self._where(key)) from None
            time.sleep(pause_s)
        raise self._gave_up(key)

    def put_if(self, key: str, content: bytes, expected: str | None) -> str:
        """One request; may raise `RefusedError`, `ConflictError` and `UnansweredError`."""
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        with os_errors(self._where(key)):
            reply = self._client.put_object(
                Bucket=self.name, Key=key, Body=content, ChecksumAlgorithm="SHA256", **condition
            )
        return reply["ETag"]

    def ignores_conditions(self, key: str, content: bytes) -> bool:
        """Whether conditional puts are carried out though they should be refused; `key` holds `content`."""
        for expected in (None, f'"{"0" * 32}"'):
            try:
                self._again(lambda expected=expected: self.put_if(key, content, expected), key)
            except RefusedError:
                continue
            return True
        return False

    def _get(self, key: str) -> Found:
        with os_errors(self._where(key)):
            reply = self._client.get_object(Bucket=self.name, Key=key)
            return Found(reply["Body"].read(), reply["ETag"])

    def _again(self, request: Callable[[], T], key: str) -> T:
        for pause_s in self._pauses_s:
            try:
                return request()
            except (ConflictError, UnansweredError):
                time.sleep(pause_s)
        raise self._gave_up(key)

    def _gave_up(self, key: str) -> UnansweredError:
        return UnansweredError(errno.ETIMEDOUT, f"no answer after {len(self._pauses_s)} tries", self._where(key))

    def _where(self, key: str) -> str:
        return f"s3://{self.name}/{key}"


@contextmanager
def os_errors(where: str) -> Iterator[None]:
    """What boto3 raises, as OSErrors with a `strerror`."""
    try:
        yield
    except ClientError as error:
        raise _refusal(error, where) from error
    except (HTTPClientError, IncompleteReadError) as error:
        raise UnansweredError(errno.ETIMEDOUT, str(error), where) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise PermissionError(errno.EACCES, str(error), where) from error
    except (BotoCoreError, Boto3Error) as error:
        raise OSError(errno.EIO, str(error), where) from error


def _refusal(error: ClientError, where: str) -> OSError:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    code = error.response["Error"]["Code"]
    text = f"{code}: {error.response['Error'].get('Message', status)}"
    if code == "NoSuchBucket":
        return OSError(errno.ENODEV, "there is no such bucket", where)
    if status >= 500 or code in ("RequestTimeout", "SlowDown"):
        return UnansweredError(errno.ETIMEDOUT, text, where)
    match status:
        case 404:
            return FileNotFoundError(errno.ENOENT, text, where)
        case 409:
            return ConflictError(errno.EAGAIN, text, where)
        case 412:
            return RefusedError(errno.EEXIST, text, where)
        case 401 | 403:
            return PermissionError(errno.EACCES, text, where)
        case _:
            return OSError(errno.EIO, text, where)
