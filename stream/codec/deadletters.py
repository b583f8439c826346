"""Dead letters: a record that was refused, as it was, with the reason beside it.

Rules. Key, value and headers are the original's, byte for byte; only of an oversize record is the
value, or the key, cut to its first 4 KiB, its SHA-256 and length kept, and headers that make more
than 64 KiB are dropped and counted. What we know stands in headers of our own prefix, in
UTF-8; headers that bear it already come from an earlier burial and are replaced. A name that is not
UTF-8, which no producer of ours could send, is percent-encoded (RFC 3986) behind a prefix. A
message names a field and never holds a value. The letter's own Kafka timestamp is that of its
burial, not the original's, which stands in a header: retention would delete the letters of an old
log at once.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from stream.codec.events.envelope import Headers
from stream.domain.event import Rejection, RejectionCode

PREFIX: Final = "offerstream."
KEPT_OF_OVERSIZE: Final = 4096
KEPT_OF_HEADERS: Final = 64 * 1024

TOPIC: Final = PREFIX + "topic"
PARTITION: Final = PREFIX + "partition"
OFFSET: Final = PREFIX + "offset"
FIRST_OFFSET: Final = PREFIX + "offset.first"
TIMESTAMP: Final = PREFIX + "timestamp"
STAGE: Final = PREFIX + "stage"
CODE: Final = PREFIX + "code"
MESSAGE: Final = PREFIX + "message"
ATTEMPT: Final = PREFIX + "attempt"
VERSION: Final = PREFIX + "version"
VALUE_BYTES: Final = PREFIX + "value.bytes"
VALUE_SHA256: Final = PREFIX + "value.sha256"
KEY_BYTES: Final = PREFIX + "key.bytes"
KEY_SHA256: Final = PREFIX + "key.sha256"
HEADERS_DROPPED: Final = PREFIX + "headers.dropped"
NAME: Final = PREFIX + "name."


class Cut(NamedTuple):
    """The length and the SHA-256, in hex, of bytes of which only the first were kept."""

    bytes: int
    sha256: str


class FailedRecord(NamedTuple):
    """A record as Kafka delivered it; ``timestamp`` is in ms since the epoch.

    ``first`` is the first of the offsets that it stands for, if there are more than its own.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    first: int | None = None


