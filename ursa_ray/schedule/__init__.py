"""Pure scheduling: which job next, and what after a failure. Nothing here waits, talks or writes."""

from ursa_ray.schedule.demand import Demand, Limits
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
from ursa_ray.schedule.quarantine import Answers
from ursa_ray.schedule.schedule import Attempt, Job, Schedule

__all__ = [
    "Action",
    "Answers",
    "Attempt",
    "BlockNode",
    "Demand",
    "Failure",
    "GiveUp",
    "Job",
    "Limits",
    "Place",
    "Requeue",
    "Retry",
    "Schedule",
    "after_failure",
    "node_to_block",
]
