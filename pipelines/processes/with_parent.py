"""Runs another module, in a process that ends with its parent: ``python -m pipelines.processes.with_parent MODULE``."""

import runpy
import sys

from pipelines.processes.parents import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
