"""A plugin of pytest that measures which lines of src/rightseat the tests run: `python -m pytest -p tests.measure_coverage`.

Fails below LEAST_COVERAGE percent (0: never). What is counted is what runs in the processes of pytest, those of xdist included. The programs
that tests start count for nothing, and a module that no test imports counts as missed. Slipcover takes its probes out of the code
once they have been hit, so that the tests take hardly longer.
"""

import json
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from slipcover import Slipcover, merge_coverage
from slipcover.importer import SlipcoverLoader

SOURCE = Path(__file__).parent.parent / "src" / "rightseat"
LEAST = float(os.environ.get("LEAST_COVERAGE", "0"))
WORST = 10  # modules that are named in the report


class Probing(MetaPathFinder):
    """Puts probes into the modules of rightseat when they are imported."""

    def __init__(self, probes) -> None:
        self.probes = probes

    def find_spec(self, fullname, path=None, target=None):
        """See MetaPathFinder."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname.partition(".")[0] == "rightseat" else None
        if spec is not None and spec.origin and spec.origin.startswith(str(SOURCE)) and spec.loader is not None:
            spec.loader = SlipcoverLoader(self.probes, spec.loader, spec.origin)
        return spec


class Coverage:
    """The lines that were run, in this process and in the workers of xdist."""

    def __init__(self) -> None:
        self.probes = Slipcover()
        self.workers: list[dict] = []
        self.total: dict = {}
        sys.meta_path.insert(0, Probing(self.probes))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker hands over what it has run; whoever started the workers adds it up."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["coverage"] = json.dumps(self.probes.get_coverage())
            return
        self.total = self.sum()
        if self.percent < LEAST and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node) -> None:
        """A worker has ended."""
        output = getattr(node, "workeroutput", None) or {}
        self.workers.append(json.loads(output.get("coverage", "{}")))

    def sum(self) -> dict:
        """What all of them have run, of all that there is."""
        total = Slipcover(source=[str(SOURCE)]).get_coverage()
        for part in (self.probes.get_coverage(), *self.workers):
            if part:
                merge_coverage(total, part)
        return total

    @property
    def percent(self) -> float:
        """Of all lines."""
        return self.total["summary"]["percent_covered"]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The figure, and the modules with most lines that no test has run."""
        if not self.total:
            return
        terminalreporter.section("coverage")
        files = sorted(self.total["files"].items(), key=lambda file: -file[1]["summary"]["missing_lines"])
        for name, file in files[:WORST]:
            summary = file["summary"]
            terminalreporter.line(
                f"{summary['percent_covered']:5.1f} %  {summary['missing_lines']:4} lines missed  {name}"
            )
        verdict = "" if self.percent >= LEAST else f": less than {LEAST:g} %, which fails"
        terminalreporter.line(
            f"{self.percent:.1f} % of the lines of src/rightseat, in the processes of the tests{verdict}"
        )


def pytest_configure(config: pytest.Config) -> None:
    """The probes are there already: tests import what is measured while pytest still reads its settings."""
    config.pluginmanager.register(COVERAGE)


COVERAGE = Coverage()
