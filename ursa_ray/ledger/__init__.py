"""What happened: the folder of a render, its plans, and the append-only Parquet log of what is committed."""

from ursa_ray.ledger.commit import Commit
from ursa_ray.ledger.run import Run

__all__ = ["Commit", "Run"]
