"""Any campaign that the schema allows, as Hypothesis draws it: small, for many are drawn."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from stream.codec.events.native import MAX_TIME, MIN_TIME
from stream.decide.campaigns.audience import FIGURES
from stream.domain.campaign import (
    NO_REWARD,
    STRATEGIES,
    Audience,
    Bounds,
    Budget,
    By,
    Choosing,
    Goal,
    Hours,
    Incentive,
    ItemRule,
    Reward,
    Trait,
    Unit,
    Variant,
)
from stream.domain.event import Campaign
from stream.domain.text import tidy

LARGEST = 2**53 - 1

texts = st.text(min_size=1, max_size=12).map(tidy).filter(bool)
words = st.lists(texts, max_size=3).map(tuple)
some_words = st.lists(texts, min_size=1, max_size=3).map(tuple)
segments = st.integers(0, 1_000_000)
numbers = st.integers(-LARGEST, LARGEST) | st.floats(-LARGEST, LARGEST)

# ---------------------------------------------------------------------------------------- audience

bounds = (
    st.builds(Bounds, low=numbers, high=st.none())
    | st.builds(Bounds, low=st.none(), high=numbers)
    | st.tuples(numbers, numbers).map(lambda pair: Bounds(min(pair), max(pair)))
)
values = st.text(max_size=12).map(tidy) | st.booleans() | numbers
traits = st.builds(
    Trait, texts, values=st.lists(values, min_size=1, max_size=3).map(tuple), bounds=st.none()
) | st.builds(Trait, texts, values=st.just(()), bounds=bounds)


def unique(drawn: st.SearchStrategy[Any], by: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(drawn, max_size=3, unique_by=by).map(tuple)


def audiences(
    parts: st.SearchStrategy[tuple[Audience, ...]], of_items: st.SearchStrategy[Bounds | None]
) -> st.SearchStrategy[Audience]:
    """Audiences of such parts; ``of_items`` bounds what only the outermost one may ask."""
    return st.builds(
        Audience,
        members=st.frozensets(texts, max_size=3),
        excluded=st.frozensets(texts, max_size=3),
        segments=st.lists(segments | texts, max_size=3).map(tuple),
        traits=unique(traits, lambda trait: trait.name),
        figures=unique(
            st.tuples(st.sampled_from(sorted(FIGURES)), bounds), lambda figure: figure[0]
        ),
        liked=words,
        any_of=parts,
        none_of=parts,
        propensity=of_items,
        value=of_items,
    )


def within(inner: st.SearchStrategy[Audience]) -> st.SearchStrategy[tuple[Audience, ...]]:
    """Parts of an audience; one that asks for nothing is refused."""
    return st.lists(inner.filter(lambda part: part != Audience()), max_size=2).map(tuple)


_innermost = audiences(st.just(()), st.none())
_inner = audiences(within(_innermost), st.none())
outermost = audiences(within(_inner), st.none() | bounds)

# ------------------------------------------------------------------------ incentive, hours, budget

rewards = st.builds(Reward, st.just(Incentive.PERCENT), st.integers(1, 100)) | st.builds(
    Reward,
    st.sampled_from([Incentive.AMOUNT, Incentive.FREE_SHIPPING]),
    st.integers(1, LARGEST),
)
ladders = st.lists(rewards, min_size=1, max_size=1) | st.lists(
    st.just(NO_REWARD) | rewards, min_size=2, max_size=8
)
minutes = st.integers(0, 1_439)
days = st.sets(st.integers(0, 6), min_size=1).map(lambda drawn: tuple(sorted(drawn)))
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
lifetimes = st.builds(
    lambda number, unit: number * unit,
    st.integers(1, 999_999),
    st.sampled_from([1_000, 60_000, 3_600_000, 86_400_000]),
)
rules = st.builds(ItemRule, items=some_words, viewed=words, bought=words, categories=words)
choosing = st.builds(
    Choosing,
    st.sampled_from(By),
    st.sampled_from(Goal),
    st.floats(0.001, 0.5),
    st.integers(1, 1_000_000),
)
segment_names = segments | texts.filter(lambda name: not name.isdecimal())


@st.composite
def _campaigns(draw: st.DrawFn) -> Campaign:
    def maybe(drawn: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | drawn)

    chosen = draw(st.lists(rules, max_size=2).map(tuple))
    strategies = st.sampled_from(STRATEGIES).filter(lambda name: bool(chosen) or name != "rules")
    by_segment = draw(unique(st.tuples(segment_names, strategies), lambda pair: str(pair[0])))
    times = st.integers(MIN_TIME, MAX_TIME)
    first, last = sorted(draw(st.lists(times, min_size=2, max_size=2, unique=True)))
    starts, ends = draw(st.booleans()), draw(st.booleans())
    ladder = tuple(draw(st.just([]) | ladders))
    own = st.builds(
        Variant, texts, st.none() | strategies, st.none() | st.just(NO_REWARD) | rewards
    )
    variants = draw(st.just(()) | unique(own, lambda one: one.name).filter(lambda n: len(n) > 1))
    even = st.booleans() if starts and ends else st.just(False)
    zone = draw(zones)
    start, end = draw(st.lists(minutes, min_size=2, max_size=2, unique=True))
    return Campaign(
        campaign_id=draw(texts),
        name=draw(texts),
        strategy=draw(strategies),
        priority=draw(st.integers(-1_000_000, 1_000_000)),
        starts=first if starts else None,
        ends=last if ends else None,
        segments=draw(st.lists(segments, max_size=3).map(tuple)),
        categories=draw(words),
        discount=0 if ladder else draw(st.integers(0, 100)),
        daily_cap=maybe(st.integers(0, 1_000_000)),
        active=draw(st.booleans()),
        audience=maybe(outermost),
        ladder=ladder,
        budget=maybe(st.builds(Budget, st.sampled_from(Unit), st.integers(1, LARGEST), even)),
        hours=maybe(st.builds(Hours, st.just(zone), days, minutes, minutes)),
        quiet=maybe(st.just(Hours(zone, start=start, end=end))),
        slate=maybe(st.integers(1, 50)),
        lifetime=maybe(lifetimes),
        channel=maybe(texts),
        placement=maybe(texts),
        rules=chosen,
        by_segment=by_segment,
        variants=variants,
        choosing=draw(choosing) if variants else Choosing(),
    )


campaigns = _campaigns()
