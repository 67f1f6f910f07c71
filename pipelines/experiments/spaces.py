"""Searches for better hyperparameters, as plain data; torch-free."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from pipelines.errors import UserError, meant, require_known
from pipelines.experiments.base import SettingsType, changed

Choice = str | int | float  # the value of a hyperparameter


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

    options: tuple[Choice, ...]


@dataclass(frozen=True)
class Depending:
    """A range that depends on the choice made before for `on`: choice to range."""

    on: str
    cases: Mapping[str, Whole]


Dimension = LogUniform | Steps | Whole | OneOf | Depending

DEFAULT_SPACE, WIDE_SPACE = "default", "wide"
_DEFAULT_DIMENSIONS = ("lr", "depth")
TUNED = "tuned"  # the row of a study's winner
IMPORTANCE_TRIALS = 6  # that must have run to their end; with fewer, importances often point to the wrong one


@dataclass(frozen=True, kw_only=True)
class Search(Generic[SettingsType]):
    """A search for better hyperparameters than a row's own, on validation data only.

    Attributes:
        metric: what a trial is judged by, after its last epoch.
        maximise: whether more of it is better.
        row: the row whose settings a study begins with, unless it is given another.
        rows: those that it can be given.
        own: gives the row's own settings from its name, the data set's, and the folder of the prepared data, which is
            read only where the list of data sets does not know the size.
        space: dimension of each hyperparameter that can be searched from settings like these, in the order in which
            they are chosen.
        value: the value that settings have of a hyperparameter.
        change: settings with other values of some hyperparameters, by name.
    """

    metric: str
    maximise: bool
    row: str
    rows: Sequence[str]
    own: Callable[[str, str, str], SettingsType]
    space: Callable[[SettingsType], Mapping[str, Dimension]]
    value: Callable[[SettingsType, str], Choice]
    change: Callable[[SettingsType, Mapping[str, Choice]], SettingsType]

    def dimensions(self, own: SettingsType, space: str) -> dict[str, Dimension]:
        """The dimensions of `space`: "default" (lr and depth), "wide" (all), or names, comma separated.

        Args:
            own: the row's settings. Their values are in the dimensions, whatever the row.
            space: see above; of the former two those that the row has.

        Raises:
            UserError: a name is not of a hyperparameter of the row.
        """
        known = self.space(own)
        if space in (DEFAULT_SPACE, WIDE_SPACE):
            wanted = [name for name in known if space == WIDE_SPACE or name in _DEFAULT_DIMENSIONS]
        else:
            wanted = [name.strip() for name in space.split(",")]
        for name in wanted:
            if name not in known:
                choices = meant(name, [DEFAULT_SPACE, WIDE_SPACE, *known])
                raise UserError(f"space={space}, row={own.row}: unknown {name!r:.60}; {choices}")
        return {name: _including(each, self.value(own, name)) for name, each in known.items() if name in wanted}

    def usual(self, own: SettingsType) -> dict[str, Choice]:
        """The value that a row has of each hyperparameter that can be searched."""
        return {name: self.value(own, name) for name in self.space(own)}

    def resolve(self, own: SettingsType, chosen: Mapping[str, Choice]) -> SettingsType:
        """The settings of a trial, or of the winner: the row's `own` with what was `chosen`, by name.

        Raises:
            UserError: the row has no such hyperparameter.
        """
        for name in chosen:
            require_known("hyperparameter", name, list(self.space(own)))
        # What such a row is like, and what it has of its own, is said of the row that the study began with.
        return changed(self.change(own, chosen), row=TUNED, like="", changes="")


def _including(dimension: Dimension, own: Choice) -> Dimension:
    """`dimension` with a row's own value in it, whatever that is, so that a study can begin with it."""
    match dimension, own:
        case OneOf(options), _ if own not in options:
            return OneOf((*options, own))
        case LogUniform(low, high), float(value):
            return LogUniform(min(low, value), max(high, value))
        case Whole(low, high), int(value):
            return Whole(min(low, value), max(high, value))
    return dimension


def rounded(dimension: Dimension, value: Choice) -> Choice:
    """Remove the 2e-17 that a sum of steps may have too much."""
    return round(value, 10) if isinstance(dimension, Steps) and isinstance(value, float) else value
