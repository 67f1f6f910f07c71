"""Processes that know who started them."""

import os
import subprocess
import sys

from pipelines.processes.parents import announce_parent, is_announced


def test_only_a_process_that_was_started_by_one_that_said_so_is_announced(monkeypatch):
    monkeypatch.delenv("STARTED_BY_PROCESS", raising=False)
    assert not is_announced()
    announce_parent()
    assert not is_announced()
    asked = "import sys; from pipelines.processes.parents import is_announced; sys.exit(10 + is_announced())"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 11
    environment = {name: value for name, value in os.environ.items() if name != "STARTED_BY_PROCESS"}
    assert subprocess.run([sys.executable, "-c", asked], env=environment, check=False).returncode == 10
