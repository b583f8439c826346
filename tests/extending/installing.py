"""Packages with entry points, installed for one test: the one of docs/extending.md, and others."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def of_the_page() -> dict[str, str]:
    """The files that docs/extending.md shows, by name."""
    return dict(BLOCK.findall(PAGE.read_text()))


class Site:
    """A directory of installed packages that is on the path for one test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._modules: set[str] = set()

    def install(
        self,
        files: Mapping[str, str],
        entry_points: Mapping[str, Mapping[str, str]],
        name: str = "shop-extensions",
        version: str = "1.0",
    ) -> None:
        """Install a package: its modules, and its entry points by group."""
        for file, text in files.items():
            (self.path / file).write_text(text)
            self._modules.add(file.removesuffix(".py"))
        info = self.path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        groups = [
            f"[{group}]\n" + "".join(f"{key} = {target}\n" for key, target in targets.items())
            for group, targets in entry_points.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(groups))
        importlib.invalidate_caches()

    def uninstall(self) -> None:
        """Remove everything that was installed."""
        self.forget()
        shutil.rmtree(self.path)
        self.path.mkdir()
        importlib.invalidate_caches()

    def forget(self) -> None:
        """Forget the modules that were imported from here."""
        for module in self._modules:
            sys.modules.pop(module, None)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A directory for packages of one test."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(path)
    site = Site(path)
    yield site
    site.forget()


@pytest.fixture
def shop(site: Site) -> Site:
    """The package of docs/extending.md, installed."""
    files = of_the_page()
    project = tomllib.loads(files["pyproject.toml"])["project"]
    modules = {name: text for name, text in files.items() if name.endswith(".py")}
    site.install(modules, project["entry-points"], project["name"], project["version"])
    return site
