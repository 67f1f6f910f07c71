"""The command line ``nnreg NAME --key value``: all commands of ``python -m pipelines`` and ``python -m analysis``."""

import os
import sys

from analysis.sections import SECTIONS


def main() -> None:
    """Carry out the command line of this process."""
    if sys.argv[1:2] not in [[name] for names in SECTIONS.values() for name in names]:
        from pipelines.processes import signals

        # Before any other import, as in pipelines/__main__.py.
        signals.begin()
    from nnreg.program import NAME, cli
    from pipelines.common.command import NNREG

    os.environ[NNREG] = "true"
    cli(prog_name=NAME)


if __name__ == "__main__":
    main()
