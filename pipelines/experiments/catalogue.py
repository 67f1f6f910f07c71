"""The rows of an experiment as its own folder declares them, in one form for all experiments; torch-free."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from pipelines.experiments.base import NO_TRAINING, Settings, is_of_the_machine

_OF_A_LAUNCH = {"fraction"}  # beside those that all settings have


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The rows of an experiment.

    Attributes:
        rows: by name, in the order of the experiment's table.
        groups: names of rows by the name of their group.
        data: kind of their data sets, as in data/datasets.py.
        main: metric by which they are compared.
        published_on: the data set of the published figures.
        settings: settings of a row as trained in the usual way, by its name, that of the data set and the folder of the
            prepared data; None where these follow from more than that.
        fixed: settings that a row of a user's own cannot change.
        shown: those of the settings, or of the attributes of the rows, that a list of the rows has.
        about: attribute of those rows that a list has a note on, "" for none.
    """

    rows: Mapping[str, object]
    groups: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    data: str
    main: str
    published_on: str
    settings: Callable[[str, str, str], Settings] | None = None
    fixed: Sequence[str] = ()
    shown: Sequence[str] = ()
    about: str = ""

    def free(self, settings: Settings) -> list[str]:
        """Names of the settings that a row of a user's own can change, in their order; none of what is not trained."""
        if settings.training == NO_TRAINING:
            return []
        kept = {*(each.name for each in fields(Settings)), *_OF_A_LAUNCH, *self.fixed}
        return [each.name for each in fields(settings) if each.name not in kept and not is_of_the_machine(each)]
