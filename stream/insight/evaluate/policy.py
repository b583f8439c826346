"""What choosing by context would have been worth, from a log of a randomised experiment.

Rules
-----
- The log is cut into folds. For each, two policies learn online from the other folds: *thompson*
  by arm alone, *linear* by arm and context; each then says what it would do in the fold, so no row
  judges a policy that learned from it. The outcome model of the doubly robust estimate comes from
  the other folds, too.
- The policy that is chosen is the linear one if it is better on the log by more than chance would
  have it (one standard error of the paired difference), else the best arm for everybody.
- Without a column of propensities the experiment is taken to have given each arm by its share,
  whatever the context.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.config import ConfigError
from stream.models.experiments.bandit import Linear, Thompson, likely_best
from stream.models.experiments.offpolicy import Floats, PolicyValue, doubly_robust, ips, snips
from stream.reading.table import text_of

FOLDS: Final = 5
BATCH: Final = 1_000
FEWEST: Final = 100  # rows
_LEVELS: Final = 30  # of a text; rarer ones are one level
_BINS: Final = 4  # of a number, beside its value
_MOST_ARMS: Final = 100

Codes = npt.NDArray[np.intp]


class LoggedExperiment(NamedTuple):
    """A logged experiment.

    Attributes
    ----------
    names
        Of the arms.
    arms, rewards, logged
        Of each choice, shape (rows,): a place in ``names``, what it brought, and the probability
        with which it was made.
    x
        Contexts, shape (rows, inputs); the first input is 1.
    given
        Whether the probabilities were told.
    """

    names: list[str]
    arms: Codes
    rewards: Floats
    logged: Floats
    x: Floats
    given: bool


class ColumnNames(NamedTuple):
    """Which columns of a file are what; no ``propensity`` if it is None."""

    arm: str
    reward: str
    context: Sequence[str] = ()
    propensity: str | None = None

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [self.arm, self.reward, *self.context, *filter(None, [self.propensity])]


def choices(rows: Iterable[Mapping[str, Any]], columns: ColumnNames) -> Iterator[list[str]]:
    """Of each row its arm, reward, context, and propensity if there is one, as texts."""
    names = columns.names
    for row in rows:
        yield [text_of(row.get(name)).strip() for name in names]


def log_of(rows: Sequence[Sequence[str]], columns: ColumnNames) -> LoggedExperiment:
    """Make a log of rows: arm, reward, context, and propensity if there is one.

    Raises
    ------
    ConfigError
        If there are too few rows or arms, or a number cannot be read.
    """
    if len(rows) < FEWEST:
        raise ConfigError(f"{len(rows)} rows: too few to say anything; {FEWEST} are the least")
    cells = list(zip(*rows, strict=True))
    names = sorted(set(cells[0]))
    if not 2 <= len(names) <= _MOST_ARMS:
        raise ConfigError(
            f"--arm {columns.arm}: {len(names)} different values; 2 to {_MOST_ARMS} are arms"
        )
    arms = np.searchsorted(np.array(names), np.array(cells[0]))
    rewards = _numbers(cells[1], "--reward", columns.reward)
    given = columns.propensity is not None
    if given:
        logged = _numbers(cells[-1], "--propensity", str(columns.propensity))
        if not ((logged > 0.0) & (logged <= 1.0)).all():
            raise ConfigError(f"--propensity {columns.propensity}: must be above 0, at most 1")
    else:
        logged = (np.bincount(arms) / len(arms))[arms]
    contexts = cells[2 : 2 + len(columns.context)]
    inputs = [np.ones((len(rows), 1)), *(_inputs(column) for column in contexts)]
    return LoggedExperiment(
        names, arms.astype(np.intp), rewards, logged, np.concatenate(inputs, 1), given
    )


def _numbers(cells: Sequence[str], option: str, column: str) -> Floats:
    try:
        found = np.array(cells, dtype=np.float64)
    except ValueError:
        wrong = next(cell for cell in cells if not _is_number(cell))
        raise ConfigError(f"{option} {column}: {wrong!r} is no number") from None
    if not np.isfinite(found).all():
        raise ConfigError(f"{option} {column}: a number is missing, or infinite")
    return found


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _inputs(cells: Sequence[str]) -> Floats:
    """A column as inputs: a number scaled, and in bins; a text, or few numbers, by its levels."""
    common = [level for level, _ in Counter(cells).most_common(_LEVELS)]
    numeric = all(_is_number(cell) for cell in cells)
    if not numeric or len(common) <= _BINS:
        places = {level: n for n, level in enumerate(sorted(common)[1:])}
        table = np.zeros((len(cells), len(places) + 1))
        for row, cell in enumerate(cells):
            if cell in places:
                table[row, places[cell]] = 1.0
            elif cell not in common:
                table[row, -1] = 1.0
        return table[:, table.any(axis=0)]
    values = np.nan_to_num(np.array(cells, dtype=np.float64))
    edges = np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1])
    bins = np.searchsorted(np.unique(edges), values)
    spread = float(values.std()) or 1.0
    scaled = np.clip((values - values.mean()) / spread, -4.0, 4.0)[:, None]
    return np.concatenate((scaled, np.eye(_BINS)[np.minimum(bins, _BINS - 1)][:, 1:]), 1)


class FoldEstimates(NamedTuple):
    """What the folds came to: both policies and the outcome model, shape (rows, arms) each."""

    thompson: Floats
    linear: Floats
    model: Floats


def outcome_of(log: LoggedExperiment, tick: Callable[[int], None]) -> FoldEstimates:
    """Learn and answer, fold by fold; ``tick`` is told how many rows were learned."""
    rows, arms = len(log.arms), len(log.names)
    outcome = FoldEstimates(*(np.zeros((rows, arms)) for _ in range(3)))
    fold = np.arange(rows) % FOLDS
    done = 0
    for one in range(FOLDS):
        inside, others = fold == one, np.flatnonzero(fold != one)
        plain, linear = Thompson(arms, floor=0.0), Linear(arms, log.x.shape[1])
        for at in range(0, len(others), BATCH):
            part = others[at : at + BATCH]
            choices = zip(log.arms[part].tolist(), log.rewards[part].tolist(), strict=True)
            for arm, reward in choices:
                plain.learn(arm, reward)
            linear.learn(log.x[part], log.arms[part], log.rewards[part])
            done += len(part)
            tick(done)
        x = log.x[inside]
        outcome.model[inside] = expected = linear.rewards(x)
        outcome.linear[inside] = _greedy(expected)
        outcome.thompson[inside] = _greedy(plain.beliefs()[0][None])
    return outcome


def _greedy(expected: Floats) -> Floats:
    chosen: Floats = np.eye(expected.shape[1])[expected.argmax(axis=1)]
    return chosen


def report(log: LoggedExperiment, outcome: FoldEstimates) -> dict[str, Any]:
    """Return the figures as plain values."""
    arms = len(log.names)
    name, policy = _choice(log, outcome)
    rows = np.arange(len(log.arms))
    chosen = policy[rows, log.arms]
    best = doubly_robust(log.rewards, log.arms, policy, log.logged, outcome.model)
    constant = {
        arm: _told(_of(log, np.tile(np.eye(arms)[n], (len(rows), 1)), outcome))
        for n, arm in enumerate(log.names)
    }
    return {
        "rows": len(rows),
        "policy": name,
        **_told(best),
        "choices": dict(zip(log.names, policy.mean(axis=0).tolist(), strict=True)),
        "estimates": {
            "ips": _told(ips(log.rewards, chosen, log.logged)),
            "snips": _told(snips(log.rewards, chosen, log.logged)),
            "doubly_robust": _told(best),
        },
        "arms": constant,
        "uniform": _told(_of(log, np.full((len(rows), arms), 1.0 / arms), outcome)),
        "likely_best": _likely_best(log, outcome),
        "propensities": "given" if log.given else "shares of the arms",
    }


def _of(log: LoggedExperiment, policy: Floats, outcome: FoldEstimates) -> PolicyValue:
    return doubly_robust(log.rewards, log.arms, policy, log.logged, outcome.model)


def _choice(log: LoggedExperiment, outcome: FoldEstimates) -> tuple[str, Floats]:
    """The policy that is chosen: by context where that is better by more than chance."""
    if log.x.shape[1] == 1:
        return "thompson", outcome.thompson
    gain = _of(log, outcome.linear - outcome.thompson, outcome)
    better = gain.value > gain.standard_error
    return ("linear", outcome.linear) if better else ("thompson", outcome.thompson)


def _likely_best(log: LoggedExperiment, outcome: FoldEstimates) -> dict[str, float]:
    """How likely each arm is to be the best one for everybody."""
    arms = len(log.names)
    values = [_of(log, np.tile(np.eye(arms)[n], (len(log.arms), 1)), outcome) for n in range(arms)]
    means = np.array([[value.value for value in values]])
    spreads = np.array([[max(value.standard_error, 1e-12) for value in values]])
    return dict(zip(log.names, likely_best(means, spreads)[0].tolist(), strict=True))


def _told(value: PolicyValue) -> dict[str, Any]:
    return {
        "value": value.value,
        "standard_error": value.standard_error,
        "interval": list(value.interval),
        "effective_sample_size": value.effective,
    }
