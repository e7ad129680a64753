import pytest

from ursa_ray.listener import Harmless, Listener, Several
from ursa_ray.schedule import Place

PLACE = Place("replica", "node")


class Remembering(Listener):
    def __init__(self):
        self.heard = []

    def leave(self, place):
        self.heard.append(("leave", place))

    def hold(self, place, reason):
        self.heard.append(("hold", place, reason))


class Failing(Remembering):
    def hold(self, place, reason):
        super().hold(place, reason)
        raise ValueError("no")


def test_several_listeners_all_hear_everything_in_turn():
    first, second = Remembering(), Remembering()
    told = Several(first, second)
    told.leave(PLACE)
    told.hold(PLACE, "wrong")
    assert first.heard == second.heard == [("leave", PLACE), ("hold", PLACE, "wrong")]


def test_a_listener_that_fails_ends_a_render():
    with pytest.raises(ValueError, match="no"):
        Several(Failing()).hold(PLACE, "wrong")


def test_a_harmless_listener_that_fails_is_told_no_more_and_ends_nothing(caplog):
    failing = Failing()
    told = Harmless(failing)
    for reason in ("one", "two"):
        told.hold(PLACE, reason)
    told.leave(PLACE)
    assert failing.heard == [("hold", PLACE, "one")]
    assert [record.getMessage() for record in caplog.records] == ["hold: no; it is told no more."]
