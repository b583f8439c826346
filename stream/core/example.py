"""Examples: what a decision teaches the learner, with the features that it had."""

from __future__ import annotations

from typing import TypeAlias

from stream.core.value import Value


class Labelled(Value, frozen=True):
    """An exposure and what became of it: ``label`` 1 if the item was bought in time, else 0.

    ``features`` are packed; see :func:`stream.core.features.unpack`.
    """

    time: int
    label: int
    segment: int | None
    features: bytes


class Step(Value, frozen=True):
    """One step of a session: ``item`` after ``previous`` (oldest first) of the same session."""

    time: int
    session: int
    segment: int | None
    item: str
    previous: tuple[str, ...]
    category: str | None
    brand: str | None
    price: int | None


class Basket(Value, frozen=True):
    """The items of one order, each once."""

    time: int
    segment: int | None
    items: tuple[str, ...]


class Portrait(Value, frozen=True):
    """A customer's vector for segmentation; see :func:`stream.core.features.portrait`."""

    time: int
    vector: tuple[float, ...]


Example: TypeAlias = Labelled | Step | Basket | Portrait
