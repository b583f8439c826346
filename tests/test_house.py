"""The layout of the code: no circle of imports, few doors to a package, one class of a name."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

DOORS = 15
STREAM = Path(__file__).resolve().parents[1] / "stream"
FACES = ("client", "testing", "extending.py")
"""What others than we write against: there an offer is an ``Offer``, as in the domain."""


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module of ours imports of ours."""
    graph = grimp.build_graph("stream", include_external_packages=False)
    return {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}


def test_no_modules_import_each_other_in_a_circle(imports: dict[str, set[str]]) -> None:
    assert [*TopologicalSorter(imports).static_order()]


def test_no_package_has_more_than_fifteen_modules_that_others_import(
    imports: dict[str, set[str]],
) -> None:
    doors: defaultdict[str, set[str]] = defaultdict(set)
    for importing, imported in imports.items():
        for module in imported:
            package = module.rpartition(".")[0]
            if not f"{importing}.".startswith(f"{package}."):
                doors[package].add(module)
    many = {package: sorted(found) for package, found in doors.items() if len(found) > DOORS}
    assert doors and not many


def test_no_two_classes_have_one_name() -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in STREAM.rglob("*.py"):
        place = path.relative_to(STREAM)
        if place.parts[0] not in FACES:
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(place.as_posix())
    assert found and not {name: places for name, places in found.items() if len(places) > 1}
