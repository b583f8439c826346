"""Test-then-train on a CSV file: the champion and its challengers, in file order, in one pass.

Rules
-----
- Nothing of a row's label is known before its prediction; with a delay of N, not before the N rows
  after it were predicted, either. What is learned then are the features that the row had when it
  was predicted.
- Types are decided value by value, as they come: a text that reads as a number is one. The file is
  never looked at ahead of the row in turn.
- A row without a label is predicted and counted, and nothing is learned from it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.config import ConfigError
from stream.grammar.words import flag, is_nothing
from stream.models.base.metrics import ProbabilityScores, quality
from stream.models.propensity import Encoded, Encoder, Propensity
from stream.models.propensity.challengers import RiverChallenger
from stream.models.propensity.encoding import EncodedRow
from stream.reading.format import FileFormat
from stream.reading.source import InputSource
from stream.reading.table import Table, text_of

BATCH = 32
CHAMPION = "hashed_ftrl_stack"
CURVE_POINTS = 60

Floats = npt.NDArray[np.float64]
Curve = dict[str, list[tuple[float, float]]]


class Example(NamedTuple):
    """A row: its features, and its label: 1, 0, or None for none."""

    x: dict[str, float | str]
    label: int | None


class LabelReader:
    """Reads labels: by the value that is positive, or by the usual words for yes and no."""

    def __init__(self, column: str, positive: str | None) -> None:
        self.column = column
        self.positive = positive

    def read(self, text: str) -> int | None:
        """Return 1, 0, or None for a label that has no value.

        Raises
        ------
        ConfigError
            If it is not told what the label means.
        """
        text = text.strip()
        if self.positive is not None and text == self.positive:
            return 1
        if is_nothing(text):
            return None
        if self.positive is not None:
            return 0
        said = flag(text)
        if said is None:
            raise ConfigError(
                f"--label {self.column}: is {text!r} positive? Say which value is: --positive VALUE"
            )
        return int(said)


class Examples:
    """The rows of files as examples, one after the other.

    Parameters
    ----------
    found
        What is read, in the order of time.
    labels
        Which column is the label, and how to read it.
    drop
        Columns that are not features.
    file
        What was told of the files' format.

    Attributes
    ----------
    size
        Bytes of the files.

    Raises
    ------
    ConfigError
        If a file can't be read, or has no such column.
    """

    def __init__(
        self,
        found: Sequence[InputSource],
        labels: LabelReader,
        drop: Sequence[str] = (),
        file: FileFormat | None = None,
    ) -> None:
        self.labels = labels
        self.drop = frozenset((labels.column, *drop))
        self._table = Table(found, file or FileFormat(), (labels.column, *drop), unused=drop)
        self.size = self._table.size

    @property
    def read(self) -> int:
        """Bytes of the files that were read so far."""
        return self._table.read

    @property
    def left_out(self) -> dict[str, int]:
        """Rows that are none, by reason."""
        return dict(self._table.left_out)

    def __iter__(self) -> Iterator[Example]:
        column, drop, read = self.labels.column, self.drop, self.labels.read
        for row in self._table:
            x = {name: feature(value) for name, value in row.items() if name not in drop}
            yield Example(x, read(text_of(row.get(column))))


def feature(value: object) -> float | str:
    """Return a value as a number if it is or reads as one, else as a text.

    >>> feature(1), feature("0.5"), feature(None), feature(True)
    (1.0, 0.5, '', 'true')
    """
    if isinstance(value, float):
        return value
    return typed(value if isinstance(value, str) else text_of(value))


def typed(text: str) -> float | str:
    """Return a cell as a number if it reads as one, else as the text it is.

    Examples
    --------
    >>> typed("0.20"), typed("1e3"), typed(" Feb "), typed("1_000"), typed("")
    (0.2, 1000.0, 'Feb', '1_000', '')
    """
    try:
        return float(text) if "_" not in text else text.strip()
    except ValueError:
        return text.strip()


class Scores:
    """What one model predicted, with the labels that came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.numbers: list[int] = []
        self.scores: list[float] = []
        self.labels: list[float] = []

    def add(self, number: int, score: float, label: int) -> None:
        """Keep the score that the row of this number got, and its label."""
        self.numbers.append(number)
        self.scores.append(score)
        self.labels.append(label)

    def between(self, first: int, last: int, threshold: float = 0.5) -> ProbabilityScores:
        """Return the metrics of rows from ``first`` on, up to before ``last``."""
        numbers = np.array(self.numbers)
        part = (numbers >= first) & (numbers < last)
        return quality(np.array(self.labels)[part], np.array(self.scores)[part], threshold)

    def report(self, events: int, threshold: float) -> dict[str, Any]:
        """Return the metrics over all rows and over the last half."""
        return {
            "name": self.name,
            "events": len(self.numbers),
            "all": self.between(0, events, threshold)._asdict(),
            "last_half": self.between(events // 2, events, threshold)._asdict(),
        }

    def curve(self, events: int, metric: str) -> list[tuple[float, float]]:
        """Return a metric over the tenth of the rows before each of some points."""
        window = max(events // 10, min(events, 500))
        points = np.unique(np.linspace(window, events, CURVE_POINTS).astype(int)).tolist()
        told = [(p, getattr(self.between(p - window, p), metric)) for p in points]
        return [(float(point), value) for point, value in told if value is not None]


class _Pending(NamedTuple):
    """A row that waits for its label, with what was predicted of it."""

    number: int
    example: Example
    hashes: EncodedRow
    score: float
    shadow: list[float | None]


class Evaluation:
    """One pass of champion and challengers over examples.

    Parameters
    ----------
    champion
        The model under test.
    challengers
        What scores beside it.
    clock
        Seconds, from any start: the champion's own time is measured with it.
    delay
        Rows after which a label is known.
    """

    def __init__(
        self,
        champion: Propensity,
        challengers: Sequence[RiverChallenger],
        clock: Callable[[], float],
        delay: int = 0,
    ) -> None:
        self.champion = champion
        self.challengers = challengers
        self.delay = delay
        self.events = 0
        self.unlabelled = 0
        self.seconds = 0.0
        self.encoding_seconds = 0.0
        self.scores = Scores(CHAMPION)
        self.shadows = [Scores(challenger.name) for challenger in challengers]
        self._clock = clock
        self._encoder = Encoder(champion.inputs)
        self._waiting: deque[_Pending] = deque()

    def run(self, examples: Iterator[Example]) -> Iterator[int]:
        """Predict and learn everything; yield the number of rows done, now and then."""
        while batch := list(islice(examples, BATCH)):
            self._predict(batch)
            while len(self._waiting) >= self.delay + BATCH:
                self._learn([self._waiting.popleft() for _ in range(BATCH)])
            yield self.events
        while self._waiting:
            self._learn([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])

    def _predict(self, batch: list[Example]) -> None:
        hashes = self._encoded(batch)
        began = self._clock()
        scores = self.champion.predict(Encoded.of(hashes)).tolist()
        self.seconds += self._clock() - began
        for example, row, score in zip(batch, hashes, scores, strict=True):
            shadow = [
                challenger.predict(example.x) if challenger.sees(self.events) else None
                for challenger in self.challengers
            ]
            self._waiting.append(_Pending(self.events, example, row, score, shadow))
            self.events += 1

    def _encoded(self, batch: list[Example]) -> list[EncodedRow]:
        began = self._clock()
        hashes = []
        for example in batch:
            self._encoder.learn(example.x)
            hashes.append(self._encoder.encode(example.x))
        self.encoding_seconds += self._clock() - began
        return hashes

    def _learn(self, batch: list[_Pending]) -> None:
        known = [pending for pending in batch if pending.example.label is not None]
        self.unlabelled += len(batch) - len(known)
        if not known:
            return
        labels = [int(pending.example.label or 0) for pending in known]
        began = self._clock()
        self.champion.learn(Encoded.of([pending.hashes for pending in known]), labels)
        self.seconds += self._clock() - began
        for pending, label in zip(known, labels, strict=True):
            self.scores.add(pending.number, pending.score, label)
            for i, score in enumerate(pending.shadow):
                if score is not None:
                    self.shadows[i].add(pending.number, score, label)
                    self.challengers[i].learn(pending.example.x, label)

    def report(self, threshold: float = 0.5) -> dict[str, Any]:
        """Return the result as plain values; see ``offerstream evaluate propensity``."""
        events = max(self.events, 1)
        return {
            "events": self.events,
            "unlabelled": self.unlabelled,
            "delay": self.delay,
            "threshold": threshold,
            "champion": self.scores.report(self.events, threshold),
            "challengers": [
                shadow.report(self.events, threshold) | {"bounded": rival.bounds(self.events)}
                for shadow, rival in zip(self.shadows, self.challengers, strict=True)
            ],
            "drifts": self.champion.drifts,
            "microseconds_per_event": 1e6 * self.seconds / events,
            "encoding_microseconds_per_event": 1e6 * self.encoding_seconds / events,
        }

    def curves(self, metric: str) -> Curve:
        """Return each model's learning curve."""
        return {each.name: each.curve(self.events, metric) for each in (self.scores, *self.shadows)}
