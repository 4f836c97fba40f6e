"""Ranges of the numbers in configs, which their types carry: `lr: Positive`, and of those that are options of verbs."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Range:
    """What a finite number must lie in: at `least` and at `most` belong to it, `above` and `below` do not."""

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf

    def __contains__(self, number: float) -> bool:
        return math.isfinite(number) and self.least <= number <= self.most and self.above < number < self.below

    def __str__(self) -> str:
        names = {"least": "at least", "above": "above", "most": "at most", "below": "below"}
        limits = {name: getattr(self, key) for key, name in names.items()}
        return " and ".join(f"{name} {limit:g}" for name, limit in limits.items() if math.isfinite(limit)) or "finite"


Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(least=0)]
Share = Annotated[float, Range(least=0, most=1)]
ShareBelowOne = Annotated[float, Range(least=0, below=1)]
Count = Annotated[int, Range(least=1)]
CountOrZero = Annotated[int, Range(least=0)]
Classes = Annotated[int, Range(least=2)]
Finite = Annotated[float, Range()]


def check_ranges(value: Any, hint: Any = None, key: str = "") -> None:
    """Raise ValueError naming the first key of a config, of its sections and lists too, that is out of its range."""
    if is_dataclass(value):
        hints = get_type_hints(type(value), include_extras=True)
        for field in fields(value):
            check_ranges(getattr(value, field.name), hints[field.name], f"{key}.{field.name}".lstrip("."))
    elif isinstance(value, (list, tuple)):  # whose items are of one type
        for number, item in enumerate(value):
            check_ranges(item, next(iter(get_args(hint)), None), f"{key}.{number}")
    elif get_origin(hint) is Annotated:
        for limits in hint.__metadata__:
            if value not in limits:
                raise ValueError(f"{key} is {value:g}: it must be {limits}")


def number(hint: Any) -> Callable[[str], Any]:
    """Return what reads an option of a verb, for argparse, which names the option: `type=number(Count)`."""
    kind, limits = get_args(hint)

    def read(text: str) -> Any:
        value = kind(text)
        if value not in limits:
            raise argparse.ArgumentTypeError(f"{text}: it must be {limits}")
        return value

    read.__name__ = kind.__name__  # argparse says it of what is no number at all
    return read
