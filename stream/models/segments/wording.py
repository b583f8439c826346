"""What sets a segment apart, in words that a marketer can read.

Rules
-----
- A segment is described by where its centre lies beside the mean of everybody, in standard
  deviations, the three widest gaps first; what is near the mean is not worth a word.
- Words, not numbers, and no share, which moves by the hour: a description is for a list of segments
  in a campaign tool.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_FAR, _CLEAR, _SLIGHT = 1.5, 0.75, 0.35  # standard deviations
_MOST = 3  # words' worth of coordinates


def described(centres: Floats, mean: Floats, var: Floats, names: Sequence[str]) -> list[str]:
    """Return a description of each segment.

    Parameters
    ----------
    centres
        Of shape (segments, coordinates).
    mean, var
        Of all customers, by coordinate.
    names
        Of the coordinates; one that is missing is called by its number.

    Examples
    --------
    >>> described(
    ...     np.array([[9.0, 1.0], [1.0, 1.1]]),
    ...     np.array([2.7, 1.1]),
    ...     np.array([10.0, 1.0]),
    ...     ["spend", "visits"],
    ... )
    ['far above average spend', 'somewhat below average spend']
    """
    labels = [*names, *(f"coordinate {i}" for i in range(len(names), len(mean)))]
    spread = np.sqrt(np.maximum(var, 1e-12))
    return [_in_words((centre - mean) / spread, labels) for centre in centres]


def _in_words(deviations: Floats, names: Sequence[str]) -> str:
    words = []
    for i in np.argsort(-np.abs(deviations), kind="stable")[:_MOST].tolist():
        size = abs(float(deviations[i]))
        if size < _SLIGHT:
            break
        degree = "far " if size >= _FAR else "" if size >= _CLEAR else "somewhat "
        words.append(f"{degree}{'above' if deviations[i] > 0 else 'below'} average {names[i]}")
    return ", ".join(words) or "average in everything"
