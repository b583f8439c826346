"""What takes permission away, in whatever words, and wherever an object may say it.

Rules. What takes away is understood generously: names in any case, a no or a yes as a truth, a
number or a word, a field beside the one that the contract names. What gives is none of this
module's: that is only what the contract says. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from stream.domain.event import Consent
from stream.grammar.words import flag

PURPOSES: Final = ("profiling", "offers")
ENVELOPE: Final = "\0envelope"
"""The name under which a payload keeps the words of what it was wrapped in."""

WORDS: Final = frozenset(("erase", "consent"))
"""Fields that take permission away, in lower case."""
_WORDS_AROUND: Final = WORDS | {ENVELOPE}
_SIGNS: Final = _WORDS_AROUND | {"consentmanagement"}
SPEAKING: Final = _SIGNS | {"context"}
"""Fields in which a native object may take permission away, in lower case."""
_COMPARED: Final = 32  # characters of a name, and names, that are looked at for a slip of the pen


class Taken(NamedTuple):
    """An erasure, and the purposes that are refused."""

    erase: bool
    refused: frozenset[str]

    @property
    def consent(self) -> Consent | None:
        """The refusals as an event has them."""
        if not self.refused:
            return None
        profiling, offers = (False if purpose in self.refused else None for purpose in PURPOSES)
        return Consent(profiling, offers)


NOTHING: Final = Taken(False, frozenset())


def is_yes(said: object) -> bool:
    """Whether it is a yes, as a truth, a number or a word.

    >>> [is_yes(said) for said in (True, 1.0, " Yes ", "maybe", [True])]
    [True, True, True, False, False]
    """
    return flag(said) is True


def is_no(said: object) -> bool:
    """Whether it is a no, as a truth, a number or a word.

    >>> [is_no(said) for said in (False, 0.0, "OFF", "denied", None, "maybe", [])]
    [True, True, True, True, False, False, False]
    """
    return flag(said) is False


def taken(data: dict[str, Any], *, is_call: bool = False) -> Taken:
    """Return what an object takes away.

    Parameters
    ----------
    data
        A native object, or what is left of one when its known fields are taken out; or a call.
    is_call
        Whether it is a Segment call, whose properties and traits may say it, too.

    Examples
    --------
    >>> taken({"Erase": 1, "consent": {"Offers": "no"}})
    Taken(erase=True, refused=frozenset({'offers'}))
    """
    context = object_in(data, "context")
    places = [data, context]
    if is_call:
        places += [object_in(data, "properties"), object_in(data, "traits")]
        if "traits" in context:
            places.append(object_in(context, "traits"))
    names = set(map(str.lower, chain.from_iterable(places)))
    if _SIGNS.isdisjoint(names):
        return NOTHING
    erase, refused = False, set(_refused_in(context))
    if not _WORDS_AROUND.isdisjoint(names):
        for place in (*places, object_in(data, ENVELOPE)):
            for name, said in words_of(place).items():
                if name.lower() == "erase":
                    erase = erase or is_yes(said)
                else:
                    refused |= _refused(said)
    return Taken(erase, frozenset(refused))


def taken_out(consent: dict[str, Any]) -> set[str]:
    """Take refusals whose names differ in case alone out of an object; the purposes refused."""
    found = [name for name, said in consent.items() if name.lower() in PURPOSES and is_no(said)]
    for name in found:
        del consent[name]
    return {name.lower() for name in found}


def words_of(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an object that may take permission away, whatever their case."""
    return {name: said for name, said in data.items() if name.lower() in WORDS}


def object_in(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object in a field, an empty one if there is none."""
    child = data.get(name)
    return child if isinstance(child, dict) else {}


def nearest(names: Iterable[str]) -> str:
    """Return the purpose that was most likely meant by one of these names.

    >>> nearest(["profile"]), nearest(["Offer", "x"])
    ('profiling', 'offers')
    """
    return max(
        (SequenceMatcher(None, name[:_COMPARED].lower(), purpose).ratio(), purpose)
        for name in islice(names, _COMPARED)
        for purpose in PURPOSES
    )[1]


def _refused(consent: object) -> set[str]:
    """The purposes that a field of consent refuses; a bare no refuses them all."""
    if is_no(consent):
        return set(PURPOSES)
    return {name for name, said in _by_purpose(consent) if is_no(said)}


def _by_purpose(said: object) -> Iterator[tuple[str, Any]]:
    """What is said of each purpose, by its name in any case."""
    for name, value in said.items() if isinstance(said, dict) else ():
        if name.lower() in PURPOSES:
            yield name.lower(), value


def _refused_in(context: dict[str, Any]) -> Iterator[str]:
    """The purposes refused in a call's context, in Segment's words or in RudderStack's."""
    if "consent" in context:
        yield from _refused(object_in(context, "consent").get("categoryPreferences"))
    management = object_in(context, "consentManagement")
    denied = management.get("deniedConsentIds")
    for one in denied if isinstance(denied, list | dict) else (denied,):
        if isinstance(one, str) and one.lower() in PURPOSES:
            yield one.lower()
    for name, said in _by_purpose(management.get("allowedConsentIds")):
        if said is None or is_no(said):
            yield name
