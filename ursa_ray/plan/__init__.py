"""Pure planning: a storyboard and a checkpoint in, every segment with its key, condition, seed and cost out."""

from ursa_ray.plan.difference import Difference, difference
from ursa_ray.plan.lint import lint
from ursa_ray.plan.planner import plan_storyboard
from ursa_ray.plan.portable import plan_about, plan_columns, plan_of
from ursa_ray.plan.segments import (
    ClipCondition,
    Condition,
    ImageCondition,
    ParentCondition,
    Plan,
    PlannedShot,
    Segment,
)
from ursa_ray.plan.takes import Takes, choose_takes, take_again, with_takes

__all__ = [
    "ClipCondition",
    "Condition",
    "Difference",
    "ImageCondition",
    "ParentCondition",
    "Plan",
    "PlannedShot",
    "Segment",
    "Takes",
    "choose_takes",
    "difference",
    "lint",
    "plan_about",
    "plan_columns",
    "plan_of",
    "plan_storyboard",
    "take_again",
    "with_takes",
]
