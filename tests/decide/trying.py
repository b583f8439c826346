"""A shop that tries variants on customers, and learns from them as it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random

from msgspec.structs import replace

from stream.codec.examples import decode_examples
from stream.decide.decide import Step, decide
from stream.decide.example import Trial, framed
from stream.decide.rows.record import NEW, Desk
from stream.decide.world import World
from stream.domain.event import Event, Feedback, Response, Source
from stream.domain.offer import Cause, Offer
from stream.models.experiments.trials import Trials
from tests.builders import NOON, a_click, a_purchase

APART = 3_000  # ms from one customer to the next
PUBLISHED = 20  # customers between two publications


class Tried:
    """Customers come one after the other: each looks at tea, and may buy or dismiss.

    ``buys`` and ``dismisses`` are the chances of it by the variant on the offer.
    """

    def __init__(
        self,
        world: World,
        buys: Mapping[str, float],
        seed: int,
        dismisses: Mapping[str, float] | None = None,
    ) -> None:
        self.world, self.buys, self.dismisses = world, buys, dismisses or {}
        self.chance, self.seed = Random(seed), seed
        self.trials, self.desk = Trials(), Desk()
        self.records: dict[str, bytes] = {}
        self.offers: list[Offer] = []
        self.bought: set[str] = set()
        self.told: list[Trial] = []
        self.lost = 0.0
        self._offset = 0

    def take(self, event: Event, source: Source = Source.CLICKS) -> Step:
        """Have a customer's event be decided, and learned from."""
        self._offset += 1
        cause = Cause(source, 0, self._offset, event.time)
        before = self.records.get(event.customer_id, NEW)
        step = decide(before, event, cause, self.world, self.desk)
        assert step.record is not None
        self.records[event.customer_id] = step.record
        for one in decode_examples(framed(*step.examples)):
            if isinstance(one, Trial):
                self.told.append(one)
                about = one.campaign_id, one.edition, one.code, one.what, one.spent, one.time
                self.trials.learn(*about)
        self.offers += step.offers
        return step

    def publish(self) -> None:
        """Have what was learned be decided with, as it comes from a snapshot."""
        trials = Trials.from_state(self.trials.state())
        self.world = self.world._replace(models=replace(self.world.models, trials=trials))

    def come(self, customers: int) -> None:
        """Have so many customers more come by."""
        first = len(self.records)
        for n in range(first, first + customers):
            if n % PUBLISHED == 0:
                self.publish()
            self._visit(f"c{self.seed}-{n}", NOON + n * APART)

    def _visit(self, who: str, time: int) -> None:
        click = a_click(0, item="tea", customer=who, time=time)
        (offer,) = self.take(click).offers
        assert offer.variant is not None
        name = offer.variant.name
        self.lost += max(self.buys.values()) - self.buys[name]
        if self.chance.random() < self.dismisses.get(name, 0.0):
            answer = Feedback("f", who, time + 1, Response.DISMISS, offer.offer_id, None)
            self.take(answer, Source.FEEDBACK)
        if self.chance.random() < self.buys[name]:
            self.bought.add(offer.offer_id)
            self.take(a_purchase(1, customer=who, time=time + 2), Source.PURCHASES)

    @property
    def shares(self) -> Counter[str]:
        """Offers by variant."""
        return Counter(offer.variant.name for offer in self.offers if offer.variant is not None)
