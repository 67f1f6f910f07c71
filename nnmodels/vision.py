"""Import of torchvision, also if its compiled operators do not load: ``from nnmodels.vision import torchvision``.

The torchvision of the package registry is compiled for CUDA builds of torch. Beside a CPU build its library of
operators cannot be loaded. torchvision is meant to work without it: functions that need an operator raise an error when
they are called, and ResNets and transforms need none. But it also registers implementations for tracing ("fake" ones,
of shapes only) of a few operators without checking that they exist, and ``import torchvision`` ends in "RuntimeError:
operator torchvision::nms does not exist" (pytorch/vision issues 9085 and 9337; still so in torchvision 0.28).

Here the names of such operators are defined in torch, and torchvision is imported again. They have no implementation,
and torchvision's own functions refuse to call them, as they are meant to. An installation whose operators load is
imported as it is.
"""

import re
import sys
from importlib import import_module

import torch

# Those of torchvision 0.28. Defined together: importing again for each of them would give the first its fake
# implementation twice, which torch allows since about 2.13 only.
_FAKED = frozenset({"nms", "qnms"})


def make_importable() -> None:
    """Import torchvision, after defining the names of operators that its import does not find.

    Raises:
        ImportError, RuntimeError: ``import torchvision`` fails for another reason.
    """
    while True:
        try:
            import_module("torchvision")
            return
        except RuntimeError as error:
            missing = re.fullmatch(r"operator torchvision::(\w+) does not exist", str(error))
            if not missing or _is_defined(missing[1]) or sys.modules["torchvision.extension"]._has_ops():
                raise
            for name in {missing[1], *_FAKED}:
                if not _is_defined(name):
                    torch.library.define(f"torchvision::{name}", "() -> ()")
            # Modules imported before the error belong to the failed import of the package.
            for module in [module for module in sys.modules if module.partition(".")[0] == "torchvision"]:
                del sys.modules[module]


def _is_defined(operator: str) -> bool:
    return hasattr(torch.ops.torchvision, operator)


make_importable()

import torchvision  # noqa: E402
from torchvision.transforms import v2 as transforms  # noqa: E402

__all__ = ["make_importable", "torchvision", "transforms"]
