"""A process that commits to a run until somebody stops it; light, since tests start hundreds."""

import itertools
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from ursa_ray.errors import LeaseError
from ursa_ray.ledger import Commit, Run
from ursa_ray.ledger.bucket import connect
from ursa_ray.ledger.folder import FolderStore
from ursa_ray.ledger.s3 import S3Store

# So long a render that was killed or stopped keeps its lease on a bucket in these tests.
LIFE_S = 0.1


class UnlockedFolder(FolderStore):
    """As on a file system without locks."""

    def lease(self, holder):
        return nullcontext()


class UnlockedS3(S3Store):
    """As if the other's lease had run out already."""

    def lease(self, holder):
        return nullcontext()


def store_at(url, is_locked, client=None):
    if url.startswith("s3://"):
        kind = S3Store if is_locked else UnlockedS3
        client = client or connect(1, 10.0)
        return kind(url, LIFE_S, entries=client, files=client)
    return (FolderStore if is_locked else UnlockedFolder)(Path(url))


def append(url: str, journal: str, address: str) -> None:
    """Commit; note in a file outside the run what is committed; exit as the command line does."""
    os.environ.update(AWS_ENDPOINT_URL=address, AWS_ACCESS_KEY_ID="nobody", AWS_SECRET_ACCESS_KEY="nothing")
    try:
        with Path(journal).open("ab", buffering=0) as file:
            run = Run(store_at(url, is_locked=True))
            with run.locked():
                for number in itertools.count():
                    run.commit(Commit("film", f"first/{number}"))
                    file.write(f"first/{number}\n".encode())
                    # Ever slower: on a busy core, whoever has to read all that is there would never catch up.
                    time.sleep(0.005 * number)
    except LeaseError:
        sys.exit(LeaseError.exit_code)
