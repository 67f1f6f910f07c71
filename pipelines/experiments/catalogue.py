"""The rows of an experiment as its own folder declares them, in one form for all experiments; torch-free."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from pipelines.data.protocol import DATA_DIR
from pipelines.experiments.base import NO_TRAINING, OwnModelSettings, Settings, converted, is_of_the_machine

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
        models: kind of the settings of rows with a model of the user's own; None where there can be none.
        default: row whose protocol such a row has unless it is like another one, of the kind of settings that it takes.
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
    models: type[OwnModelSettings] | None = None
    default: str = ""
    shown: Sequence[str] = ()
    about: str = ""

    def free(self, settings: Settings) -> list[str]:
        """Names of the settings that a row of a user's own can change, in their order; none of what is not trained."""
        if settings.training == NO_TRAINING:
            return []
        kept = {"model_sha256", *(each.name for each in fields(Settings)), *_OF_A_LAUNCH, *self.fixed}
        return [each.name for each in fields(settings) if each.name not in kept and not is_of_the_machine(each)]

    def with_model(self, settings: Settings, model: str) -> Settings | None:
        """The settings with a model of the user's own instead of the network; None where they can have none."""
        if self.models is None or self.settings is None:
            return None
        if type(settings) is not type(self.settings(self.default, self.published_on, DATA_DIR)):
            return None
        return converted(settings, self.models, model=model)
