"""The command line with other constants, such as times that a test can wait for.

The environment gives them as JSON, by name: ``ALTERED='{"pipelines.processes.watchdog.POLL_S": 0.5}'``.
"""

import json
import os
from importlib import import_module

from pipelines.__main__ import cli
from pipelines.processes import signals

# In rows too: their processes import the main module of the launch.
for name, value in json.loads(os.environ.get("ALTERED", "{}")).items():
    module, _, constant = name.rpartition(".")
    assert hasattr(import_module(module), constant), name
    setattr(import_module(module), constant, value)


def main() -> None:
    signals.begin()
    cli()


if __name__ == "__main__":
    main()
