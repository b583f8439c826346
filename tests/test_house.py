"""The layout of the code: no circle of imports, and no package with too many doors."""

from __future__ import annotations

from collections import defaultdict
from graphlib import TopologicalSorter

import grimp
import pytest

DOORS = 15


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
