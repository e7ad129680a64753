"""What a log comes to, in one file: `snap/<number of the last entry in it>.parquet`.

A snapshot holds the latest row of every segment and of every kind of event, and the head of the log, from which the
chain goes on. Rows that later ones replace are left out.
"""

from ursa_ray.errors import LedgerError
from ursa_ray.ledger.chain import Head, file_name
from ursa_ray.ledger.commit import SCHEMA, Commit
from ursa_ray.ledger.sealed import seal, unseal
from ursa_ray.ledger.store import Store

FOLDER = "snap"
FIX = "Restore it, or run `ursa-ray fsck` on this run."


def snapshot_name(number: int) -> str:
    return f"{FOLDER}/{file_name(number)}"


def write_snapshot(store: Store, commits: list[Commit], head: Head) -> None:
    """Put the snapshot of a log that ends at `head`, and read it back.

    Raises:
        LedgerError: it is not what was written; it is removed again.
    """
    last = head.num_entries - 1
    name = snapshot_name(last)
    about = {"number": last, "epoch": head.epoch, "sha256": head.sha256}
    store.create(name, seal([commit.to_row() for commit in commits], SCHEMA, about))
    try:
        if read_snapshot(store, last) != (commits, head):
            raise LedgerError(f"{store.url}/{name}: is not what was written. Check the disk.")
    except LedgerError:
        store.remove(name)
        raise


def read_snapshot(store: Store, number: int) -> tuple[list[Commit], Head]:
    """Its rows, and the head of the log that they come from.

    Raises:
        LedgerError: it is damaged or cannot be read.
        FileNotFoundError: it has vanished.
    """
    name = snapshot_name(number)
    where = f"{store.url}/{name}"
    try:
        rows, about = unseal(store.read(name), where, FIX)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LedgerError(f"{where}: cannot be read ({error.strerror}). {FIX}") from error
    try:
        head = Head(about["number"] + 1, about["epoch"], about["sha256"])
        commits = [Commit.from_row(row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{where}: is not a snapshot of this version ({error!r}). {FIX}") from error
    if about["number"] != number:
        raise LedgerError(f"{where}: is damaged (it is snapshot {about['number']}). {FIX}")
    return commits, head
