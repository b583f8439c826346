"""Which extensions are found, which are in force, and how a broken one is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream.cli import main
from stream.config import ConfigError, ExtensionSettings
from tests.extending.installing import PAGE, Site, of_the_page

BROKEN = """
class Rule:
    def __init__(self, asked): ...

class Judge:
    def __call__(self, asked): return False

judge, number = Judge(), 7
def two(asked, more): return False
def none(): return False
async def later(asked): return False
def optional(asked, strict=False): return False
"""
TARGETS = {
    "missing": "no_such_module:rule",
    "attribute": "broken:no_such_rule",
    "raises": "raising:rule",
    "leaves": "leaving:rule",
    "class": "broken:Rule",
    "number": "broken:number",
    "two": "broken:two",
    "none": "broken:none",
    "later": "broken:later",
    "judge": "broken:judge",
    "optional": "broken:optional",
}


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["extensions", *arguments])


def test_the_command_shows_what_the_page_says(shop: Site) -> None:
    settings = tomllib.loads(of_the_page()["shop.toml"])["extensions"]
    names = [f"extensions.{point}={','.join(names)}" for point, names in settings.items()]
    shown = asked(*[word for name in names for word in ("--set", name)])
    assert shown.exit_code == 0
    console = PAGE.read_text().split("$ offerstream extensions")[1].split("```")[0]
    assert shown.output.splitlines() == console.splitlines()[1:]
    rows = json.loads(asked("--json").output)
    rule = next(row for row in rows if row["name"] == "no-alcohol-for-minors")
    assert rule == {
        "point": "rules",
        "name": "no-alcohol-for-minors",
        "target": "shop_rules:no_alcohol_for_minors",
        "distribution": "shop-extensions",
        "version": "1.0",
        "in_force": None,
    }


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", "cannot be loaded from no_such_module:rule: ModuleNotFoundError"),
        ("attribute", "cannot be loaded from broken:no_such_rule: AttributeError"),
        ("raises", "cannot be loaded from raising:rule: RuntimeError: no table here"),
        ("leaves", "cannot be loaded from leaving:rule: SystemExit: 3"),
        ("class", "(broken:Rule) must be a function of asked, and is a class: name an instance"),
        ("number", "(broken:number) must be a function of asked, and is int"),
        ("two", "(broken:two) must be a function of asked, and takes (asked, more)"),
        ("none", "(broken:none) must be a function of asked, and takes ()"),
        ("later", "(broken:later) must be a function of asked, and is asynchronous"),
        ("judge", ""),
        ("optional", ""),
        ("mising", "'mising', which is not installed; did you mean missing?"),
        ("quite-different", "'quite-different', which is not installed; there are attribute, "),
    ],
)
def test_a_broken_one_is_named_in_one_line(site: Site, name: str, says: str) -> None:
    files = {
        "broken.py": BROKEN,
        "raising.py": "raise RuntimeError('no\\n table here')",
        "leaving.py": "raise SystemExit(3)",
    }
    site.install(files, {"offerstream.rules": TARGETS})
    told = asked("--set", f"extensions.rules={name}")
    if not says:
        assert told.exit_code == 0, told.output
        return
    assert told.exit_code == 2
    lines = told.output.splitlines()
    assert len(lines) == len(TARGETS) + 1
    assert lines[-1].startswith("offerstream: extensions.rules names ") and says in lines[-1]


def test_a_name_that_two_packages_offer_is_refused(site: Site) -> None:
    for package in ("one", "other"):
        target = {"offerstream.rules": {"same": f"{package}:rule"}}
        site.install({f"{package}.py": "def rule(asked): return False"}, target, package)
    told = asked("--set", "extensions.rules=same")
    assert told.exit_code == 2
    assert "is offered by one 1.0 and by other 1.0: uninstall one" in told.output


def test_without_any_the_command_says_where_to_read(site: Site) -> None:
    assert "docs/extending.md" in asked().output
    told = asked("--set", "extensions.rules=some")
    assert told.exit_code == 2 and "in the group offerstream.rules" in told.output


@pytest.mark.parametrize("names", [("a", "a"), ("",), ("a b",), tuple(map(str, range(17)))])
def test_the_settings_refuse_names_that_are_no_names(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"extensions\.rules"):
        ExtensionSettings(rules=names)


def test_a_worker_names_a_broken_one_before_it_makes_anything(site: Site, tmp_path: Path) -> None:
    site.install({"broken.py": BROKEN}, {"offerstream.rules": TARGETS})
    shop = tmp_path / "shop"
    command = [sys.executable, "-m", "stream", "worker", "--broker", f"local://{shop}/log"]
    command += ["--set", f"data_dir={shop}/state", "--set", "extensions.rules=two"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site.path), str(Path.cwd())])}
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "extensions.rules names 'two'" in ended.stderr and "Traceback" not in ended.stderr
    assert not shop.exists()
