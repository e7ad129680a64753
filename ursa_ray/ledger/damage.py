"""Passing over a damaged entry: what it held is rendered again.

Its file stays where it is until a compaction removes it with all others. If it began the latest plan, the takes that
were new in it are forgotten; given again, `--retake` finds what is committed of them.
"""

import os
from socket import gethostname

from ursa_ray.errors import OptionError
from ursa_ray.ledger.chain import log_name
from ursa_ray.ledger.commit import Commit
from ursa_ray.ledger.format import require_format
from ursa_ray.ledger.log import Log
from ursa_ray.ledger.store import Store


def invalidate(store: Store, number: int) -> None:
    """Append that entry `number` does not count as long as its bytes are those that are there now, or is missing.

    Raises:
        OptionError: it is whole, or is no entry after the newest snapshot.
        LeaseError: a render works on this run.
    """
    require_format(store)
    holder = f"process {os.getpid()} on {gethostname()}"
    with store.lease(holder):
        log = Log(store)
        found = {entry.number: entry.sha256 for entry in log.read_past_damage()}
        if not found.get(number):
            raise OptionError(
                f"{store.url}/{log_name(number)}: is not to be invalidated, only entries that `ursa-ray fsck` calls "
                f"damaged or missing are: {', '.join(map(str, sorted(filter(found.get, found)))) or 'none'}."
            )
        log.begin_epoch(holder)
        log.append(Commit("invalidate", str(number), files={log_name(number): found[number]}))
