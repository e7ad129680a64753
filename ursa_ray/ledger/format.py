"""FORMAT.json: that a place is a run, of which version, and what whoever opens it must know.

A column or an event that older readers may pass over needs no mention. Anything else is a feature: it has a name, and
a run that uses it requires it.
"""

import json
from typing import Any

from ursa_ray.errors import LedgerError, OptionError
from ursa_ray.ledger.store import Store

FORMAT_NAME = "FORMAT.json"
FORMAT: dict[str, Any] = {"format": "ursa-ray run", "version": 1, "requires": []}

# What this version knows of all that a run may require.
FEATURES: frozenset[str] = frozenset()

NEWER = "Use a newer ursa-ray."


def write_format(store: Store) -> None:
    store.create(FORMAT_NAME, json.dumps(FORMAT).encode())


def require_format(store: Store) -> None:
    """Refuse what this version does not know.

    Raises:
        OptionError: it is not a run.
        LedgerError: it is damaged, or of another version.
    """
    file = f"{store.url}/{FORMAT_NAME}"
    try:
        found = json.loads(store.read(FORMAT_NAME))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise OptionError(f"{store.url}: is not a run ({FORMAT_NAME} is missing).") from error
    except OSError as error:
        raise OptionError(
            f"{file}: cannot be read ({error.strerror}). Make it readable, or give another run."
        ) from error
    except ValueError as error:
        raise LedgerError(f"{file}: is damaged. It should hold {json.dumps(FORMAT)}.") from error
    requires = found.get("requires", []) if isinstance(found, dict) else None
    if requires is None or not _is_names(requires) or found | {"requires": requires} != FORMAT | {"requires": requires}:
        raise LedgerError(f"{file}: is {json.dumps(found)}, expected {json.dumps(FORMAT)}. {NEWER}")
    if unknown := sorted(set(requires) - FEATURES):
        raise LedgerError(f"{file}: requires {', '.join(unknown)}, which this ursa-ray does not know. {NEWER}")


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
