"""Which replicas answer a known question wrongly: their card is broken, and what they made would be too.

All of a kind of device must give the same answer, twice. Where answers differ, most replicas are right, and of as many
the first.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from ursa_ray.schedule.failures import Place


class Answers:
    """What replicas answered; those that are gone still count."""

    def __init__(self) -> None:
        self._answers: defaultdict[str, dict[Place, Sequence[str]]] = defaultdict(dict)

    def add(self, place: Place, answers: Sequence[str]) -> None:
        """`answers` to the same question, asked again and again."""
        self._answers[place.device][place] = answers

    def distrusted(self) -> dict[Place, str]:
        """Replicas that must not work, and why."""
        return {place: reason for device in self._answers for place, reason in self._distrusted_of(device) if reason}

    def _distrusted_of(self, device: str) -> list[tuple[Place, str]]:
        answers = self._answers[device]
        stable = Counter(given[0] for given in answers.values() if len(set(given)) == 1)
        right = max(stable, key=stable.__getitem__, default=None)  # of equal ones, the first
        return [(place, _reason(given, right, device)) for place, given in answers.items()]


def _reason(given: Sequence[str], right: str | None, device: str) -> str:
    if len(set(given)) > 1:
        return f"its {device} gave {len(set(given))} answers to one question"
    return "" if given[0] == right else f"its {device} answers otherwise than the others"
