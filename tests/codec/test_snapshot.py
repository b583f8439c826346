from __future__ import annotations

import pickle
import struct
import zlib
from contextlib import suppress
from typing import Any

import cramjam
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream.codec.snapshots.entries import DTYPES, pack_state
from stream.codec.snapshots.snapshot import Snapshot, SnapshotError, decode, encode, fingerprint

KEY = b"a key of the operator's"
STATE = {
    "k": 5,
    "rate": 0.1,
    "name": "kmeans",
    "names": ["recency", "größe", ["nested", 1, 0.5]],
    "centres": np.arange(6, dtype=np.float64).reshape(2, 3),
    "none": np.zeros((0, 3), dtype=np.float32),
}
SMALL = encode("segments", 3, STATE, {"clicks/0": 41, "clicks/1": 7}, compress=False)
SIGNED = encode("segments", 3, STATE, {"clicks/0": 41}, key=KEY)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts
finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.integers(-(2**63), 2**63 - 1) | finite | texts
lists = st.lists(st.recursive(plain, lambda inner: st.lists(inner, max_size=3), max_leaves=8))
matrices = st.sampled_from([np.dtype(name) for name in DTYPES]).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0))
)
states = st.dictionaries(texts, scalars | lists | matrices, max_size=6)
offsets = st.dictionaries(texts, st.integers(-1, 2**62), max_size=3)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and repr(a) == repr(b)


ABOUT = pack_state({"kind": "some", "version": 1, "through": [], "base": []})


def squeezed(entries: bytes) -> bytes:
    """A state's bytes as a snapshot has them."""
    return bytes(cramjam.zstd.compress(entries))


def sealed(body: bytes, flags: int = 0, length: int | None = None) -> bytes:
    """A frame whose checksum fits, whatever is in it: what a forger without the key can make."""
    size = len(body) if length is None else length
    head = struct.pack("<4sBBHIQQ", b"OSNP", 1, flags, 0, 0, len(body), size)
    crc = zlib.crc32(body, zlib.crc32(head[12:], zlib.crc32(head[:8])))
    return head[:8] + struct.pack("<I", crc) + head[12:] + body


@given(states, offsets, st.none() | offsets, st.none() | st.binary(min_size=1), st.booleans())
def test_what_was_encoded_is_decoded_bit_for_bit(
    state: Any, through: Any, base: Any, key: bytes | None, compress: bool
) -> None:
    data = encode("some", 7, state, through, base=base, key=key, compress=compress)
    snapshot = decode(data, key=key)
    assert snapshot._replace(state={}) == Snapshot("some", 7, {}, through, base)
    assert snapshot.state.keys() == state.keys()
    assert all(same(snapshot.state[name], value) for name, value in state.items())


@given(states)
def test_equal_states_have_equal_bytes_whatever_their_order(state: Any) -> None:
    turned = dict(reversed(state.items()))
    assert encode("some", 1, state, {}) == encode("some", 1, turned, {})
    assert fingerprint(state) == fingerprint(turned)


@pytest.mark.parametrize("other", [{"a": 1.0}, {"a": -0.0}, {"a": 0}, {"a": [0.0]}, {"b": 0.0}])
def test_different_states_have_different_fingerprints(other: Any) -> None:
    assert fingerprint(other) != fingerprint({"a": 0.0})


def test_every_flipped_bit_is_refused() -> None:
    for data, key in ((SMALL, None), (SIGNED, KEY)):
        for bit in range(8 * len(data)):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SnapshotError):
                decode(bytes(damaged), key=key)


def test_every_cut_and_every_addition_is_refused() -> None:
    for data, key in ((SMALL, None), (SIGNED, KEY)):
        for end in range(len(data)):
            with pytest.raises(SnapshotError):
                decode(data[:end], key=key)
        with pytest.raises(SnapshotError):
            decode(data + b"\0", key=key)


def test_only_the_key_opens_and_only_its_snapshots_are_taken() -> None:
    assert decode(SIGNED, key=KEY).kind == "segments"
    with pytest.raises(SnapshotError, match="forged"):
        decode(SIGNED, key=b"another key")
    with pytest.raises(SnapshotError, match="no key"):
        decode(SIGNED)
    with pytest.raises(SnapshotError, match="not signed"):
        decode(SMALL, key=KEY)


def test_a_forger_who_knows_the_format_but_not_the_key_is_refused() -> None:
    forged = sealed(SMALL[28:], flags=2) + bytes(32)
    with pytest.raises(SnapshotError, match="forged"):
        decode(forged, key=KEY)


@given(st.binary(max_size=300))
def test_hostile_bytes_with_a_fitting_checksum_raise_nothing_else(body: bytes) -> None:
    squeezed_up = sealed(ABOUT + squeezed(body), 1, len(body))
    for data in (body, sealed(body), sealed(ABOUT + body), squeezed_up, sealed(ABOUT + body, 1)):
        with suppress(SnapshotError):
            decode(data)


@given(st.integers(0, len(SMALL) - 29), st.binary(min_size=1, max_size=9))
def test_a_forged_length_inside_raises_nothing_else(at: int, patch: bytes) -> None:
    body = SMALL[28:]
    forged = body[:at] + patch + body[at + len(patch) :]
    for length in (len(forged), len(pack_state(STATE))):
        with suppress(SnapshotError):
            decode(sealed(forged, 0, length))


def test_a_huge_array_is_refused_before_it_is_allocated() -> None:
    entry = struct.pack("<IH", 1, 1) + b"x" + b"a" + struct.pack("<BBQ", 9, 1, 2**60)
    for data in (sealed(entry), sealed(ABOUT + entry, 0, len(entry))):
        with pytest.raises(SnapshotError, match="cut"):
            decode(data)


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    bomb = ABOUT + squeezed(bytes(50_000_000))
    with pytest.raises(SnapshotError, match="limit"):
        decode(sealed(bomb, 1, 50_000_000), max_bytes=1_000_000)
    with pytest.raises(SnapshotError, match="length"):
        decode(sealed(bomb, 1, 1_000), max_bytes=1_000_000)


def test_a_pickle_is_no_snapshot() -> None:
    for data in (pickle.dumps(STATE), sealed(pickle.dumps(STATE))):
        with pytest.raises(SnapshotError):
            decode(data)


@pytest.mark.parametrize(
    "value",
    [None, True, {"a": 1}, (1, 2), 2**63, [None], [float("nan")], np.array(["a"]), np.array([1j])],
    ids=repr,
)
def test_what_a_snapshot_cannot_hold_is_our_own_mistake(value: Any) -> None:
    with pytest.raises((ValueError, struct.error)):
        encode("some", 1, {"x": value}, {})
