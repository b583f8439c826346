"""Outliers of a table: each row is scored before it is learned, and labels only judge.

Rules
-----
- The detector never sees a label. Columns that read as numbers are numbers, the rest are texts.
- The reference is an isolation forest (Liu, Ting and Zhou, ICDM 2008) of the whole table: it has
  seen every row before it scores the first. Texts are to it how rare they are in the whole table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.config import ConfigError
from stream.insight.evaluate.propensity import LabelReader, feature
from stream.models.base.metrics import auc
from stream.models.outliers import OutlierDetector
from stream.models.outliers.isolation import batch_scores
from stream.models.outliers.robust import deviations, scale_of
from stream.reading.table import Table, text_of

Floats = npt.NDArray[np.float64]

_ODDEST: Final = 5
_CURVE: Final = 50


class Odd(NamedTuple):
    """A row that scored high: its number from 1, its score and label, and why."""

    row: int
    score: float
    label: int
    reason: str


class OutlierEvaluation:
    """One pass over the rows of a table.

    Parameters
    ----------
    table
        All columns are read.
    labels
        Which of them is the label, and how it is read.
    drop
        Columns that are left out.
    seed
        Of the detector and of the reference.
    """

    def __init__(
        self, table: Table, labels: LabelReader, drop: Sequence[str] = (), seed: int = 0
    ) -> None:
        self.table = table
        self.labels = labels
        self.seed = seed
        self.detector = OutlierDetector(seed=seed)
        self.unlabelled = 0
        self.oddest: list[Odd] = []
        self._scores: list[float] = []
        self._truth: list[int] = []
        self._rows: list[list[float | str]] = []
        self._drop = {labels.column, *drop}
        self._places: dict[str, int] = {}  # of the columns, as they are met

    def run(self) -> Iterator[int]:
        """Score and learn everything; yield the number of rows done, now and then."""
        rows = iter(self.table)
        while block := list(islice(rows, self._room())):
            labels = [self.labels.read(text_of(row.get(self.labels.column))) for row in block]
            self.unlabelled += labels.count(None)
            cells = [self._cells(row) for row in block]
            if not self._places:
                raise ConfigError(f"{self.table.name}: has no column but those left out")
            examples = [self._example(row) for row in cells]
            scores = self.detector.score_many(examples)
            for at, label in enumerate(labels):
                if label is not None:
                    self._keep(cells[at], examples[at], float(scores[at]), label)
            self.detector.learn_many(examples)
            yield len(self._scores)

    def _room(self) -> int:
        return self.detector.due(self.detector.seen) - self.detector.seen

    def _cells(self, row: Mapping[str, Any]) -> list[float | str]:
        """The values of a row, in the places of their columns."""
        places, cells = self._places, list[float | str]([""] * len(self._places))
        for name, value in row.items():
            if name in self._drop:
                continue
            if name not in places:
                places[name] = len(places)
                cells.append("")
            cells[places[name]] = feature(value)
        return cells

    def _example(self, row: Sequence[float | str]) -> dict[str, float | str]:
        return {name: value for name, value in zip(self._places, row, strict=False) if value != ""}

    def _keep(
        self, cells: list[float | str], x: dict[str, float | str], score: float, label: int
    ) -> None:
        self._rows.append(cells)
        self._scores.append(score)
        self._truth.append(label)
        if len(self.oddest) < _ODDEST or score > self.oddest[-1].score:
            reason = self.detector.reason_one(x)
            self.oddest.append(Odd(len(self._scores), score, label, reason))
            self.oddest.sort(key=lambda odd: -odd.score)
            del self.oddest[_ODDEST:]

    def judge(self) -> None:
        """Check that there is something to judge by.

        Raises
        ------
        ConfigError
            If there are not both kinds of label.
        """
        if not self._truth:
            raise ConfigError(f"{self.table.name}: no row has a label in {self.labels.column!r}")
        positives = sum(self._truth)
        if positives in (0, len(self._truth)):
            kind = "no row is" if not positives else "every row is"
            raise ConfigError(
                f"--label {self.labels.column}: {kind} an outlier, and AUC needs both kinds; "
                "which value is one? --positive VALUE"
            )

    def report(self) -> dict[str, Any]:
        """Return the result as plain values; see ``offerstream evaluate outliers``."""
        self.judge()
        truth, scores = np.array(self._truth, dtype=np.float64), np.array(self._scores)
        width = len(self._places)
        matrix = numeric([[*row, *[""] * (width - len(row))] for row in self._rows])
        reference = np.concatenate(list(batch_scores(matrix, seed=self.seed)))
        return {
            "rows": len(truth),
            "outliers": int(truth.sum()),
            "unlabelled": self.unlabelled,
            "left_out": self.table.left_out.total(),
            "auc": auc(truth, scores),
            "isolation_forest": {"auc": auc(truth, reference)},
            "auc_last_half": auc(truth[len(truth) // 2 :], scores[len(truth) // 2 :]),
            "oddest": [odd._asdict() for odd in self.oddest],
        }

    def curve(self) -> list[tuple[float, float]]:
        """Return the AUC over the rows up to each of some points."""
        truth, scores = np.array(self._truth, dtype=np.float64), np.array(self._scores)
        points = np.unique(np.linspace(0, len(truth), _CURVE + 1).astype(int)[1:]).tolist()
        told = [(float(at), auc(truth[:at], scores[:at])) for at in points]
        return [(at, value) for at, value in told if value is not None]


def numeric(rows: Sequence[Sequence[float | str]]) -> Floats:
    """Return rows as numbers, scaled: texts by how rare they are, gaps as the median.

    Examples
    --------
    >>> numeric([[1.0, "a"], [3.0, "a"], [2.0, "b"]]).shape
    (3, 2)
    """
    columns = []
    for column in zip(*rows, strict=True):
        counts = Counter(value for value in column if isinstance(value, str))
        values = np.array(
            [
                value if not isinstance(value, str)
                else (np.nan if value == "" else np.log(len(rows) / counts[value]))
                for value in column
            ]
        )  # fmt: skip
        known = np.isfinite(values)
        middle = float(np.median(values[known])) if known.any() else 0.0
        columns.append(np.where(known, np.clip(values, -1e30, 1e30), middle))
    points = np.array(columns).T
    return deviations(points, scale_of(points))
