"""What happened: the folder of a render, its plans, and the append-only Parquet log of what is committed."""

from ursa_ray.ledger.commit import Commit
from ursa_ray.ledger.run import CONTACT_SHEET, FILM, SAMPLES, Run
from ursa_ray.ledger.steps import Steps, preview_name
from ursa_ray.ledger.store import Store, open_store, refused

__all__ = [
    "CONTACT_SHEET",
    "FILM",
    "SAMPLES",
    "Commit",
    "Run",
    "Steps",
    "Store",
    "open_store",
    "preview_name",
    "refused",
]
