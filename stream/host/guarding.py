"""Guards around extensions: what one raises is counted and said once, and stops nobody.

Rules: a guard answers for its extension whatever that does, and names it. The log gets an error's
type and trace, not its message: that may hold a person's data.
"""

from __future__ import annotations

import logging
from collections import Counter
from traceback import format_tb
from typing import Final

from stream.decide.policy import OF_RULE, RULE_FAILED
from stream.extending import Asked, Rule

log: Final = logging.getLogger(__name__)


class Unfit(TypeError):
    """An extension answered with what is no answer."""


class Guards:
    """Makes guards that count together.

    Attributes
    ----------
    failures : Counter[tuple[str, str]]
        By point (``rules`` …) and name, since somebody last cleared it.
    """

    def __init__(self) -> None:
        self.failures: Counter[tuple[str, str]] = Counter()
        self._told: set[tuple[str, str]] = set()

    def rule(self, name: str, rule: Rule) -> GuardedRule:
        """A guard of a rule."""
        return GuardedRule(name, rule, self)

    def failed(self, point: str, name: str, error: Exception, what: str) -> None:
        """Count a failure, and say the first of each extension."""
        self.failures[point, name] += 1
        if (point, name) in self._told:
            return
        self._told.add((point, name))
        said = f": {error}" if isinstance(error, Unfit) else ""  # ours, and of no person
        log.error(
            "extensions.%s: %s raised %s%s; %s, now and whenever it does (said once; "
            "extension_failures_total counts)\n%s",
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
        except Exception as error:
            self._guards.failed("rules", self.name, error, "the item is not offered")
            return self._failed
        return self._forbids if forbids else ""
