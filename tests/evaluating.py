"""A command ``offerstream evaluate`` in this process, for the tests of each."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from stream.cli import main


class Evaluating:
    """The command of a name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def invoke(self, *arguments: str) -> Result:
        """Run it, whatever comes of it."""
        return CliRunner().invoke(main, ["evaluate", self._name, *arguments])

    def told(self, *arguments: str) -> dict[str, Any]:
        """Its report; it must end well."""
        result = self.invoke(*arguments, "--json")
        assert result.exit_code == 0, result.output
        report: dict[str, Any] = json.loads(result.stdout)
        return report

    def refused(self, *arguments: str) -> str:
        """The one line with which it refuses."""
        result = self.invoke(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stdout == "" and len(result.stderr.strip().splitlines()) == 1
        return str(result.stderr)
