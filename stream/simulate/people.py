"""The shoppers: what they like, what they can be moved by, when they come, what they allow.

Rules:

- A shopper belongs to one archetype, which sets the numbers of the utility; nothing that is
  published names it. Finding such groups is the segmentation's work.
- Everything about a shopper follows from the seed and the shopper's number.
"""

from __future__ import annotations

from collections import deque
from math import sqrt
from typing import NamedTuple

from stream.simulate.draws import Draws, Floats
from stream.simulate.goods import DIMENSIONS, Goods

_NO_PROFILING, _NO_OFFERS, _NEVER_ASKED = 0.015, 0.035, 0.01
_DRIFT = 0.03  # share of a taste that is new with each visit
_NEW_INTEREST = 0.004  # chance a visit that a life changes: a baby, a dog, a bike


class Archetype(NamedTuple):
    """The numbers behind a way of shopping; utilities are in logits.

    ``price``: utility lost per unit of ln price; ``deal``: gained per unit of discount beyond
    the lower price itself; ``quality``: gained per unit of ln brand tier; ``reserve``: what
    staying away is worth; ``taste``: length of the taste vector; ``focus``: share of it on one
    category; ``visits``: a day; ``pages``: a visit, mean; ``checkout``: P(cart is bought);
    ``attention``: P(an offer on the page is seen); ``arrives``: days over which they first come.
    """

    name: str
    share: float
    price: float
    deal: float
    quality: float
    reserve: float
    taste: float
    focus: float
    visits: float
    pages: float
    checkout: float
    attention: float
    arrives: float = 0.0


ARCHETYPES = (
    Archetype("bargain hunter", 0.22, 1.1, 7.0, 0.2, 7.0, 3.6, 0.3, 0.50, 9, 0.50, 0.85),
    Archetype("loyal fan", 0.16, 0.5, 2.0, 0.5, 7.9, 5.0, 0.9, 0.60, 6, 0.70, 0.75),
    Archetype("premium buyer", 0.10, 0.1, 0.5, 2.2, 7.3, 3.8, 0.5, 0.30, 6, 0.75, 0.55),
    Archetype("window shopper", 0.22, 0.8, 3.0, 0.5, 8.8, 4.0, 0.2, 0.80, 11, 0.35, 0.60),
    Archetype("regular", 0.18, 0.6, 2.5, 0.6, 6.9, 3.8, 0.5, 0.40, 6, 0.65, 0.65),
    Archetype("new customer", 0.12, 0.7, 4.0, 0.5, 6.9, 4.0, 0.5, 0.45, 8, 0.50, 0.80, 12.0),
)

EVENTS_A_CUSTOMER_DAY = 4.6
"""How many records a customer leaves on a day, on average over the archetypes."""


class Offered(NamedTuple):
    """What a shopper gets to see of an offer; ``discount`` in percent, ``expires`` in ms."""

    offer_id: str
    items: tuple[int, ...]
    discount: int
    expires: int


class Shopper:
    """One shopper, as far as the story has come.

    ``bought`` maps a kind to the time of the last purchase, ``basket`` an item to its discount
    in percent; ``pondered`` are items that were looked at and nearly bought,
    ``inbox`` is the offer that waits for the next page, ``tired`` how much offers bore by now,
    ``mood`` how much this visit is for buying and not for looking, in logits.
    """

    __slots__ = (
        "archetype",
        "basket",
        "bought",
        "customer_id",
        "inbox",
        "mood",
        "number",
        "owned",
        "pondered",
        "tastes",
        "tired",
        "visiting",
        "visits",
        "wants_offers",
    )

    def __init__(self, number: int, archetype: Archetype, tastes: Floats) -> None:
        self.number = number
        self.customer_id = customer_id(number)
        self.archetype = archetype
        self.tastes = tastes
        self.bought: dict[int, int] = {}
        self.owned: set[int] = set()
        self.basket: dict[int, int] = {}
        self.pondered: deque[int] = deque(maxlen=4)
        self.visits = 0
        self.tired = 0.0
        self.mood = 0.0
        self.wants_offers = True
        self.inbox: Offered | None = None
        self.visiting = False


class Consents(NamedTuple):
    """What a customer said when asked."""

    profiling: bool
    offers: bool


class Traits(NamedTuple):
    """What is settled about a shopper before the first visit; ``consent`` None: never asked."""

    archetype: Archetype
    arrival: float
    consent: Consents | None
    newsletter: bool
    channel: str


def customer_id(number: int) -> str:
    """The customer id of shopper ``number``.

    >>> customer_id(42)
    'customer-000042'
    """
    return f"customer-{number:06d}"


def traits(seed: int, number: int) -> Traits:
    """Settle who shopper ``number`` is; ``arrival`` is in days from the start."""
    draws = Draws(seed, "person", number)
    archetype = _archetype(draws.uniform())
    refusal = draws.uniform()
    if refusal < _NEVER_ASKED:
        consent = None
    elif refusal < _NEVER_ASKED + _NO_PROFILING:
        consent = Consents(profiling=False, offers=False)
    else:
        consent = Consents(True, refusal >= _NEVER_ASKED + _NO_PROFILING + _NO_OFFERS)
    return Traits(
        archetype=archetype,
        arrival=archetype.arrives * draws.uniform(),
        consent=consent,
        newsletter=draws.chance(0.4),
        channel=("web", "web", "app")[draws.below(3)],
    )


def meet(seed: int, number: int, goods: Goods) -> Shopper:
    """Bring shopper ``number`` to life, with tastes of their own."""
    who = traits(seed, number)
    draws = Draws(seed, "taste", number)
    shopper = Shopper(number, who.archetype, _tastes(draws, who.archetype, goods))
    shopper.wants_offers = who.consent is not None and who.consent.offers
    return shopper


def live_on(shopper: Shopper, draws: Draws, goods: Goods) -> None:
    """Let tastes drift between two visits: a little always, a lot seldom."""
    if draws.chance(_NEW_INTEREST):
        shopper.tastes = _tastes(draws, shopper.archetype, goods)
        return
    drifted = shopper.tastes + _DRIFT * shopper.archetype.taste * draws.normals(DIMENSIONS)
    shopper.tastes = drifted * (shopper.archetype.taste / sqrt(drifted @ drifted))


def _archetype(draw: float) -> Archetype:
    for archetype in ARCHETYPES:
        draw -= archetype.share
        if draw < 0:
            return archetype
    return ARCHETYPES[-1]


def _tastes(draws: Draws, archetype: Archetype, goods: Goods) -> Floats:
    """A vector of length ``taste``: a favourite category, two lesser ones, and a whim."""
    favourite, second, third = (draws.below(len(goods.centres)) for _ in range(3))
    side = 1.0 - archetype.focus
    mixed = (
        (0.4 + archetype.focus) * goods.centres[favourite]
        + side * (0.7 * goods.centres[second] + 0.5 * goods.centres[third])
        + 0.25 * draws.normals(DIMENSIONS) / sqrt(DIMENSIONS)
    )
    tastes: Floats = mixed * (archetype.taste / sqrt(mixed @ mixed))
    return tastes
