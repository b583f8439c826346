"""What a shop's own code may add: the five points at which offerstream is extended, as types.

Rules that hold at every point:

- An extension is an object of a package of yours, named by an entry point. It is in force only if
  the settings name it (``extensions.rules`` and so on), in their order; a sink, where a command
  names it.
- What decides must decide the same in a replay. So all but a sink are pure functions of what they
  are handed: no clock, no network, no file, no random number, nothing kept between two calls (but
  for a challenger, which learns). What they need beside that they load when they are imported.
- They run between an event and its offer, on the thread that decides. An answer takes microseconds
  and little memory; nobody can interrupt one that hangs.
- An exception never stops a worker. What becomes of the record, the item or the model says each
  point below; all are counted by name in ``extension_failures_total``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from stream.domain.campaign import Reward
from stream.domain.event import Campaign, CatalogItem

Fact: TypeAlias = str | int | float | bool
"""What the shop told of a customer."""


class Customer(Protocol):
    """What is known of a customer who allowed to be profiled, as an extension sees it.

    Nothing of it can be changed. Times are in ms since 1970, money in minor units.
    """

    @property
    def customer_id(self) -> str:
        """The shop's name for the customer."""

    @property
    def traits(self) -> Mapping[str, Fact]:
        """What the shop told, by name; without those of ``core.fairness_groups``."""

    @property
    def segment(self) -> int | None:
        """The customer's segment, None before there are any."""

    @property
    def touched(self) -> Sequence[str]:
        """The last items looked at or put into the cart, oldest first, repeats kept."""

    @property
    def session(self) -> Sequence[str]:
        """Those of the open session, or of the last."""

    @property
    def bought(self) -> Mapping[str, int]:
        """The last items bought, with the time of the last purchase of each."""

    @property
    def spent(self) -> Mapping[str, int]:
        """What was spent, less what came back, by currency."""

    @property
    def tastes(self) -> Sequence[tuple[str, float]]:
        """The categories that the customer likes with their weights, the strongest first."""


class Asked(NamedTuple):
    """What a rule is asked: may this item be offered to this customer now?

    Attributes
    ----------
    customer
    item_id
    item
        What the catalog, or else events, told of it; None if nothing is known.
    campaign
        For which the offer would be made.
    reward
        The incentive that it would come with.
    now
        Stream time in ms since 1970: use it, and no clock.
    """

    customer: Customer
    item_id: str
    item: CatalogItem | None
    campaign: Campaign
    reward: Reward
    now: int


class Rule(Protocol):
    """A rule of the policy: entry point group ``offerstream.rules``, setting ``extensions.rules``.

    It is asked of every item that the house's own rules allow, so it can forbid and never allow
    what they forbid. An item that it forbids is denied as ``rule:NAME``. Where it raises, or
    answers anything but True and False, the item is not offered: ``rule_failed:NAME``.
    """

    def __call__(self, asked: Asked, /) -> bool:
        """Whether it forbids to offer the item."""


class Wanted(NamedTuple):
    """What a source is asked: which items might this customer be offered now?

    Attributes
    ----------
    customer
    look
        What the catalog, or else events, told of an item by its id; None if nothing is known.
    newest
        The ids of items that are new in the catalog.
    now
        Stream time in ms since 1970: use it, and no clock.
    """

    customer: Customer
    look: Callable[[str], CatalogItem | None]
    newest: Sequence[str]
    now: int


class Source(Protocol):
    """A source of candidates: ``offerstream.sources``, ``extensions.sources``.

    It is asked once a moment, where a campaign recommends. What it names competes with what is
    learned: by P(purchase) x relevance x what a sale earns, under the same policy. An item
    that several sources name is that of the one that finds it most relevant. Offers say
    ``source:NAME``. Where it raises, or answers with anything else, all of it is left out.
    """

    def __call__(self, wanted: Wanted, /) -> Iterable[tuple[str, float]]:
        """Pairs of an item's id and its relevance in (0, 1], the best first; 24 are taken.

        As a measure: what waits in the cart is 1, what is trending .3 and less, what is new .1.
        """


class Packed(NamedTuple):
    """A record of an event topic as it came.

    Attributes
    ----------
    topic
        ``clicks``, ``purchases``, ``feedback`` or ``customers``, without a prefix.
    value
        At most 256 KiB.
    headers
        As in Kafka: in their order, a name may come more than once.
    """

    topic: str
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]


class Envelope(Protocol):
    """Opens values that are no JSON of ours: ``offerstream.envelopes``, ``extensions.envelopes``.

    It is asked of every record of an event topic but those that are native JSON to the letter,
    before any other envelope is looked for; the first that opens a record is believed. What it
    returns is read as if it had come so: it may be a native event, or a call of Segment, GA4 or
    CloudEvents; it keeps the topic's contract, or becomes a dead letter. Where it raises, the
    record becomes a dead letter, ``decode``, with the envelope's name and the kind of error. The
    record's key stays what it is: the customer's id.
    """

    def __call__(self, packed: Packed, /) -> Mapping[str, Any] | None:
        """The object in a record, as JSON could have it; None if it is not one of these."""


class Classifier(Protocol):
    """A classifier as river's are."""

    def learn_one(self, x: dict[str, str], y: bool, /) -> object:
        """Learn whether an item that was shown was bought."""

    def predict_proba_one(self, x: dict[str, str], /) -> Mapping[bool, float]:
        """The chance of a purchase under the key True; none counts as one half."""


class Challenger(Protocol):
    """Makes a model that competes: ``offerstream.challengers``, ``extensions.challengers``.

    What it makes foresees the purchases of a sample of what was shown, each before it learns it.
    It stands beside the champion and the house's own challengers as ``challenger:NAME``
    (``model_auc{model}`` and so on). It decides nothing. It lives in the learner's process, is in
    no snapshot, and begins anew after a restart; its memory must have a bound. A model that raises,
    or foresees what is no probability, is set aside until the next start.
    """

    def __call__(self, seed: int, /) -> Classifier:
        """A fresh model; what is random in it must follow from the seed alone."""


class Delivered(NamedTuple):
    """A record of the topic ``offers``.

    Attributes
    ----------
    customer_id
    document
        The JSON as ``schemas/offers`` has it; ``json.loads`` reads it.
    recalled
        Whether it is the word that an offer must not be shown any more.
    partition, offset
        Where it stands; those of a partition come in their order.
    """

    customer_id: str
    document: bytes
    recalled: bool
    partition: int
    offset: int


class Sink(Protocol):
    """Takes offers elsewhere: ``offerstream.sinks``, ``offerstream offers pipe NAME``.

    It runs in a process of its own behind the topic, so nothing that it does keeps a decision
    waiting. Delivery is at least once: when it returns, the offers are its own, and the place is
    committed; where it raises it is handed the same again. So it must take an offer twice:
    ``offer_id`` and ``recalled`` tell whether it is known. It may take its time, and use clocks
    and networks.
    """

    def __call__(self, offers: Sequence[Delivered], /) -> None:
        """Take some offers of one partition, 500 at most; they are safe on return."""
