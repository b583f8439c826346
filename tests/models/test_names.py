from __future__ import annotations

import numpy as np
import pytest

from stream.models.base import names as module
from stream.models.base.names import Names, coded
from stream.models.base.vocabulary import Vocabulary


def codes_of(spelled: list[bytes], names: Names) -> list[int]:
    """Codes by the bytes of names, up to the first that has none."""
    ends = np.cumsum([len(each) for each in spelled])
    spans = np.array(
        [(end - len(each), len(each)) for each, end in zip(spelled, ends, strict=True)]
    )
    codes = np.zeros(len(spelled), np.int32)
    data = np.frombuffer(bytearray(b"".join(spelled)), np.uint8)
    done = coded(data, spans.astype(np.int64), names.book, codes, 0)
    return codes[:done].tolist()


def test_names_are_found_by_their_bytes_once_they_are_spelled() -> None:
    names = Names()
    told = [f"{kind}{n}" for n in range(2_000) for kind in ("", "Öl", "商品")]
    for name in told[::2]:
        assert names.spell(name)
    spelled = [name.encode() for name in told]
    assert codes_of(spelled[::2], names) == names.codes(told[::2]).tolist()
    for stranger in (spelled[1], b"", b"\xff", spelled[0] + b"\0"):
        assert codes_of([spelled[0], stranger, spelled[2]], names) == [1]


def test_names_that_crowd_one_place_are_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names()
    names._slots[:] = 1  # as if all places around were taken
    assert not names.spell("tea")
    assert names.code("tea") == 1


def test_a_name_that_was_evicted_has_no_number() -> None:
    vocabulary, names = Vocabulary(8), Names()
    codes = names.codes(f"i{n}" for n in range(8))
    numbers = [vocabulary.admitted(code, names, use=n) for n, code in enumerate(codes.tolist())]
    assert vocabulary.found(codes, names).tolist() == numbers
    new = vocabulary.admitted(names.code("new"), names)
    assert vocabulary.found(codes, names).tolist() == [0, *numbers[1:]]
    assert vocabulary.found(names.codes(["new"]), names).tolist() == [new]


def test_it_is_time_for_new_ones_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONG", 9)
    names = Names()
    names.codes(["tea", "milk"])
    assert not names.many
    names.code("sugar")
    assert names.many
