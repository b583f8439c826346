"""Payloads that are valid, nearly valid or hostile: contracts' examples, changed by chance.

A tree is changed first (values, names, what is there), then spelled by chance (numbers, escapes,
white space, a name twice), and then some of its bytes are changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any, Final

import orjson

from stream.codec.schema import schemas_root
from tests.codec.producing import TIME, payload

_TIMES: Final = """
2024-05-01T09:30:00Z 2024-05-01T09:30:00.250Z 2024-05-01T11:30:00.2509999+02:00
2024-05-01t09:30:00z 2024-05-01T09:30:00 2024-02-30T09:30:00Z 2016-12-31T23:59:60Z
2024-05-01T24:00:00Z 2024-W18-3T09:30:00Z 20240501T093000Z 2024-05-01T09:30:00+0200
2024-05-01T09:30:00-00:00 2024-05-01T09:30:00+24:00 2024-05-01T09:30:00+05:99
2024-05-01T09:30:00,5Z 1989-12-31T23:59:59Z 9999-12-31T23:59:59-12:00
"""
TIMES: Final = [
    *(TIME, TIME + 1, TIME + 400_000, float(TIME), TIME + 0.5, 631_151_999_999, 4_102_444_800_000),
    *(*_TIMES.split(), "2024-05-01 09:30:00Z", "٢٠٢٤-05-01T09:30:00Z", ""),
    *(str(TIME), "٢" * 13, "0" * 13),
]
AMOUNTS: Final = (
    *(0, 1, 999, -1, 0.0, -0.0, 1.0, 0.5, 9.99, 1.005, 0.125, 1e5, 1e10, 1e15, 1e22, -1e-7, 5e-324),
    *(2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64, 10**10, 10**13, 10**13 + 1, 10**30, 10**400),
    *("9.99", "0.125", "9", "01", "1.", "12,5", "-1", "1e3", "9" * 10, "9" * 11, "1." + "5" * 18),
    *("2.0", ""),
)
TEXTS: Final = (
    *("x", "", "caf\u00e9", "cafe\u0301", "Акме", "\u202eevil", "a\u0000b", "\u007f", "\u200d"),
    *("\u00a0", "\ud800", "👍🏽", "\u0301", "ﬁ", "é" * 128, "e\u0301" * 128, "a\\b", 'a"b', "a\nb"),
    *("x" * 128, "x" * 129, "x" * 257, "view", "View", "purchase", "refund", "click"),
)
CONSENTS: Final = (
    *({"profiling": True}, {"offers": False}, {"offers": None}, {"profiling": False, "x": 1}, {}),
    *({"Offers": False}, {"offers": 1}, {"profile": False}, {"offers": True, "OFFERS": "no"}),
)
TRAITS: Final = (
    *({"tier": "gold", "n": 1, "f": 1.0, "b": True}, {"": 1}, {"x" * 65: 1}),
    *({"n": number} for number in AMOUNTS),
    *({text: text} for text in TEXTS),
)
VERSIONS: Final = (1, 1.0, "1", "1.0", "1.10", "1.999", "2.0", 2, "1.", True)
CODES: Final = ("EUR", "JPY", "KWD", "CLF", "XXX", "eur", "Jpy", "", "EURO", "EUR\n")
LIKELY: Final[dict[str, Sequence[Any]]] = {
    **dict.fromkeys(("price", "price_minor", "quantity"), AMOUNTS),
    "timestamp": TIMES,
    "schema_version": VERSIONS,
    "currency": CODES,
    "consent": CONSENTS,
    "traits": TRAITS,
    "erase": (True, False, 1, "yes"),
    **dict.fromkeys(("customer_id", "category", "brand", "page"), TEXTS),
    **dict.fromkeys(("product_id", "sku", "variant", "session_id"), (*TEXTS, *AMOUNTS)),
}
ODD_VALUES: Final = (
    *(None, True, False, [], {}, [None], {"a": 1}, [[1]], [{}], {"erase": True}, [[[[]]]]),
    *(*TIMES, *AMOUNTS, *TEXTS, *CONSENTS, *VERSIONS, *CODES),
)
_NAMES: Final = """
erase Erase consent CONSENT context consentManagement specversion data Event_id page referrer
tags utm x userId messageId type timestamp customer_id products traits price price_minor
currency quantity category brand session_id schema_version sku variant_id variant order_id
"""
ODD_NAMES: Final = [*_NAMES.split(), "", "event_id ", "é", "e\u0301"]
ODD_NUMBERS: Final = ("1.0", "1e0", "-0", "-0.0", "01", "1.", "+1", "1E400", "1e-400", "9" * 30)
_BYTES: Final = b"""
" { } , : - 0 null NaN 1.0 999999999999999999999 \\ \\u0000 \\ud800 \x00 \x7f \xff \xc3 \xe2\x80\xae
"""
ODD_BYTES: Final = [*_BYTES.split(), b" ", b"\n", b"[" * 200]


def examples(topic: str) -> list[Any]:
    """The contract's own examples, valid and not, and what tests send."""
    folder = schemas_root() / topic / "v1"
    valid, invalid = (
        [orjson.loads(file.read_bytes()) for file in (folder / kind).iterdir()]
        for kind in ("valid", "invalid")
    )
    valid += [payload(topic), payload(topic, consent={"profiling": True, "offers": False})]
    return invalid + valid * (2 * len(invalid) // len(valid))


def values(topic: str, chance: Random, count: int) -> Iterator[bytes]:
    """Values of a topic's records, none of them long."""
    trees = examples(topic)
    for _ in range(count):
        tree = deepcopy(chance.choice(trees))
        for _ in range(chance.choice((0, 1, 1, 2, 3))):
            _change(tree, chance)
        value = _spelled(tree, chance).encode("utf-8", "surrogatepass")
        yield _damaged(value, chance) if chance.random() < 0.1 else value


def _change(tree: Any, chance: Random) -> None:
    """Change one member of an object or a list somewhere in a tree."""
    place = chance.choice(list(_containers(tree)) or [{}])
    if isinstance(place, list):
        place.append(deepcopy(chance.choice(ODD_VALUES)))
        return
    name = chance.choice((*place, *chance.sample(ODD_NAMES, 3)))
    if name in place and chance.random() < 0.1:
        del place[name]
    else:
        likely = LIKELY.get(name, ODD_VALUES) if chance.random() < 0.8 else ODD_VALUES
        place[name] = deepcopy(chance.choice(likely))


def _containers(node: Any) -> Iterator[Any]:
    if isinstance(node, dict | list):
        yield node
        for child in node.values() if isinstance(node, dict) else node:
            yield from _containers(child)


def _spelled(node: Any, chance: Random) -> str:
    """JSON of a tree, now and then in a spelling of its own."""
    odd = chance.random() < 0.01
    if isinstance(node, dict):
        members = [f"{_spelled(name, chance)}:{_spelled(node[name], chance)}" for name in node]
        if odd and node:
            name = chance.choice(list(node))
            members.append(f"{json.dumps(name)}:{json.dumps(chance.choice((node[name], None, 7)))}")
        if odd:
            chance.shuffle(members)
        return "{" + (" , " if odd else ",").join(members) + "}"
    if isinstance(node, list):
        return "[" + ",".join(_spelled(child, chance) for child in node) + "]"
    if isinstance(node, str):
        return json.dumps(node, ensure_ascii=odd)
    if odd and isinstance(node, int | float):
        return chance.choice((*ODD_NUMBERS, f"{node}.0", f"{node}e0", f"{node}.5"))
    return json.dumps(node)


def _damaged(value: bytes, chance: Random) -> bytes:
    damaged = bytearray(value)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(damaged) + 1)
        damaged[place : place + chance.randint(0, 3)] = chance.choice(ODD_BYTES)
    return bytes(damaged)
