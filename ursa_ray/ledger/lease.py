"""The right to render into a bucket: an object that its holder renews, and that others may take once it is not.

Clocks of different machines are never compared: whoever wants the lease watches it for one life by its own clock. It
only saves two renders from working side by side; that they never both commit is up to the log.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

from ursa_ray.errors import LeaseError
from ursa_ray.ledger.bucket import Bucket, Found

# Renewed every 10 s: a put that is not answered within 10 s (ENTRY_TIMEOUT_S) leaves time for one more. Six that are
# refused at once take 9 s, and a second later come the next. A store that answers nothing for 20 s may cost the lease,
# no more than that. A render after a killed one waits a whole life before it begins.
LIFE_S = 30.0


class Lease:
    """`is_lost` once another has taken it."""

    def __init__(self, bucket: Bucket, key: str, url: str, life_s: float):
        self._bucket = bucket
        self._key = key
        self._url = url
        self._life_s = life_s
        self._etag = ""
        self._over = threading.Event()
        self.is_lost = False

    @contextmanager
    def held(self, holder: str) -> Iterator[Self]:
        """Take it, renew it for as long as the context lasts, and release it.

        Raises:
            LeaseError: another holds it; says who.
            OSError: the store refuses.
        """
        self._take(holder)
        renewing = threading.Thread(target=self._keep_renewing, args=(holder,), daemon=True)
        renewing.start()
        try:
            yield self
        finally:
            self._over.set()
            renewing.join()
            self._release()

    def _take(self, holder: str) -> None:
        found = self._unheld()
        self.content = self._text(holder)
        try:
            self._etag = self._bucket.swap(self._key, self.content, None if found is None else found.etag)
        except FileExistsError:
            raise self._refusal(self._bucket.find(self._key)) from None

    def _unheld(self) -> Found | None:
        """What there is once nobody holds it."""
        first = self._bucket.find(self._key)
        if first is None or not _holder(first):
            return first
        life_s = _life_s(first, self._life_s)
        end = time.monotonic() + life_s
        while (left_s := end - time.monotonic()) > 0:
            time.sleep(min(left_s, life_s / 10))
            now = self._bucket.find(self._key)
            if now is None or not _holder(now):
                return now
            if now.etag != first.etag:
                raise self._refusal(now)
        return first

    def _keep_renewing(self, holder: str) -> None:
        content, wait_s = self._text(holder), self._life_s / 3
        while not self._over.wait(wait_s):
            try:
                self._etag = self._bucket.swap(self._key, content, self._etag)
                content, wait_s = self._text(holder), self._life_s / 3
            except FileExistsError:
                self.is_lost = True
                return
            except OSError:
                # Perhaps carried out: the next try has the same content and finds that out.
                wait_s = self._life_s / 30

    def _release(self) -> None:
        with suppress(OSError):  # It is another's, or is left to run out.
            self._bucket.swap(self._key, self._text(""), self._etag)

    def _text(self, holder: str) -> bytes:
        """Never the same twice, so that every renewal has another ETag."""
        return json.dumps({"holder": holder, "nonce": secrets.token_hex(16), "life_s": self._life_s}).encode()

    def _refusal(self, found: Found | None) -> LeaseError:
        holder = "another process" if found is None else _holder(found) or "another process"
        return LeaseError(
            f"{self._url}: another render works on this run ({holder}). Wait for it, or give this one another --run."
        )


def seen_holder(bucket: Bucket, key: str, life_s: float) -> str | None:
    """Who holds a lease, for one who does not want it: a lease older than its life is nobody's.

    Raises:
        OSError: the store refuses.
    """
    found = bucket.find(key)
    if found is None or not _holder(found) or bucket.age_s(key) > _life_s(found, life_s):
        return None
    return _holder(found)


def _holder(found: Found) -> str:
    """Empty if it was released; a damaged lease is somebody's until it has run out."""
    try:
        return str(json.loads(found.content)["holder"])
    except (ValueError, LookupError, TypeError):
        return "unknown"


def _life_s(found: Found, otherwise_s: float) -> float:
    try:
        return float(json.loads(found.content)["life_s"])
    except (ValueError, LookupError, TypeError):
        return otherwise_s
