"""Search spaces of hyperparameters, as plain data; torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LogUniform:
    """A number in [low, high], uniform in its logarithm."""

    low: float
    high: float


@dataclass(frozen=True)
class Steps:
    """A number of low, low + step, … high."""

    low: float
    high: float
    step: float


@dataclass(frozen=True)
class Whole:
    """A whole number in [low, high]."""

    low: int
    high: int


@dataclass(frozen=True)
class OneOf:
    """One of `options`, in no order."""

    options: tuple[str | int, ...]


@dataclass(frozen=True)
class Depending:
    """A range that depends on the choice made before for `on`: choice to range."""

    on: str
    cases: Mapping[str, Whole]


Dimension = LogUniform | Steps | Whole | OneOf | Depending


DEFAULT_SPACE, WIDE_SPACE = "default", "wide"


_DEFAULT_DIMENSIONS = ("lr", "depth")  # what the mission asks to tune


@dataclass(frozen=True)
class Study:
    """A search for better hyperparameters than a report's hand-picked ones, on validation data only.

    Attributes:
        entry: whose experiment it is, and in whose table its winner stands.
        metric: what a trial is judged by, after its last epoch.
        maximise: whether more of it is better.
        space: dimension of each hyperparameter that can be searched, in the order in which they are chosen.
        fixed: value of each that is not searched; the learning rate is then the report's row's.
    """

    entry: str
    metric: str
    maximise: bool
    space: Mapping[str, Dimension]
    fixed: Mapping[str, str | int | float]

    def dimensions(self, space: str) -> dict[str, Dimension]:
        """Those of `space`: "default" (lr and depth), "wide" (all), or names, comma separated.

        Raises:
            KeyError: a name is not known.
        """
        chosen = {DEFAULT_SPACE: _DEFAULT_DIMENSIONS, WIDE_SPACE: tuple(self.space)}.get(space)
        wanted = chosen or tuple(name.strip() for name in space.split(","))
        for name in wanted:
            self.space[name]
        return {name: dimension for name, dimension in self.space.items() if name in wanted}


TUNED = "tuned"  # the row of a study's winner


IMPORTANCE_TRIALS = 10  # that must have run to their end before importances of hyperparameters mean anything


# Of the windows a trial holds out, those it is judged on: 4,000, evenly spread. Of the images all.
VALIDATION_WINDOWS = 4000
