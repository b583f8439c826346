"""Examples drawn at random, as workers teach them: names come again, and from several alphabets."""

from __future__ import annotations

import random
from collections.abc import Iterator

from stream.decide.example import Basket, Example, Labelled, Portrait, SessionStep, Trial
from stream.decide.rows.features import FEATURES, PORTRAIT, pack

DAY = 86_400_000
NAMES = ("i", "tea ", "Öl", "商品", "🫖", "x" * 120)


def drawn(seed: int, items: int = 60) -> Iterator[Example]:
    """Examples without end."""
    rng = random.Random(seed)
    sessions: dict[int, list[str]] = {}
    time = 1_700_000_000_000
    while True:
        time += rng.choice((0, 1, 1_000, DAY // 24))
        kind, segment = rng.random(), rng.choice((None, 0, 3, 900))
        if kind < 0.55:
            yield _step(rng, sessions, time, segment, _name(rng, items))
        elif kind < 0.8:
            row = tuple(rng.choice((rng.randrange(9), 2**32 - 1)) for _ in FEATURES)
            yield Labelled(time, int(rng.random() < 0.3), segment, pack(row))
        elif kind < 0.9:
            lines = (_name(rng, items) for _ in range(rng.randrange(5)))
            yield Basket(time, segment, tuple(dict.fromkeys(lines)))
        elif kind < 0.93:
            code, what = rng.randrange(1, 2**31), rng.randrange(3)
            yield Trial(time, _name(rng, 5), rng.randrange(2**23), code, what, rng.randrange(2**53))
        else:
            yield Portrait(time, tuple(rng.gauss(rng.choice((0, 5)), 1.0) for _ in PORTRAIT))


def _step(
    rng: random.Random, sessions: dict[int, list[str]], time: int, segment: int | None, item: str
) -> SessionStep:
    session = rng.choice((1, 2**62)) + rng.randrange(99)
    seen = sessions.setdefault(session, [])
    previous, label = tuple(seen[-32:]), rng.choice((None, "", "c1", "c2", "é" * 99))
    seen.append(rng.choice(seen) if seen and rng.random() < 0.2 else item)
    price = rng.choice((None, 0, 199, 2**53 - 1))
    return SessionStep(time, session, segment, seen[-1], previous, label, _label(rng), price)


def _name(rng: random.Random, items: int) -> str:
    return f"{rng.choice(NAMES)}{int(rng.expovariate(4.0) * items)}"


def _label(rng: random.Random) -> str | None:
    return rng.choice((None, f"brand {rng.randrange(9)}"))
