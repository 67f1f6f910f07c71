"""The launcher that an option names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from pipelines.cli import common_options as common
from pipelines.cli.declare import Options
from pipelines.errors import UserError
from pipelines.launching.errands import Errands, require_shared
from pipelines.launching.experiment import Experiment
from pipelines.launching.launcher import Launcher
from pipelines.launching.local import LOCAL

# The package that each launcher builds on, which is an extra of this project's by the name of the launcher.
_PACKAGES = {common.RAY: "ray", common.SLURM: "submitit"}


def is_installed(package: str) -> bool:
    """Whether a package can be imported; a folder of that name in the working directory is found too, but is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


@contextmanager
def launching(
    experiment: Experiment, options: Options, require: Callable[[str, bool], None] = require_shared
) -> Iterator[Launcher]:
    """Have the launcher of a launch of `experiment` ready within the block.

    Args:
        experiment: whose jobs are started.
        options: as given; they name the launcher.
        require: raises a UserError unless several nodes can use the launch's stores, see errands.require_shared.

    Raises:
        UserError: its package is not installed, or its cluster or the tracking server cannot be used.
    """
    name = getattr(options, "launcher", common.LOCAL)
    if name == common.LOCAL:
        yield LOCAL
        return
    if not is_installed(_PACKAGES[name]):
        raise UserError(
            f"launcher={name}: {_PACKAGES[name]} is not installed: pip install 'nn-experiment-registry[{name}]', in a "
            f"checkout pip install -e '.[{name}]'"
        )
    device = getattr(options, "device", "")
    if ":" in device:
        raise UserError(f"device={device}: launcher={name} chooses which GPU a row gets: give --device cuda")
    errands = Errands(experiment)
    # An extra each, which takes a second to import.
    engine = import_module(f"pipelines.launching.{name}")
    with engine.launching(errands, partial(require, name)) as launcher:
        yield launcher
