"""Fixtures shared by the tests."""

from pathlib import Path

import pytest

REAL_ENERGY = Path(__file__).parents[2] / "shared" / "data" / "energy"


@pytest.fixture(scope="session")
def real_energy() -> Path:
    """Folder of the twelve published PJM files; without it the test is skipped, and the end of the run says so."""
    if not REAL_ENERGY.is_dir():
        pytest.skip(f"the published PJM files are not in {REAL_ENERGY}")
    return REAL_ENERGY


def pytest_terminal_summary(terminalreporter):
    if not REAL_ENERGY.is_dir():
        terminalreporter.write_line(
            f"NOT CHECKED on the published PJM files: they are not in {REAL_ENERGY}", yellow=True
        )
