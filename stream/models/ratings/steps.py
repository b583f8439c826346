"""Gradient steps of biased matrix factorisation, and what a user's neighbours say of an item.

References
----------
Koren, Bell and Volinsky, "Matrix factorization techniques for recommender systems", IEEE Computer
42(8), 2009. Herlocker, Konstan, Borchers and Riedl, "An algorithmic framework for performing
collaborative filtering", SIGIR 1999.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream.models.base.kernel import kernel

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_TOGETHER = 8.0  # items rated by both, at which half of a similarity is believed
_DOUBT = 0.5  # weight of the baseline among what neighbours say


@kernel
def expected(user: int, item: int, mean: float, biases: Any, factors: Any) -> float:
    """Return the rating that factors expect.

    Parameters
    ----------
    user, item
        Places; -1 for one who is not known.
    mean
        Of all ratings.
    biases
        Of users and of items, each of shape (places,).
    factors
        Of users and of items, each of shape (places, size).
    """
    told = mean
    if user >= 0:
        told += biases[0][user]
    if item >= 0:
        told += biases[1][item]
    if user >= 0 and item >= 0:
        for axis in range(factors[0].shape[1]):
            told += factors[0][user, axis] * factors[1][item, axis]
    return float(told)


@kernel
def descend(
    users: Numbers,
    items: Numbers,
    ratings: Floats,
    order: Numbers,
    mean: float,
    biases: Any,
    factors: Any,
    pace: Any,
) -> float:
    """Take one gradient step for each rating, in order; return the sum of squared errors.

    Parameters
    ----------
    users, items, ratings
        Of shape (ratings,); those of a user below 0 are passed over.
    order
        Which of them, of shape (steps,).
    mean, biases, factors
        As of `expected`.
    pace
        Rate of biases, rate of factors, penalty of biases, penalty of factors.
    """
    total = 0.0
    for step in range(len(order)):
        at = order[step]
        user, item = users[at], items[at]
        if user < 0 or item < 0:
            continue
        error = ratings[at] - expected(user, item, mean, biases, factors)
        total += error * error
        biases[0][user] += pace[0] * (error - pace[2] * biases[0][user])
        biases[1][item] += pace[0] * (error - pace[2] * biases[1][item])
        for axis in range(factors[0].shape[1]):
            p, q = factors[0][user, axis], factors[1][item, axis]
            factors[0][user, axis] += pace[1] * (error * q - pace[3] * p)
            factors[1][item, axis] += pace[1] * (error * p - pace[3] * q)
    return total


@kernel
def neighbourly(
    user: int, item: int, rated: Numbers, residuals: Floats, raters: Numbers, room: Floats
) -> tuple[float, float]:
    """Return what users who rated an item say of it, as a distance from the baseline.

    Parameters
    ----------
    user, item
        Places, known.
    rated, residuals
        Of shape (users, latest): the items each user rated lately, -1 for none, and by how much
        the rating was off the baseline.
    raters
        Of shape (items, latest): users who rated each item lately, -1 for none.
    room
        Of shape (items,): zeros, which it leaves.

    Returns
    -------
    residual
        Mean of what the neighbours' ratings of this item were off, by similarity.
    trust
        Sum of the similarities' sizes.
    """
    own = 0.0
    for at in range(rated.shape[1]):
        if rated[user, at] >= 0:
            room[rated[user, at]] = residuals[user, at]
            own += residuals[user, at] * residuals[user, at]
    told, trust = 0.0, 0.0
    for at in range(raters.shape[1]):
        other = raters[item, at]
        if other < 0 or other == user:
            continue
        product, size, common, said = 0.0, 0.0, 0.0, 0.0
        for place in range(rated.shape[1]):
            which = rated[other, place]
            if which < 0:
                continue
            residual = residuals[other, place]
            size += residual * residual
            if which == item:
                said = residual
            elif room[which] != 0.0:
                product += residual * room[which]
                common += 1.0
        if own > 0.0 and size > 0.0 and common > 0.0:
            alike = product / np.sqrt(own * size) * common / (common + _TOGETHER)
            told += alike * said
            trust += abs(alike)
    for at in range(rated.shape[1]):
        if rated[user, at] >= 0:
            room[rated[user, at]] = 0.0
    return told / (trust + _DOUBT), trust
