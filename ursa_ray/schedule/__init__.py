"""Pure scheduling: which job next, and what after a failure. Nothing here waits, talks or writes."""

from ursa_ray.schedule.failures import GiveUp, Retry, after_failure
from ursa_ray.schedule.schedule import Job, Schedule

__all__ = ["GiveUp", "Job", "Retry", "Schedule", "after_failure"]
