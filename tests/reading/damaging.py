"""Damaged files over all commands: no traceback, no output of 0 bytes, no input changed.

By hand, for some hours: ``python -m tests.reading.damaging --files 20000 --seed 1``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from click.testing import CliRunner

from stream.cli import main
from tests.reading.packing import ENCODINGS, MAPPING, PACKINGS, table

_BITS = 8


def _rows(chance: Random) -> list[list[str]]:
    words = ["", "a", "é", "x,y", '5" x', "two\nlines", "1,5", "nan", "\\N", "日本", "a;b", "\\"]
    rows = [["ts", "user", "sku", "price", "y"]]
    for n in range(chance.randrange(40)):
        sku, price = chance.choice(words), chance.choice((*words, "1.50"))
        rows.append([f"2024-01-0{1 + n % 9}", f"u{n % 5}", sku, price, str(n % 2)])
    return rows


def _json(chance: Random) -> str:
    import json

    head, *rows = _rows(chance)
    found = [dict(zip(head, row, strict=True)) for row in rows]
    if chance.random() < 0.5:
        return json.dumps(found, indent=chance.choice((None, 1)), ensure_ascii=False)
    return "\n".join(json.dumps(row, ensure_ascii=chance.random() < 0.5) for row in found)


def _cut(raw: bytes, chance: Random) -> bytes:
    return raw[: chance.randrange(len(raw) + 1)]


def _flip(raw: bytes, chance: Random) -> bytes:
    made = bytearray(raw)
    for _ in range(chance.randrange(1, 6)):
        if made:
            made[chance.randrange(len(made))] ^= 1 << chance.randrange(_BITS)
    return bytes(made)


def _fill(raw: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(raw) + 1)
    return raw[:at] + chance.randbytes(chance.randrange(1, 60)) + raw[at:]


def _twice(raw: bytes, chance: Random) -> bytes:
    return raw + raw[chance.randrange(len(raw) + 1) :]


DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (_cut, _flip, _fill, _twice)


def damaged_file(chance: Random) -> bytes:
    """A file that was packed and encoded somehow, and damaged at some place on its way."""
    text = _json(chance) if chance.random() < 0.3 else table(_rows(chance), chance.choice(",;\t|"))
    encodings = [*ENCODINGS.values(), lambda t: t.encode("latin-1", "ignore"), _utf32, _bare16]
    raw = chance.choice(encodings)(text)
    if chance.random() < 0.4:
        raw = chance.choice(DAMAGES)(raw, chance)
    for _ in range(chance.choice((0, 1, 1, 1, 2))):
        raw = chance.choice(list(PACKINGS.values()))(raw)
    if chance.random() < 0.8:
        raw = chance.choice(DAMAGES)(raw, chance)
    return raw


def _utf32(text: str) -> bytes:
    return text.encode("utf-32")


def _bare16(text: str) -> bytes:
    return text.encode("utf-16-le")


def commands(file: Path, mapping: Path, out: Path, chance: Random) -> Iterator[list[str]]:
    """The commands that read a file; those that learn, for some of the files only."""
    name, plot = str(file), str(out / "plot.svg")
    yield ["mappings", "check", str(mapping), name]
    yield ["evaluate", "segments", "--csv", name, "--columns", "y", "--k", "2", "--shuffles", "1",
           "--plot", plot]  # fmt: skip
    yield ["evaluate", "rules", "--baskets", name, "--min-support", "0.5"]
    yield ["mappings", "check", name]
    yield ["events", "validate", name, "--limit", "3"]
    header = ["--no-header"] if chance.random() < 0.3 else []
    time, user, sku, price = "1234" if header else ("ts", "user", "sku", "price")
    columns = ["--csv", name, *header, "--time", time]
    if chance.random() < 0.1:
        yield ["evaluate", "forecast", *columns, "--value", price, "--plot", plot]
        yield ["evaluate", "value", *columns, "--customer", user, "--amount", price, "--plot", plot]
        yield ["evaluate", "ratings", *columns, "--user", user, "--item", sku, "--rating", price,
               "--plot", plot]  # fmt: skip
        yield ["evaluate", "outliers", *columns[:-2], "--label", "5" if header else "y",
               "--plot", plot]  # fmt: skip
    if chance.random() < 0.1:
        yield ["evaluate", "propensity", "--csv", name, "--label", "y", "--champion-only",
               "--plot", plot]  # fmt: skip
        small = ["--items", "64", "--sessions", "64", "--plot", plot]
        yield ["evaluate", "next-item", "--events", name, "--mapping", str(mapping), *small]
        yield ["evaluate", "next-item", "--train", name, "--test", name, *small]
    if chance.random() < 0.02:
        yield ["config", "show", "--config", name]


def try_file(content: bytes, folder: Path, chance: Random) -> list[str]:
    """Run the commands on a damaged file; what is wrong with what they did."""
    file, mapping = folder / "log", folder / "m.toml"
    mapping.write_text(MAPPING)
    faults = []
    for arguments in commands(file, mapping, folder, chance):
        for left in folder.glob("*.svg"):
            left.unlink()
        file.write_bytes(content)
        result = CliRunner().invoke(main, arguments)
        told = " ".join(arguments[:2])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            faults.append(f"{told}: {type(result.exception).__name__}: {result.exception}")
        if result.exit_code not in (0, 1, 2):
            faults.append(f"{told}: ended with {result.exit_code}")
        said = result.output if arguments[0] == "events" else result.stderr  # faults are its output
        if result.exit_code == 2 and len(said.strip().splitlines()) < 1:
            faults.append(f"{told}: says nothing")
        if file.read_bytes() != content:
            faults.append(f"{told}: changed its input")
        faults += [
            f"{told}: left {made.name} with {made.stat().st_size} bytes"
            for made in folder.iterdir()
            if made not in (file, mapping) and (not made.stat().st_size or made.suffix != ".svg")
        ]
    return faults


def run(files: int, seed: int, every: int = 0) -> list[str]:
    """Try so many damaged files; what is wrong, with the number of the file."""
    found: list[str] = []
    began = time.perf_counter()
    with TemporaryDirectory(prefix="offerstream-damaged-") as name:
        folder = Path(name)
        for number in range(files):
            chance = Random(f"{seed} {number}")
            content = damaged_file(chance)
            found += [f"file {number}: {fault}" for fault in try_file(content, folder, chance)]
            if every and number % every == every - 1:
                left = (time.perf_counter() - began) / (number + 1) * (files - number - 1)
                sys.stderr.write(f"{number + 1:,} files, {len(found)} faults, {left:,.0f} s left\n")
    return found


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    faults = run(given.files, given.seed, every=200)
    print(*faults[:100], sep="\n")
    print(Counter(fault.split(": ", 1)[1][:80] for fault in faults).most_common(20))
    sys.exit(bool(faults))


if __name__ == "__main__":
    _main()
