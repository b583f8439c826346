"""What became of rows: a label and a weight each.

Rules
-----
- The gradient of the log loss by the log-odds is ``weight * p - label``: of a row whose label is
  whole, with weight 1, the usual ``p - label``.
- That is linear in the label, so it can be learned in two parts [1]_: an exposure at once, as one
  that nobody bought (label 0, weight 1), and its purchase when it comes (label 1, weight 0), which
  takes back what the first part said. Their sum is what a whole positive label says.
- While purchases are on their way, an exposure weighs less: see
  `stream.models.propensity.maturity`.
- Whatever else is learned by sums of misses (stack, calibration) takes the same two parts.

References
----------
.. [1] Badanidiyuru et al., "Handling many conversions per click in modeling delayed feedback",
   AdKDD 2021, after the fake negatives of Ktena et al., "Addressing delayed feedback for continuous
   training with neural networks in CTR prediction", RecSys 2019.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from stream.models.base.sigmoid import Floats

Truth: TypeAlias = tuple[Floats, Floats]
"""Labels of 0 or 1, and weights from 0 on, both of shape (rows,)."""


def whole(labels: Floats) -> Truth:
    """Labels that nothing will change.

    >>> whole(np.array([0.0, 1.0]))
    (array([0., 1.]), array([1., 1.]))
    """
    return labels, np.ones(len(labels))
