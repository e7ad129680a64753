"""Replicas whose card answers a known question wrongly."""

from ursa_ray.schedule import Answers, Place


def place(name, device="H100"):
    return Place(name, "node", device)


def distrusted(*given):
    answers = Answers()
    for replica, answer in given:
        answers.add(replica, answer)
    return {replica.replica: reason for replica, reason in answers.distrusted.items()}


def test_replicas_that_agree_are_trusted():
    assert distrusted((place("a"), ["x", "x"]), (place("b"), ["x", "x"])) == {}


def test_a_card_that_gives_two_answers_to_one_question_is_not():
    assert distrusted((place("a"), ["x", "y"])) == {"a": "its H100 gave 2 answers to one question"}


def test_of_as_many_answers_the_first_is_right():
    wrong = {"b": "its H100 answers otherwise than the others"}
    assert distrusted((place("a"), ["x", "x"]), (place("b"), ["y", "y"])) == wrong


def test_the_first_may_turn_out_to_be_the_broken_one():
    given = [(place("a"), ["x", "x"]), (place("b"), ["y", "y"]), (place("c"), ["y", "y"])]
    assert distrusted(*given).keys() == {"a"}


def test_other_kinds_of_device_may_answer_otherwise():
    assert distrusted((place("a"), ["x", "x"]), (place("b", "L40S"), ["y", "y"])) == {}


def test_an_unsteady_card_has_no_vote():
    given = [(place("a"), ["x", "y"]), (place("b"), ["x", "z"]), (place("c"), ["y", "y"])]
    assert distrusted(*given).keys() == {"a", "b"}
