"""Examples as columns: what is read of them is what decoding says, and nothing else is read."""

from __future__ import annotations

import random
from itertools import accumulate, islice
from typing import Any

import msgspec
import numpy as np
import pytest

from stream.codec.examples import LessonError, decode_examples, encode_examples, read_examples
from stream.decide.rows.features import FEATURES, PORTRAIT
from stream.learn.columns import ExampleColumns
from stream.models.base import packed
from stream.models.base.names import Names
from tests.examples import drawn
from tests.uncompiled import uncompiled


def payloads(seed: int, count: int) -> list[bytes]:
    """The examples of some events, none of some."""
    rng, examples = random.Random(seed), drawn(seed)
    return [encode_examples(list(islice(examples, rng.randrange(4)))) for _ in range(count)]


def told(columns: ExampleColumns, names: Names) -> Any:
    """Columns in values that compare, codes as names."""
    texts = names.texts
    facts = columns.told
    return (
        columns.examples,
        columns.newest,
        columns.steps.told(names),
        [texts[code] for part in (facts.items, facts.categories, facts.brands) for code in part],
        [code > 0 for part in (facts.categories, facts.brands) for code in part],
        facts.prices.tolist(),
        [column.tolist() for column in columns.labels],
        columns.baskets,
        columns.portraits.tolist(),
        list(columns.trials),
    )


def test_columns_say_what_decoded_examples_say(seed: int) -> None:
    names, others = Names(), Names()
    for part in range(20):
        given = payloads(seed + part, 30)
        examples = [example for payload in given for example in decode_examples(payload)]
        read = read_examples(given, names)
        assert told(read, names) == told(ExampleColumns.of(examples, others), others)


def test_what_was_changed_on_its_way_is_read_or_refused_as_decoding_would(seed: int) -> None:
    rng, names, others, refused = random.Random(seed), Names(), Names(), 0
    for payload in payloads(seed, 1_500):
        changed = bytearray(payload)
        for _ in range(rng.choice((1, 1, 3))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        if rng.random() < 0.2:
            del changed[rng.randrange(len(changed)) :]
        given = [payload, bytes(changed), payload]
        try:
            examples = [example for each in given for example in decode_examples(each)]
        except LessonError:
            refused += 1
            with pytest.raises(LessonError):
                read_examples(given, names)
        else:
            read = read_examples(given, names)
            assert told(read, names) == told(ExampleColumns.of(examples, others), others)
    assert refused > 300


@pytest.mark.parametrize(
    "fields",
    [
        [1, [0, 7, None, "x" * 129, [], None, None, None]],
        [1, [0, 7, None, None, [], None, None, None]],
        [1, [0, 7, None, "x", [None], None, None, None]],
        [1, [0, 7, None, "x", ["y"] * 33, None, None, None]],
        [1, [0, 7, None, "x", [], "é" * 257, None, None]],
        [1, [0, 7, None, "x", [], None, None, 2**53]],
        [1, [0, 2**63, None, "x", [], None, None, None]],
        [1, [-1, 7, None, "x", [], None, None, None]],
        [1, [0, 7, 1_024, "x", [], None, None, None]],
        [0, [0, 2, None, bytes(64)]],
        [0, [0, 1, None, bytes(63)]],
        [0, [4_102_444_800_000, 1, None, bytes(64)]],
        [2, [0, None, ["x"] * 501]],
        [3, [0, [1e10] * 6]],
        [3, [0, [float("nan")] * 6]],
        [3, [0, [0.0] * 5]],
        [4, []],
        [4, [0, "c" * 129, 1, 1, 0, 0]],
        [4, [0, "c", 2**23, 1, 0, 0]],
        [4, [0, "c", 1, 0, 0, 0]],
        [4, [0, "c", 1, 2**31, 0, 0]],
        [4, [0, "c", 1, 1, 3, 0]],
        [4, [0, "c", 1, 1, 0, 2**53]],
        [5, []],
    ],
)
def test_what_no_worker_teaches_is_refused(fields: Any) -> None:
    with pytest.raises(LessonError):
        read_examples([msgspec.msgpack.encode([fields])], Names())


def test_what_is_valid_but_out_of_the_ordinary_is_read_all_the_same() -> None:
    fields = [1, [0, 7, None, "x", [], "é" * 256, "", 1]], [3, [5, [1, 2, 3, 4, 5, 6]]]
    names = Names()
    columns = read_examples([msgspec.msgpack.encode(fields)], names)
    assert names.texts[columns.told.categories[0]] == "é" * 256
    assert columns.portraits.tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]
    assert columns.newest == 5 and columns.told.prices.tolist() == [1]


def test_kernels_read_rows_and_portraits_of_the_length_that_workers_make() -> None:
    assert (len(FEATURES), len(PORTRAIT)) == (packed.FEATURES, packed.AXES)


def read_by_kernels(seed: int) -> list[Any]:
    """What kernels make of some examples, whether they are compiled or not."""
    given = payloads(seed, 40)
    data = bytearray().join((*given, bytes(packed.ROOM)))
    found = packed.columns_of(data, list(accumulate(map(len, given))), Names())
    assert found is not None
    columns, codes = found
    examples, steps, spans, labels, portraits, baskets, newest, trials = columns.tally.tolist()
    return [
        [examples, newest, codes.tolist(), columns.spans[:spans].tolist()],
        columns.steps[:, :steps].tolist(),
        columns.labels[:, :labels].tolist(),
        columns.rows[:labels].tolist(),
        columns.portraits[:portraits].view(np.float64).tolist(),
        columns.baskets[:baskets].tolist(),
        columns.trials[:trials].tolist(),
    ]


def test_uncompiled_kernels_read_the_same(seed: int) -> None:
    program = f"from {__name__} import read_by_kernels; print(read_by_kernels({seed}))"
    assert uncompiled(program) == str(read_by_kernels(seed))
