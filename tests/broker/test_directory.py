"""Directories of ours: one process at a time, and nobody else's to read."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from stream.broker.directory import held
from stream.config import ConfigError
from tests.builders import a_click
from tests.topology.embedded import publication, running, settings_in


def readable_by_others(directory: Path) -> list[Path]:
    """The files that somebody else could open: no directory above keeps them out."""
    found = []
    for path in sorted(directory.rglob("*")):
        above = [parent for parent in path.parents if parent.is_relative_to(directory)]
        if path.is_file() and all(_lets_in(p) for p in (path, *above[:-1])):
            found.append(path)
    return found


def _lets_in(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
async def test_no_file_of_an_engine_is_anybody_elses_to_read(
    store: Literal["memory", "rocksdb"], tmp_path: Path
) -> None:
    mask = os.umask(0)
    try:
        settings = replace(settings_in(tmp_path), store=store)
        for directory in (settings.data_dir, tmp_path / "log"):  # an older release's
            (directory / "topics").mkdir(parents=True)
        for _ in range(2):
            async with running(settings) as engine:
                await engine.publish([publication(a_click())])
                await engine.settle()
                assert readable_by_others(tmp_path) == []
    finally:
        os.umask(mask)


async def test_a_store_has_one_process_at_a_time(tmp_path: Path) -> None:
    settings = replace(settings_in(tmp_path), store="rocksdb")
    other = replace(settings, broker=f"local://{tmp_path / 'other'}")
    async with running(settings):
        with pytest.raises(ConfigError, match=rf"data_dir.* in process {os.getpid()}; stop"):
            async with running(other):
                pass
    async with running(settings):
        pass


def test_what_is_held_is_let_go(tmp_path: Path) -> None:
    for _ in range(2):
        with held(tmp_path / "new", "data_dir"):
            assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
