"""A decision told again: what led to an offer, step by step, from what it was made from.

Rules: nothing is told from memory. It is decided again, with a world that answers what was answered
then, and what that came past is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stream.decide.choice.ranking import Found, usual_price, worth
from stream.decide.offering import Chosen, DrawnSlate, choose
from stream.decide.policy import Denial
from stream.decide.rows.record import Desk, View
from stream.decide.witness import Differs, Evidence, as_it_was
from stream.domain.offer import Offer


class Considered(NamedTuple):
    """A candidate: ``score`` is ``propensity`` x ``relevance`` x ``worth``.

    ``worth`` is what a sale earns, in minor units; ``denial`` is why it was not offered: where a
    rule of the policy says so, nothing was computed of it. ``place`` is that in the offer, from 1,
    None if it is not in.
    """

    item_id: str
    name: str | None
    origin: str
    because: str | None
    relevance: float
    propensity: float | None = None
    worth: float | None = None
    score: float | None = None
    denial: Denial | None = None
    place: int | None = None


class InLine(NamedTuple):
    """A campaign that was asked, in the order of priority; ``denial`` is why it made no offer."""

    campaign_id: str
    denial: Denial | None


class RetoldDecision(NamedTuple):
    """A decision told again; ``considered`` is best first, what was denied behind it."""

    offer: Offer
    campaigns: tuple[InLine, ...]
    considered: tuple[Considered, ...]


def decided_again(evidence: Evidence) -> Offer | Denial:
    """What the decision comes to with the same record, event and answers.

    Raises
    ------
    Differs
        If it asks what it did not ask then: this release decides in another way.
    """
    chosen = _chosen(evidence).outcome
    return chosen if isinstance(chosen, Denial) else chosen[0]


def told_again(evidence: Evidence) -> RetoldDecision:
    """What led to an offer.

    Raises
    ------
    Differs
        As `decided_again`; so does a decision that comes to no offer now.
    """
    outcome, passed, drawn = _chosen(evidence)
    if isinstance(outcome, Denial) or drawn is None:
        raise Differs(f"it comes to no offer now: {outcome}")
    offer, _ = outcome
    line = [InLine(*each) for each in passed]
    considered = tuple(_considered(drawn, offer, usual_price(View(evidence.record).usual)))
    return RetoldDecision(offer, (*line, InLine(offer.campaign_id, None)), considered)


def _chosen(evidence: Evidence) -> Chosen:
    record, event, cause, now, _, _ = evidence
    return choose(View(record), event, now, cause, as_it_was(evidence), Desk())


def _considered(drawn: DrawnSlate, offer: Offer, usual: int) -> Iterator[Considered]:
    """Every candidate: what was ranked, best first, what is too unlikely, what was denied."""
    ranking, places = drawn.ranking, {item.item_id: n for n, item in enumerate(offer.items, 1)}
    unlikely = sorted({*range(len(ranking.propensities))} - {*ranking.order})
    for n in [*ranking.order, *unlikely]:
        one, item = ranking.found.candidates[n], ranking.found.items[n]
        p, gain = ranking.propensities[n], worth(item, *drawn.reward.off, usual)
        denial = None if n in ranking.order else Denial.LOW_PROPENSITY
        if n in drawn.slate.too_alike:
            denial = Denial.TOO_ALIKE
        place, score = places.get(one.item_id), p * (one.relevance * gain)
        yield _bare(ranking.found, n)._replace(
            propensity=p, worth=gain, score=score, denial=denial, place=place
        )
    for n, denial in enumerate(drawn.allowed.denied):
        if denial is not None:
            yield _bare(drawn.allowed.all, n)._replace(denial=denial)


def _bare(found: Found, n: int) -> Considered:
    """What is told of any candidate."""
    one, item = found.candidates[n], found.items[n]
    name = None if item is None else item.name
    return Considered(one.item_id, name, one.origin.value, one.because, one.relevance)
