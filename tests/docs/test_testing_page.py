"""docs/testing.md is run as it is written: every block of it, by the command that ends it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tests.waiting import run

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# (\S+\.(?:py|yaml))\n")


def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    for kind, text in BLOCKS:
        if kind == "console":
            continue
        named = FILE.match(text)
        assert named is not None, f"a block without the name of its file: {text[:60]}"
        file = tmp_path / named[1]
        assert not file.exists(), named[1]
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    ((_, told),) = [block for block in BLOCKS if block[0] == "console"]
    command, said = told.splitlines()
    assert command == "$ pytest -q"
    plain = ["-p", "no:cacheprovider", "-o", "addopts=", f"--rootdir={tmp_path}"]
    done = run(
        [sys.executable, "-m", "pytest", "-q", *plain],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout
    assert said in done.stdout


def test_the_first_example_is_ten_lines() -> None:
    first = next(text for kind, text in BLOCKS if kind == "python")
    lines = [line for line in first.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) == 10
