"""Ends this process when its parent ends, from the moment this module is imported.

For a fork server, which imports it first; or to run another module, as
``python -m pipelines.processes.with_parent MODULE``.
"""

import runpy
import sys

from pipelines.processes.parents import end_with_parent

end_with_parent()

if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
