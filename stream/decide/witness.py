"""A witness of decisions: what an offer was made from, so that it can be made again.

A decision rests on the customer's record, the event, and what the world answered: the models, the
catalog, the index of new items. The models of a moment are gone a second later, and the record at
the customer's next event. What was *answered* is little: it is kept, with the rest, and whoever
decides again with a world that answers the same comes to the same offer, bit for bit.

Rules: a witness changes nothing that it sees, and hears every answer in its order. It belongs to
one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from msgspec.structs import replace

if TYPE_CHECKING:
    from stream.decide.world import World
    from stream.domain.event import CatalogItem, Event, Moment
    from stream.domain.offer import Cause

Answers = list[tuple[str, Any]]
"""What was asked, such as ``recommender.recommend``, and the answer."""

ASKED: Final = ("propensity", "segments", "recommender", "baskets", "items", "trials")
LOOKED_UP: Final = ("catalog", "alike")
OWN: Final = {"rules": "judge", "sources": "find"}


class Evidence(NamedTuple):
    """What an offer was made from.

    Attributes
    ----------
    record
        The customer's, without effects, as the event left it; see :mod:`stream.decide.rows.layout`.
    event, cause
    now
        Stream time in ms.
    world
        Its settings, campaigns, and what its models say of themselves; not what it answers.
    answers
    """

    record: bytes
    event: Event | Moment
    cause: Cause
    now: int
    world: World
    answers: Answers


class Differs(Exception):
    """What is decided again asks something else than it did."""


class Witness:
    """Keeps what the offers of a batch were made from, until it is asked."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, Evidence]] = []
        self._watched: tuple[World, Answers] | None = None

    def watch(self, world: World) -> World:
        """The world as one decision is to see it: each answer is noted."""
        answers: Answers = []
        self._watched = world, answers
        return _with(world, lambda name, of: Watched(name, of, answers.append))

    def saw(
        self, record: bytes, event: Event | Moment, cause: Cause, now: int, offer_id: str
    ) -> None:
        """Keep what the decision rests on that was watched last, and that came to an offer."""
        assert self._watched is not None, "nothing is watched"
        self._seen.append((offer_id, Evidence(record, event, cause, now, *self._watched)))

    def drain(self) -> list[tuple[str, Evidence]]:
        """What was seen since the last call, in order, with the offers' ids."""
        seen, self._seen, self._watched = self._seen, [], None
        return seen


class Watched:
    """Something that is asked, each answer noted; what it is asked for is not."""

    __slots__ = ("_name", "_note", "_of")

    def __init__(self, name: str, of: Any, note: Callable[[tuple[str, Any]], None]) -> None:
        self._name, self._of, self._note = name, of, note

    def __getattr__(self, name: str) -> Any:
        known, asked, note = getattr(self._of, name), f"{self._name}.{name}", self._note
        if not callable(known):
            return self._noted(asked, known)

        def ask(*args: Any, **named: Any) -> Any:  # items are looked up by the dozen
            answer = known(*args, **named)
            note((asked, answer.copy() if type(answer) is np.ndarray else answer))
            return answer

        return ask

    def __getitem__(self, key: Any) -> Any:
        return self._noted(f"{self._name}[]", self._of[key])

    def __contains__(self, key: Any) -> bool:
        return bool(self._noted(f"{self._name} has", key in self._of))

    def __len__(self) -> int:
        return int(self._noted(f"{self._name} length", len(self._of)))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._noted(f"{self._name} all", list(self._of)))

    def _noted(self, asked: str, answer: Any) -> Any:
        # an array may be a buffer that is written again
        self._note((asked, answer.copy() if type(answer) is np.ndarray else answer))
        return answer


class RepeatedAnswers:
    """Answers what was answered before, in the same order, whatever it is asked with."""

    def __init__(self, name: str, answers: Iterator[tuple[str, Any]]) -> None:
        self._name, self._answers = name, answers

    def __getattr__(self, name: str) -> Any:
        asked = f"{self._name}.{name}"
        return lambda *args, **named: self._told(asked)

    def __getitem__(self, key: Any) -> Any:
        return self._told(f"{self._name}[]")

    def __contains__(self, key: Any) -> bool:
        return bool(self._told(f"{self._name} has"))

    def __len__(self) -> int:
        return int(self._told(f"{self._name} length"))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._told(f"{self._name} all"))

    def _told(self, asked: str) -> Any:
        before, answer = next(self._answers, ("nothing", None))
        if before != asked:
            raise Differs(f"it asks for {asked}, and asked for {before}")
        return answer


class Named:
    """A rule or a source of which the name is known; ``say`` is what it says, or said then."""

    __slots__ = ("find", "judge", "name")

    def __init__(self, name: str, say: Any = None) -> None:
        self.name, self.judge, self.find = name, say, say


def unwatched(world: World) -> Callable[[str], CatalogItem | None]:
    """What is known of an item, without its being noted: what a source looks at is its own."""
    catalog: Any = world.catalog
    told: Any = world.models.items
    if isinstance(catalog, Watched):
        catalog, told = catalog._of, told._of
    return lambda item_id: catalog.get(item_id) or told.get(item_id)


def as_it_was(evidence: Evidence) -> World:
    """A world that answers what was answered then.

    What is decided with it raises `Differs` where it asks something else.
    """
    answers = iter(evidence.answers)
    return _with(evidence.world, lambda name, of: RepeatedAnswers(name, answers))


def _with(world: World, of: Callable[[str, Any], Any]) -> World:
    models = world.models
    asked = {name: of(name, getattr(models, name)) for name in ASKED}
    looked_up = {name: of(name, getattr(world, name)) for name in LOOKED_UP}
    for point, says in OWN.items():
        if own := getattr(world, point):
            held = [(each.name, of(f"{point} {each.name}", each)) for each in own]
            looked_up[point] = tuple([Named(name, getattr(one, says)) for name, one in held])
    return world._replace(models=replace(models, **asked), witness=None, **looked_up)
