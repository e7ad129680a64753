"""Which replicas answer a known question wrongly: their card is broken, and what they made would be too.

All of a kind of device must give the same answer, twice. Where answers differ, most replicas are right, and of as many
the first.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from ursa_ray.schedule.failures import Place


class Answers:
    """What replicas answered; those that are gone still count. `distrusted` must not work, for the reason given."""

    def __init__(self) -> None:
        self._answers: defaultdict[str, dict[Place, Sequence[str]]] = defaultdict(dict)
        self.distrusted: dict[Place, str] = {}

    def add(self, place: Place, answers: Sequence[str]) -> None:
        """`answers` to the same question, asked again and again."""
        given = self._answers[place.device]
        given[place] = answers
        stable = Counter(each[0] for each in given.values() if len(set(each)) == 1)
        right = max(stable, key=stable.__getitem__, default=None)  # of equal ones, the first
        for each in given:
            self.distrusted.pop(each, None)
            if reason := _reason(given[each], right, place.device):
                self.distrusted[each] = reason


def _reason(given: Sequence[str], right: str | None, device: str) -> str:
    if len(set(given)) > 1:
        return f"its {device} gave {len(set(given))} answers to one question"
    return "" if given[0] == right else f"its {device} answers otherwise than the others"
