"""How often the next item of a session is among those recommended.

Rules: every answer is given before it is learned from; times come from the clock that the caller
passes. Hit rate and mean reciprocal rank count all positions, also those about which nothing was
known. With seen items excluded, a position whose target was seen is a miss.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from stream.codec.examples import decode_examples
from stream.config import CoreSettings, LearningSettings
from stream.decide.example import SessionStep as Example
from stream.decide.example import framed
from stream.decide.rows.advance import browse
from stream.decide.rows.arriving import packed
from stream.decide.rows.parameters import rules_of
from stream.decide.rows.record import NEW, Desk
from stream.domain.event import Action, Click
from stream.learn.learner import STEPS
from stream.models.recommend.features import COMMON, LOOK_BACK, SOURCES
from stream.models.recommend.recommender import Recommender
from stream.models.recommend.sources import NOBODY
from stream.models.recommend.steps import TimedStep

K: Final = 20
BATCH: Final = STEPS * LearningSettings().step  # steps learned at once, as in the live stream
TIMES: Final = 1_000_000  # recommendations whose duration is kept

Clock = Callable[[], float]
Tick = Callable[[int], None]


class Question(NamedTuple):
    """A question: what comes after ``prefix``?"""

    prefix: Sequence[str]
    target: str


class Tally:
    """Hit rate and mean reciprocal rank at 20.

    Examples
    --------
    >>> tally = Tally()
    >>> tally.add(1), tally.add(None)
    (None, None)
    >>> tally.report()
    {'positions': 2, 'hr_at_20': 0.5, 'mrr_at_20': 0.25}
    """

    def __init__(self) -> None:
        self.positions = 0
        self.hits = 0
        self.reciprocal = 0.0

    def add(self, place: int | None) -> None:
        """Count an answer: the target's place from 0, or None if it was not in the list."""
        self.positions += 1
        if place is not None and place < K:
            self.hits += 1
            self.reciprocal += 1.0 / (place + 1)

    def report(self) -> dict[str, Any]:
        """Positions, and both measures as fractions."""
        of = max(1, self.positions)
        return {
            "positions": self.positions,
            "hr_at_20": self.hits / of,
            "mrr_at_20": self.reciprocal / of,
        }


class Measure:
    """Quality and speed of the answers to many questions.

    Parameters
    ----------
    recommender
        Who answers.
    clock
        In seconds.
    """

    def __init__(self, recommender: Recommender, clock: Clock) -> None:
        self.recommender = recommender
        self.allowed, self.excluded, self.fresh = Tally(), Tally(), Tally()
        self._clock = clock
        self._seconds: list[float] = []

    def ask(self, row: Question, session: int = NOBODY, segment: int | None = None) -> None:
        """Have a question answered, and count the answer."""
        seen = set(row.prefix)
        began = self._clock()
        ranked = self.recommender.recommend(row.prefix, K + len(seen), (), session, segment)
        if len(self._seconds) < TIMES:
            self._seconds.append(self._clock() - began)
        items = [one.item for one in ranked]
        self.allowed.add(_place(row.target, items))
        place = _place(row.target, [item for item in items if item not in seen])
        self.excluded.add(place)
        if row.target not in seen:
            self.fresh.add(place)

    def report(self) -> dict[str, Any]:
        """What was measured, for machines."""
        micros = np.array(self._seconds or [0.0]) * 1e6
        return {
            "positions": self.allowed.positions,
            "seen_allowed": self.allowed.report(),
            "seen_excluded": self.excluded.report(),
            "new_target_rows": self.fresh.report(),
            "microseconds_per_recommendation": {
                "mean": float(micros.mean()),
                "p99": float(np.percentile(micros, 99)),
            },
        }


