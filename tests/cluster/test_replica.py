"""What goes between a driver and its replicas, whose processes may be on other machines."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from fractions import Fraction
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from ursa_ray.cluster.replica import Replica

PLAIN = {str, int, float, bool, NoneType, Fraction, Path, np.ndarray}


def made_of(kind):
    """The types of all values in a value of this type; of what is no tuple and no frozen dataclass it is itself."""
    if get_origin(kind) is Literal:
        return {type(value) for value in get_args(kind)}
    if get_origin(kind) in (Union, UnionType, tuple, Iterator):
        within = [each for each in get_args(kind) if each is not Ellipsis]
    elif is_dataclass(kind) and kind.__dataclass_params__.frozen:
        within = get_type_hints(kind).values()
    else:
        return {kind}
    return set().union(*map(made_of, within))


def test_what_travels_to_a_replica_and_back_is_plain_data():
    methods = [method for name, method in vars(Replica).items() if callable(method) and not name.startswith("__")]
    assert {method.__name__ for method in methods} == {"load", "framed", "run"}
    hints = [hint for method in [Replica.__init__, *methods] for hint in get_type_hints(method).values()]
    assert set().union(*map(made_of, hints)) <= PLAIN