class DeadLetter(NamedTuple):
    """What is sent to the topic ``dead-letters``."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Restored(NamedTuple):
    """What a dead letter tells.

    ``attempt`` counts from 1; ``complete`` is False if only a part of an oversize record is left,
    and ``record`` then holds that, and ``cut`` tells of its whole value.
    """

    record: FailedRecord
    rejection: Rejection
    stage: str
    attempt: int
    version: str
    complete: bool
    cut: Cut | None = None


def build_dead_letter(
    record: FailedRecord, rejection: Rejection, *, stage: str, version: str, cut: Cut | None = None
) -> DeadLetter:
    """Return the dead letter of a refused record.

    Parameters
    ----------
    record
        As it was consumed.
    rejection
        Why it was refused.
    stage
        Where: ``decode``, ``decide`` …
    version
        Of this application.
    cut
        Tells of a value that was cut before it came here.

    Examples
    --------
    >>> from stream.domain.event import Rejection, RejectionCode
    >>> record = FailedRecord("clicks", 3, 17, 1569888001000, b"c1", b"{", (("trace", b"1"),))
    >>> letter = build_dead_letter(
    ...     record, Rejection(RejectionCode.DECODE, "not JSON"), stage="decode", version="1.0"
    ... )
    >>> letter.key, letter.value, dict(letter.headers)["offerstream.code"]
    (b'c1', b'{', b'decode')
    >>> restore(letter).record == record
    True
    """
    ours: dict[str, str | int] = {
        TOPIC: record.topic,
        PARTITION: record.partition,
        OFFSET: record.offset,
        TIMESTAMP: record.timestamp,
        STAGE: stage,
        CODE: rejection.code.value,
        MESSAGE: rejection.detail,
        ATTEMPT: _attempt(record.headers) + 1,
        VERSION: version,
    }
    if record.first is not None:
        ours[FIRST_OFFSET] = record.first
    key, value, theirs = record.key, record.value, _theirs(record.headers)
    if cut is not None:
        ours[VALUE_BYTES], ours[VALUE_SHA256] = cut
    if rejection.code is RejectionCode.OVERSIZE:
        if value is not None and cut is None:
            ours[VALUE_BYTES] = len(value)
            ours[VALUE_SHA256] = sha256(value).hexdigest()
            value = value[:KEPT_OF_OVERSIZE]
        if key is not None and len(key) > KEPT_OF_OVERSIZE:
            ours[KEY_BYTES] = len(key)
            ours[KEY_SHA256] = sha256(key).hexdigest()
            key = key[:KEPT_OF_OVERSIZE]
        kept = _fitting(theirs)
        if len(kept) < len(theirs):
            ours[HEADERS_DROPPED] = len(theirs) - len(kept)
            theirs = kept
    escaped = ((_escaped(name), raw) for name, raw in theirs)
    headers = *escaped, *((name, str(ours[name]).encode()) for name in ours)
    return DeadLetter(key, value, headers)


def restore(letter: DeadLetter) -> Restored:
    """Return the record that a dead letter was built from: the inverse of `build_dead_letter`.

    Raises
    ------
    ValueError
        If it is no dead letter of ours; the message names the header.
    """
    ours = {name: raw for name, raw in letter.headers if name.startswith(PREFIX)}
    record = FailedRecord(
        _word(ours, TOPIC),
        _number(ours, PARTITION),
        _number(ours, OFFSET),
        _number(ours, TIMESTAMP),
        letter.key,
        letter.value,
        _theirs(letter.headers),
        first=_number(ours, FIRST_OFFSET) if FIRST_OFFSET in ours else None,
    )
    try:
        code = RejectionCode(_word(ours, CODE))
    except ValueError:
        raise ValueError(f"the header {CODE} names no reason") from None
    return Restored(
        record,
        Rejection(code, _word(ours, MESSAGE)),
        _word(ours, STAGE),
        _number(ours, ATTEMPT),
        _word(ours, VERSION),
        _is_complete(letter.value, ours),
        _cut_of(letter.value, ours),
    )


def retried(restored: Restored) -> Headers:
    """Return the headers to send a restored record back with, so that its attempts are counted.

    A record that dies again is buried as the next attempt. Names that are not UTF-8 stay encoded:
    what was refused for them alone is an event now.
    """
    theirs = ((_escaped(name), raw) for name, raw in restored.record.headers)
    return (*theirs, (ATTEMPT, str(restored.attempt).encode()))


def _theirs(headers: Headers) -> tuple[tuple[str, bytes | None], ...]:
    named = ((_unescaped(name), raw) for name, raw in headers)
    return tuple((name, raw) for name, raw in named if not name.startswith(PREFIX))


def _escaped(name: str) -> str:
    r"""A name as a producer can send it: one with surrogates for bytes (PEP 383) is encoded.

    >>> _escaped("trace"), _escaped("tr\udcffce"), _unescaped("offerstream.name.tr%FFce")
    ('trace', 'offerstream.name.tr%FFce', 'tr\udcffce')
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return NAME + quote_from_bytes(name.encode("utf-8", "surrogateescape"), safe="")
    return name


def _unescaped(name: str) -> str:
    if not name.startswith(NAME):
        return name
    original = unquote_to_bytes(name[len(NAME) :]).decode("utf-8", "surrogateescape")
    return original if _escaped(original) == name else name


def _fitting(theirs: tuple[tuple[str, bytes | None], ...]) -> tuple[tuple[str, bytes | None], ...]:
    """Leave out each header that would make too much of those kept before it."""
    kept, left = [], KEPT_OF_HEADERS
    for name, raw in theirs:
        size = len(name) + len(raw or b"")
        if size <= left:
            kept.append((name, raw))
            left -= size
    return tuple(kept)


def _cut_of(value: bytes | None, ours: dict[str, bytes | None]) -> Cut | None:
    """What tells of the whole value, where it was cut."""
    if VALUE_BYTES not in ours or len(value or b"") == _number(ours, VALUE_BYTES):
        return None
    return Cut(_number(ours, VALUE_BYTES), _word(ours, VALUE_SHA256))


def _attempt(headers: Headers) -> int:
    raw = next((raw for name, raw in headers if name == ATTEMPT), None)
    return int(raw) if raw is not None and raw.isdigit() and len(raw) < 4 else 0


def _word(ours: dict[str, bytes | None], name: str) -> str:
    try:
        return (ours.get(name) or b"").decode()
    except UnicodeDecodeError:
        raise ValueError(f"the header {name} is not UTF-8") from None


def _number(ours: dict[str, bytes | None], name: str) -> int:
    try:
        return int(_word(ours, name))
    except ValueError:
        raise ValueError(f"the header {name} is not a number") from None


def _is_complete(value: bytes | None, ours: dict[str, bytes | None]) -> bool:
    if KEY_BYTES in ours or HEADERS_DROPPED in ours:
        return False
    return VALUE_BYTES not in ours or len(value or b"") == _number(ours, VALUE_BYTES)
