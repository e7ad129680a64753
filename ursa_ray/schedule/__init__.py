"""Pure scheduling: which job next, what after a failure, and how long it takes. Nothing here waits, talks or writes."""

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
from ursa_ray.schedule.fleet import Device, Dice, Fleet, Luck
from ursa_ray.schedule.jobs import Job, missing_jobs
from ursa_ray.schedule.quarantine import Answers
from ursa_ray.schedule.schedule import Attempt, Schedule
from ursa_ray.schedule.simulator import Simulated, simulate
from ursa_ray.schedule.stragglers import LOOK_EVERY_S

__all__ = [
    "LOOK_EVERY_S",
    "Action",
    "Answers",
    "Attempt",
    "BlockNode",
    "Demand",
    "Device",
    "Dice",
    "Failure",
    "Fleet",
    "GiveUp",
    "Job",
    "Limits",
    "Luck",
    "Place",
    "Requeue",
    "Retry",
    "Schedule",
    "Simulated",
    "after_failure",
    "missing_jobs",
    "node_to_block",
    "simulate",
]
