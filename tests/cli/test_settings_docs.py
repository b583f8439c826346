"""docs/settings.md tells of every setting what ``stream/config.py`` says of it.

To write the page's tables anew, run this file's tests with ``OFFERSTREAM_TEST_WRITE=1``.
"""

from __future__ import annotations

import inspect
import os
import re
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import stream.config
from stream.config import Secret
from stream.host.environment import Setting, catalogue

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
TABLES = re.compile(r"(?<=<!-- tables -->\n).*(?=<!-- /tables -->)", re.DOTALL)
FIELD = re.compile(r"    (\w+): [^#]*  # (.*)")

SECTIONS = {
    "": "Settings",
    "topics": "Topics",
    "core": "CoreSettings",
    "core.policy": "PolicySettings",
    "worker": "WorkerSettings",
    "learning": "LearningSettings",
    "kafka": "KafkaSettings",
    "embedded": "EmbeddedSettings",
    "metrics": "MetricsSettings",
    "extensions": "ExtensionSettings",
}


def reasons(section: str) -> dict[str, str]:
    """The comments behind a section's fields: why each default is what it is."""
    source = inspect.getsource(getattr(stream.config, SECTIONS[section]))
    return dict(match.groups() for line in source.splitlines() if (match := FIELD.match(line)))


def tables() -> Iterator[str]:
    def section(setting: Setting) -> str:
        return setting.name.rpartition(".")[0]

    for name, settings in groupby(sorted(catalogue().values(), key=section), section):
        about = inspect.getdoc(getattr(stream.config, SECTIONS[name])) or ""
        yield f"\n## {f'`[{name}]`' if name else 'At the top'}\n\n"
        yield textwrap.fill(about.partition("\n\n")[0], 100) + "\n\n"
        yield "| Setting | Default | May be | Why |\n|---|---|---|---|\n"
        why = reasons(name)
        for setting in settings:
            key = setting.name.rpartition(".")[2]
            yield f"| `{key}` | {default(setting)} | {setting.allowed} | {why[key]} |\n"


def default(setting: Setting) -> str:
    value = setting.default
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = ", ".join(value) if isinstance(value, tuple) else text
    return "" if isinstance(value, Secret) or text == "" else f"`{text}`"


def test_the_page_says_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    wanted = "".join(tables()) + "\n"
    if os.environ.get("OFFERSTREAM_TEST_WRITE"):
        PAGE.write_text(TABLES.sub(lambda _: wanted, page), encoding="utf-8")
        return
    found = TABLES.search(page)
    assert found is not None
    assert found.group() == wanted, "write it anew: see the head of this file"


def test_every_default_says_why() -> None:
    for setting in catalogue().values():
        section, _, key = setting.name.rpartition(".")
        assert len(reasons(section).get(key, "")) > 5, setting.name
