"""Searches for better hyperparameters, as plain data; torch-free."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic

from pipelines.data.protocol import DATA_DIR
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

    options: tuple[str | int, ...]


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
    """A search for better hyperparameters than a report's hand-picked ones, on validation data only.

    Attributes:
        metric: what a trial is judged by, after its last epoch.
        maximise: whether more of it is better.
        space: dimension of each hyperparameter that can be searched, in the order in which they are chosen.
        fixed: value of each that is not searched; what has none here keeps the report's row's, as the learning rate.
        settings: gives the settings of a run from a value of each hyperparameter, by name, then dataset, seed (from 0),
            fraction of the training part, (0, 1], and folder of the prepared data.
    """

    metric: str
    maximise: bool
    space: Mapping[str, Dimension]
    fixed: Mapping[str, Choice]
    settings: Callable[[Mapping[str, Choice], str, int, float, str], SettingsType]

    def dimensions(self, space: str) -> dict[str, Dimension]:
        """The dimensions of `space`: "default" (lr and depth), "wide" (all), or names, comma separated.

        Raises:
            UserError: a name is not known.
        """
        chosen = {DEFAULT_SPACE: _DEFAULT_DIMENSIONS, WIDE_SPACE: tuple(self.space)}.get(space)
        wanted = chosen or tuple(name.strip() for name in space.split(","))
        for name in wanted:
            if name not in self.space:
                known = [DEFAULT_SPACE, WIDE_SPACE, *self.space]
                raise UserError(f"space={space}: unknown {name!r:.60}; {meant(name, known)}")
        return {name: dimension for name, dimension in self.space.items() if name in wanted}

    def usual(self, space: str, dataset: str, data_dir: str = DATA_DIR) -> dict[str, Choice]:
        """The value that the report's row has of each hyperparameter of `space`; see `resolve` for the rest."""
        own = self.resolve(dataset, 0, 1.0, {}, data_dir).params()
        return {name: self.fixed[name] if name in self.fixed else own[name] for name in self.dimensions(space)}

    def resolve(
        self, dataset: str, seed: int, fraction: float, chosen: Mapping[str, Choice], data_dir: str = DATA_DIR
    ) -> SettingsType:
        """The full settings of a trial, or of the winner.

        Args:
            dataset: name of a data set of the experiment's kind.
            seed: from 0.
            fraction: of the training part, (0, 1].
            chosen: value of each hyperparameter that is searched.
            data_dir: folder of the prepared data; read only where the list of data sets does not know the size.

        Raises:
            UserError: there is no such hyperparameter, or no such data set.
        """
        for name in chosen:
            require_known("hyperparameter", name, list(self.space))
        return changed(self.settings({**self.fixed, **chosen}, dataset, seed, fraction, data_dir), row=TUNED)


def rounded(dimension: Dimension, value: Choice) -> Choice:
    """Remove the 2e-17 that a sum of steps may have too much."""
    return round(value, 10) if isinstance(dimension, Steps) and isinstance(value, float) else value
