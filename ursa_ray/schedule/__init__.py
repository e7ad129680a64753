"""Pure scheduling: which job next, and what after a failure. Nothing here waits, talks or writes."""

from ursa_ray.schedule.failures import (
    Action,
    BlockNode,
    Failure,
    GiveUp,
    Place,
    Requeue,
    Retry,
    after_failure,
    node_to_block,
)
from ursa_ray.schedule.schedule import Job, Schedule

__all__ = [
    "Action",
    "BlockNode",
    "Failure",
    "GiveUp",
    "Job",
    "Place",
    "Requeue",
    "Retry",
    "Schedule",
    "after_failure",
    "node_to_block",
]
