"""Have all kernels compiled, once: ``python -m stream.decide.warm``.

What has kernels has a function here, which learns a little and answers, as in earnest: what a
kernel is compiled for are the types of its arguments. A new one is put into `PARTS`. With a part's
name behind the command, that part alone is compiled: so two processes share the work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import replace

from stream.config import CoreSettings, PolicySettings
from stream.decide.batch import decide_batch
from stream.decide.decide import decide
from stream.decide.ledger import UNSTAMPED, Entry, Ledger
from stream.decide.rows.advance import browse, look
from stream.decide.rows.arriving import packed
from stream.decide.rows.layout import is_sound
from stream.decide.rows.parameters import rules_of
from stream.decide.rows.record import NEW, Desk
from stream.decide.world import World
from stream.domain.event import (
    Action,
    Click,
    Consent,
    CustomerUpdate,
    Event,
    Feedback,
    Line,
    Purchase,
    Response,
    Source,
    Trade,
)
from stream.domain.offer import Cause
from stream.models.base.kernel import COMPILED, uncompiled
from stream.models.base.names import Names
from stream.models.base.packed import ROOM, columns_of
from stream.models.propensity import Propensity
from stream.models.recommend.content import Content
from stream.models.recommend.itemfacts import ItemFacts
from stream.models.recommend.recommender import Recommender
from stream.models.recommend.steps import TimedStep
from stream.models.segments.kmeans import IncrementalKMeans


def recommending() -> None:
    """Sessions that come again, until rows are full and items had to go."""
    model = Recommender(items=64, neighbours=2, sessions=32)
    for session in range(96):
        names = [f"i{(session + place) % 80}" for place in range(4)]
        model.learn_many([TimedStep(session, names[:at], names[at], session) for at in range(4)])
    model.recommend(["i1", "i2"], 20, {"i3"}, 1)
    model.pairs.neighbours("i17", 2)


def reading() -> None:
    """Examples of each kind, with and without names."""
    step = [0, 7, None, "tea", ["milk", "tea"], "drinks", None, 99]
    told = [[1, step], [0, [0, 1, 3, bytes(64)]], [2, [0, None, ["tea"]]], [3, [0, [0.0] * 6]]]
    told.append([4, [0, "tea", 1, 1, 0, 0]])
    payload = msgspec.msgpack.encode(told)
    assert columns_of(bytearray(payload + bytes(ROOM)), [len(payload)], Names())


def telling() -> None:
    """Items, told of twice."""
    facts = ItemFacts(items=2)
    for price in (None, 99):
        facts.learn("tea", "drinks", None, price)


def predicting() -> None:
    """Labels of rows as the learner has them, and as lists, of segments and of nobody."""
    model = Propensity(bits=8, inputs=0)
    rng = np.random.default_rng(0)
    for batch in range(40):
        rows = rng.integers(0, 2**12, (32, 16), dtype=np.uint32)
        labels = [int(row[0] % 2) for row in rows]
        segments = [n % 3 for n in range(32)] if batch % 2 else None
        times, truth = np.arange(32) + 32 * batch, np.array(labels, np.int64)
        weights = model.weigh(times, truth, np.arange(-1, 31))
        model.learn(rows if batch % 3 else rows.tolist(), labels, segments, weights)
        model.predict(rows, segments)
    model.predict(rows.tolist())


def segmenting() -> None:
    """Customers in groups that drift."""
    model = IncrementalKMeans(3, seed=0)
    rng = np.random.default_rng(0)
    for vector in rng.normal(size=(3_000, 6)) + rng.integers(0, 3, (3_000, 1)) * 4.0:
        model.learn(vector.tolist())
    model.assign([0.0] * 6)


def rating() -> None:
    """Two users who agree, and one item more."""
    from stream.models.ratings import RatingModel  # river's, and not asked of a worker

    model = RatingModel(factors=2)
    for user, item in (
        ("ada", "tea"),
        ("ben", "tea"),
        ("ada", "pot"),
        ("ben", "pot"),
        ("ada", "jug"),
    ):
        model.learn_one(user, item, 4.0)
    model.predict_one("ben", "jug")


def describing() -> None:
    """Two items that are described alike, and one that is described anew."""
    model = Content(4, buckets=16)
    for item, text in (("a", "tea pot"), ("b", "tea cup"), ("a", "tea jug")):
        model.learn(item, text)


def _nothing(_: object) -> None:
    return None


def _unsent(_: object) -> bytes:
    return b""


def deciding() -> None:
    """A customer who clicks, buys, answers offers, is away, and withdraws."""
    policy = PolicySettings(consent_default=True, holdout=0.0, offer_gap=0.0, quiet_until=22)
    world, record = World(settings=CoreSettings(policy=policy), newest=("i1", "i2")), NEW
    session = Click("e0", "anna", 1, Action.VIEW, "i3", price=100, category="c", brand="b")
    line = Line("i3", 100, category="c")
    events: list[Event] = [
        session,
        replace(session, event_id="e1", time=2),
        Purchase("e2", "anna", 3, Trade.PURCHASE, "o", "EUR", (line, line)),
        Feedback("e3", "anna", 4, Response.DISMISS, "?", "i3"),
        CustomerUpdate("e4", "anna", 5),
        CustomerUpdate("e5", "anna", 6, consent=Consent(profiling=False)),
    ]
    for offset, event in enumerate(events):
        step = decide(record, event, Cause(Source.CLICKS, 0, offset), world)
        record = step.record or NEW
    batch = [Entry(Source.CLICKS, offset, event) for offset, event in enumerate(events)]
    decide_batch(batch, 0, Ledger(), UNSTAMPED, _nothing, _nothing, world, _unsent)
    tables, rules = Desk().tables, rules_of(world.settings, learning=True)
    look(record, 7, rules, tables)
    browse(record, packed(session, 0, 0, 1, "EUR", None), rules, tables)
    is_sound(np.frombuffer(record, np.uint8))


PARTS: Final[tuple[Callable[[], None], ...]] = (
    reading,
    telling,
    recommending,
    predicting,
    segmenting,
    describing,
    rating,
    deciding,
)


def warm(*names: str) -> None:
    """Call every kernel, so that each is compiled, and kept if there is a place for it.

    Parameters
    ----------
    names
        Of the parts to be called; all of them where none is given.
    """
    for part in PARTS:
        if not names or part.__name__ in names:
            part()


if __name__ == "__main__":
    warm(*sys.argv[1:])
    if len(sys.argv) > 1:
        sys.exit()
    assert not uncompiled(), f"not compiled: {uncompiled()}"
    print("Kernels are compiled." if COMPILED else "This machine runs kernels uncompiled.")
