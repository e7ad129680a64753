"""Pure planning: a storyboard and a checkpoint in, every segment with its key, condition, seed and cost out."""

from ursa_ray.plan.lint import lint
from ursa_ray.plan.planner import plan_storyboard
from ursa_ray.plan.segments import (
    ClipCondition,
    Condition,
    ImageCondition,
    ParentCondition,
    Plan,
    PlannedShot,
    Segment,
)

__all__ = [
    "ClipCondition",
    "Condition",
    "ImageCondition",
    "ParentCondition",
    "Plan",
    "PlannedShot",
    "Segment",
    "lint",
    "plan_storyboard",
]
