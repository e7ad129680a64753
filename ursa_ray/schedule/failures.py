"""What to do when a job fails."""

from dataclasses import dataclass

from ursa_ray.errors import InputError

MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Retry:
    attempt: int


@dataclass(frozen=True)
class GiveUp:
    reason: str


def after_failure(num_attempts: int, error: Exception) -> Retry | GiveUp:
    """Decide after `num_attempts` failed attempts, the last with `error`.

    What the user gave does not get better by trying again; everything else may have been the machine.
    """
    if isinstance(error, InputError):
        return GiveUp(str(error))
    if num_attempts >= MAX_ATTEMPTS:
        return GiveUp(f"failed {num_attempts} times, the last time with: {error}")
    return Retry(num_attempts + 1)
