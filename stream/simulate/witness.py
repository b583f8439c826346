"""Watches the demo: what the engine and the shoppers did becomes scenes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import isnan, nan
from typing import Any, NamedTuple

import numpy as np

from stream.domain.offer import Origin
from stream.models.propensity.foresight import WINDOW
from stream.simulate.scene import (
    ModelScores,
    Scene,
    ShownOffer,
    answers,
    effect,
    segments,
    shown,
)
from stream.simulate.shop import Counts
from stream.simulate.shoppers import Shoppers
from stream.worker.engine import Status

_POINTS = 80  # of a sparkline
_SAMPLE = 0.5  # s between them
_KEPT_OFFERS = 24
_ENOUGH_LABELS = WINDOW
_NEW_A_SCENE = 2  # more could not be read


class _Sample(NamedTuple):
    seconds: float
    events: int
    offers: int


class ShopWitness:
    """Counts what passes by, and draws up a :class:`Scene` of it.

    Parameters
    ----------
    shoppers
        Those on stage; their books tell the truth.
    held_out
        Numbers of the customers who get no offer.
    seconds
        How long the demo is to last.
    """

    def __init__(self, shoppers: Shoppers, held_out: Counts, seconds: float) -> None:
        willing = shoppers.willing()
        numbers = np.flatnonzero(willing)
        self._shoppers = shoppers
        self._seconds = seconds
        self._names = shoppers.names
        self._held_out = np.intersect1d(numbers, held_out)
        self._offered = np.setdiff1d(numbers, held_out)
        self._customers = len(willing)
        self._refusing = self._customers - len(numbers)
        self._before = shoppers.books.copy()
        self._warming, self._early_offers = True, 0
        self._events = self._offers = self._pairs = self._true_pairs = 0
        self._fresh: list[ShownOffer] = []
        self._latest: deque[ShownOffer] = deque(maxlen=_KEPT_OFFERS)
        self._samples: deque[_Sample] = deque([_Sample(0.0, 0, 0)], maxlen=_POINTS)
        self._auc: deque[float] = deque(maxlen=_POINTS)
        self._log_loss: deque[float] = deque(maxlen=_POINTS)

    def present_begins(self) -> None:
        """From here on latency and sales are measured; what was before is history."""
        self._warming, self._early_offers = False, self._offers
        self._before = self._shoppers.books.copy()

    def published(self, events: int) -> None:
        """So many events went to the engine."""
        self._events += events

    def offered(self, offer: Mapping[str, Any]) -> None:
        """An offer came out."""
        self._offers += 1
        for item in offer["items"]:
            if item["source"] == Origin.BASKET and "because" in item:
                self._pairs += 1
                self._true_pairs += self._shoppers.goes_together(
                    item["product_id"], item["because"]
                )
        if len(self._fresh) < _NEW_A_SCENE:
            self._fresh.append(shown(offer, self._names))

    def scene(self, seconds: float, status: Status) -> Scene:
        """Draw up what there is to see ``seconds`` after the beginning."""
        self._latest.extendleft(self._fresh)
        self._fresh.clear()
        self._sample(seconds, status)
        p50, p99 = self._waits(status)
        books = self._shoppers.books
        return Scene(
            seconds=seconds,
            of=self._seconds,
            now=self._shoppers.now,
            warming=self._warming,
            customers=self._customers,
            items=len(self._names),
            refused_consent=self._refusing,
            events=self._events,
            event_rates=self._rates("events"),
            offers=self._offers,
            offer_rates=self._rates("offers"),
            latest=tuple(self._latest),
            segments=segments(status.segments),
            learning=self._learning(status),
            p50=p50,
            p99=p99,
            counts=dict(status.counts),
            answers=answers(books),
            effect=effect(self._before, books, self._offered, self._held_out),
        )

    def _sample(self, seconds: float, status: Status) -> None:
        if seconds - self._samples[-1].seconds < _SAMPLE:
            return
        self._samples.append(_Sample(seconds, self._events, self._offers))
        quality = status.quality
        if quality is not None and quality.labels >= _ENOUGH_LABELS and not isnan(quality.auc):
            self._auc.append(quality.auc)
            self._log_loss.append(quality.log_loss)

    def _rates(self, column: str) -> tuple[float, ...]:
        pairs = zip(self._samples, list(self._samples)[1:], strict=False)
        return tuple(
            (getattr(b, column) - getattr(a, column)) / (b.seconds - a.seconds) for a, b in pairs
        )

    def _waits(self, status: Status) -> tuple[float | None, float | None]:
        """From event to offer, of the present: the past was told faster than it can be decided."""
        present = self._offers - self._early_offers
        waits = status.waits[-present:] if present and not self._warming else ()
        if not waits:
            return None, None
        p50, p99 = np.quantile(np.asarray(waits), (0.5, 0.99)).tolist()
        return p50, p99

    def _learning(self, status: Status) -> ModelScores:
        quality = status.quality
        return ModelScores(
            labels=quality.labels if quality else 0,
            auc=tuple(self._auc),
            log_loss=tuple(self._log_loss),
            calibration=quality.calibration_ratio if quality else nan,
            pairs=self._pairs,
            true_pairs=self._true_pairs,
        )
