"""Guardrails: an arm that hurts is stopped, and says by what.

Rules: an arm is stopped when its confidence sequence lies below the margin on a metric that is
guarded; with several arms and metrics the level is shared among them (Bonferroni), so that the
chance to stop any harmless arm, ever, stays at the level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stream.models.experiments.moments import Moments
from stream.models.experiments.sequences import Interval, difference


class Stop(NamedTuple):
    """An arm that hurts: on which metric, and by how much a customer."""

    arm: str
    metric: str
    harm: Interval

    def __str__(self) -> str:
        """Say it.

        >>> print(Stop("red", "conversion", Interval(-0.02, -0.03, -0.01)))
        arm red hurts conversion: -0.02 a customer, at the best -0.01
        """
        return (
            f"arm {self.arm} hurts {self.metric}: {self.harm.estimate:.4g} a customer, "
            f"at the best {self.harm.high:.4g}"
        )


def stops(
    arms: Mapping[str, Mapping[str, Moments]],
    control: str,
    alpha: float = 0.05,
    margin: float = 0.0,
) -> list[Stop]:
    """Return the arms that are to be stopped.

    Parameters
    ----------
    arms
        Of each arm the moments of each guarded metric.
    control
        The arm with which the others are compared.
    alpha
        Chance to stop any harmless arm, ever.
    margin
        Harm a customer that is put up with, from 0 on.
    """
    others = [arm for arm in arms if arm != control]
    level = alpha / max(sum(len(arms[arm]) for arm in others), 1)
    found = []
    for arm in others:
        for metric, moments in arms[arm].items():
            harm = difference(moments, arms[control][metric], level)
            if harm.high < -margin:
                found.append(Stop(arm, metric, harm))
                break
    return found