class Curve:
    """How the blend's lead over each single source grows, in windows of the stream.

    Parameters
    ----------
    recommender
        Whose sources are compared.
    window
        Positions in one point of the curve.
    measure
        ``mrr_at_20`` or ``hr_at_20``.
    """

    def __init__(
        self, recommender: Recommender, window: int = 4_000, measure: str = "mrr_at_20"
    ) -> None:
        self.recommender = recommender
        self.window = window
        self.measure = measure
        self.series: dict[str, list[tuple[float, float]]] = {}
        self._tallies: dict[str, Tally] = {}
        self._positions = 0

    def ask(self, row: Question, session: int = NOBODY) -> None:
        """Rank the target by the blend, by each source, and by the session's own items."""
        pool = self.recommender.gather(row.prefix, session)
        vocabulary = self.recommender.pairs.vocabulary
        number = vocabulary.find(row.target)
        slot = number & vocabulary.mask if number else -1
        places: dict[str, int | None] = dict.fromkeys(("blend", *SOURCES, "own"))
        if pool is not None and slot in pool.slots:
            at = int(np.flatnonzero(pool.slots == slot)[0])
            scores = self.recommender.scores(pool)
            places["blend"] = int((scores > scores[at]).sum())
            for name, source in zip(SOURCES, pool.features.T[len(SOURCES) : COMMON], strict=True):
                places[name] = int((source > source[at]).sum()) if source[at] > 0 else None
            newest = list(dict.fromkeys(reversed(row.prefix)))
            places["own"] = newest.index(row.target) if row.target in newest else None
        for name, place in places.items():
            self._tallies.setdefault(name, Tally()).add(place)
        self._positions += 1
        if self._positions % self.window == 0:
            self._point()

    def _point(self) -> None:
        for name, tally in self._tallies.items():
            value = tally.report()[self.measure]
            self.series.setdefault(name, []).append((float(self._positions), value))
        self._tallies.clear()

    def gained(self) -> list[tuple[float, float]]:
        """What the blend has won so far over the best single source of the whole stream.

        In hits (or reciprocal ranks): the lead in each window times its positions, summed.
        """
        singles = {name: line for name, line in self.series.items() if name != "blend"}
        if not singles:
            return []
        best = max(singles.values(), key=lambda line: sum(y for _, y in line))
        won, points = 0.0, []
        for (x, y), (_, other) in zip(self.series["blend"], best, strict=True):
            won += (y - other) * self.window
            points.append((x, won))
        return points


class Sessions:
    """Cuts customers' clicks into sessions, and tells of each step what the live stream tells.

    It is the live stream's own code: the customer's history, and the lesson of a click.

    Parameters
    ----------
    settings
        After how long a silence a session ends, and how many items are remembered.
    customers
        Customers remembered at once; the one least lately seen is forgotten.

    Examples
    --------
    >>> sessions = Sessions()
    >>> first = sessions.step("c1", None, "tea", 1_000)
    >>> first.previous, sessions.step("c1", None, "milk", 2_000).previous
    ((), ('tea',))
    >>> sessions.step("c1", None, "soap", 10_000_000).session == first.session
    False
    """

    def __init__(self, settings: CoreSettings | None = None, customers: int = 200_000) -> None:
        self.settings = settings or CoreSettings()
        self.customers = customers
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._rules = rules_of(self.settings, learning=True)
        self._desk = Desk()

    def step(self, customer: str, session: str | None, item: str, time: int) -> TimedStep:
        """The step that a click makes."""
        click = Click("", customer, time, Action.VIEW, item, session_id=session)
        event = packed(click, 0, 0, time, self.settings.currency, None)
        browse(self._known.pop(customer, NEW), event, self._rules, self._desk.tables)
        self._known[customer] = self._desk.record()
        if len(self._known) > self.customers:
            self._known.popitem(last=False)
        told = decode_examples(framed(*self._desk.examples()))[0]
        assert isinstance(told, Example)
        return TimedStep(told.session, told.previous, told.item, told.time, told.segment)


def session_steps(sessions: Iterable[Sequence[str]]) -> Iterator[TimedStep]:
    """Steps of whole sessions, one after the other, all at time 0."""
    for number, items in enumerate(sessions):
        for place, item in enumerate(items):
            yield TimedStep(number, items[max(0, place - LOOK_BACK) : place], item, 0)


def learn(recommender: Recommender, steps: Iterable[TimedStep], tick: Tick) -> int:
    """Learn steps in batches; returns how many there were."""
    done = 0
    for batch in _batches(steps):
        recommender.learn_many(batch)
        done += len(batch)
        tick(done)
    return done


def prequential(
    recommender: Recommender,
    steps: Iterable[TimedStep],
    ask: Collection[Callable[[Question, int], None]],
    tick: Tick,
) -> int:
    """Ask what each step will be, then learn it; returns how many steps there were."""
    done = 0
    for batch in _batches(steps):
        for step in batch:
            if step.previous:
                for question in ask:
                    question(Question(step.previous, step.item), step.session)
        recommender.learn_many(batch)
        done += len(batch)
        tick(done)
    return done


def _batches(steps: Iterable[TimedStep]) -> Iterator[list[TimedStep]]:
    batch: list[TimedStep] = []
    for step in steps:
        batch.append(step)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _place(target: str, items: list[str]) -> int | None:
    return items.index(target) if target in items[:K] else None
