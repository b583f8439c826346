"""Guards around extensions: what one raises is counted and said once, and stops nobody.

Rules: a guard answers for its extension whatever that does, and names it. The log gets an error's
type and trace, not its message: that may hold a person's data.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from traceback import format_tb
from typing import Any, Final

import orjson

from stream.codec.refused import Refused
from stream.decide.policy import OF_RULE, RULE_FAILED
from stream.domain.event import RejectionCode
from stream.extending import Asked, Classifier, Envelope, Packed, Rule, Source, Wanted

log: Final = logging.getLogger(__name__)
MOST_FOUND: Final = 24
"""Candidates of one source that are taken."""
ID_LENGTH: Final = 128
CHALLENGER: Final = "challenger:"
CAUGHT: Final = (Exception, SystemExit)
"""What stops nobody: an extension that calls `exit`, too."""


class Unfit(TypeError):
    """An extension answered with what is no answer."""


class Guards:
    """What guards have in common: they count together.

    Attributes
    ----------
    failures : Counter[tuple[str, str]]
        By point (``rules`` …) and name, since somebody last cleared it.
    """

    def __init__(self) -> None:
        self.failures: Counter[tuple[str, str]] = Counter()
        self._told: set[tuple[str, str]] = set()

    def failed(self, point: str, name: str, error: BaseException, what: str) -> None:
        """Count a failure, and say the first of each extension."""
        self.failures[point, name] += 1
        if (point, name) in self._told:
            return
        self._told.add((point, name))
        said = f": {error}" if isinstance(error, Unfit) else ""  # ours, and of no person
        log.error(
            "extensions.%s: %s raised %s%s; %s (said once; extension_failures_total counts)\n%s",
            *(point, name, type(error).__name__, said, what),
            "".join(format_tb(error.__traceback__)).rstrip(),
        )


class GuardedRule:
    """A rule that forbids what it cannot judge."""

    def __init__(self, name: str, rule: Rule, guards: Guards) -> None:
        self.name, self._rule, self._guards = name, rule, guards
        self._forbids, self._failed = OF_RULE + name, RULE_FAILED + name

    def judge(self, asked: Asked, /) -> str:
        """Why an item is not to be offered; empty if it may be."""
        try:
            forbids = self._rule(asked)
            if type(forbids) is not bool:
                raise Unfit(f"it answered {type(forbids).__name__}, and not True or False")
        except CAUGHT as error:
            self._guards.failed("rules", self.name, error, "the item is not offered")
            return self._failed
        return self._forbids if forbids else ""


class GuardedEnvelope:
    """An envelope whose failure is the sender's fault, as nobody can tell the two apart."""

    def __init__(self, name: str, envelope: Envelope, guards: Guards) -> None:
        self.name, self._envelope, self._guards = name, envelope, guards
        self._refused: tuple[bytes, Refused] | None = None

    def open(self, packed: Packed, /) -> bytes | None:
        """The JSON in a record; None if it is in no such envelope.

        Raises
        ------
        Refused
            ``decode``: it failed.
        """
        if self._refused is not None and self._refused[0] is packed.value:
            raise self._refused[1]  # of a refused record it is asked again: what does it take away?
        try:
            inside = self._envelope(packed)
            if inside is None:
                return None
            if not isinstance(inside, Mapping):
                raise Unfit(f"it answered {type(inside).__name__}, and neither a mapping nor None")
            return orjson.dumps(dict(inside))
        except CAUGHT as error:
            self._guards.failed("envelopes", self.name, error, "the record is a dead letter")
            why = f"the envelope {self.name} cannot open it: {type(error).__name__}"
            self._refused = packed.value, Refused(RejectionCode.DECODE, why)
            raise self._refused[1] from None


class GuardedSource:
    """A source that brings nothing when it fails."""

    def __init__(self, name: str, source: Source, guards: Guards) -> None:
        self.name, self._source, self._guards = name, source, guards

    def find(self, wanted: Wanted, /) -> list[tuple[str, float]]:
        """Items with their relevance in (0, 1], the best first, at most `MOST_FOUND`."""
        try:
            return [_pair(found) for found in islice(self._source(wanted), MOST_FOUND)]
        except CAUGHT as error:
            self._guards.failed("sources", self.name, error, "its candidates are left out")
            return []


class GuardedChallenger:
    """A challenger that is set aside when it fails."""

    def __init__(self, name: str, model: Classifier, guards: Guards) -> None:
        self.name = CHALLENGER + name
        self._called, self._model, self._guards = name, model, guards

    def follow(self, x: Mapping[Any, Any], label: int, /) -> float | None:
        """What it foresaw of an example before it learned it; None if it failed."""
        try:
            foreseen = float(self._model.predict_proba_one(dict(x)).get(True, 0.5))
            if not 0 <= foreseen <= 1:
                raise Unfit(f"it foresaw {foreseen}, and no probability")
            self._model.learn_one(dict(x), bool(label))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # what Rust raises, as some of river is, is no `Exception`
            self._guards.failed(
                "challengers", self._called, error, "it is set aside until the next start"
            )
            return None
        return foreseen


def _pair(found: Any) -> tuple[str, float]:
    item_id, relevance = found
    if not isinstance(item_id, str) or not 0 < len(item_id) <= ID_LENGTH:
        raise Unfit("what it found is no item's id")
    relevance = float(relevance)
    if not 0 < relevance <= 1:
        raise Unfit(f"a relevance is {relevance}, and not above 0 and at most 1")
    item_id.encode()  # what is no text raises
    return str(item_id), relevance
