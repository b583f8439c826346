"""Parquet → JSON lines, by pyarrow, which is an optional extra.

Rules: whole numbers and decimals stay exact (decimals as texts), times are RFC 3339 to the
microsecond, bytes are text where they are UTF-8 and hexadecimal where not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import orjson

from stream.config import ConfigError
from stream.reading.streams import damaged

_ROWS: Final = 4_096  # made at once
_LARGEST: Final = 2**63


def json_lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The rows of a Parquet file as JSON lines, piece by piece.

    Raises
    ------
    ConfigError
        pyarrow is not installed, or the file is damaged.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(
            f"{name}: is Parquet: pip install 'offerstream[parquet]' to read it, or write it as "
            "CSV or JSON lines"
        ) from None
    try:
        opened = parquet.ParquetFile(file)
        batches = opened.iter_batches(batch_size=_ROWS)
        while (batch := next(batches, None)) is not None:
            rows = _to_microseconds(batch).to_pylist()
            yield b"".join(map(_line, rows))
    except ConfigError:
        raise
    except Exception as error:  # pyarrow has some twenty kinds for what is damaged
        raise damaged(name, error) from error


def _to_microseconds(batch: Any) -> Any:
    """Cut times in nanoseconds, which Python's do not have."""
    import pyarrow as pa

    for at, field in enumerate(batch.schema):
        kind = field.type
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            cut = batch.column(at).cast(pa.timestamp("us", kind.tz), safe=False)
            batch = batch.set_column(at, field.with_type(cut.type), cut)
    return batch


def _line(row: dict[str, Any]) -> bytes:
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(_exact(row), default=_text, option=options)


def _exact(value: Any) -> Any:
    """What orjson cannot write exactly, as text."""
    if isinstance(value, dict):
        return {key: _exact(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_exact(child) for child in value]
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return str(value)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    return str(value)
