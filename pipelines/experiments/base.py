"""What every experiment shares: typed settings, their context, and published figures. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from pipelines.errors import UserError, require_known

NO_TRAINING = "none"
_OPTIONAL, _OF_THE_MACHINE = "optional", "of the machine"  # keys of the metadata of a field

SettingsType = TypeVar("SettingsType", bound="Settings")


@dataclass(frozen=True)
class Published:
    """Figures that a report printed for a row: metric name (see names.py) to value, with the report's own label."""

    source: str
    label: str
    figures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def published_figure(row: object, metric: str) -> float | None:
    """The figure that a report printed for a row of the catalogue, None where it printed none.

    Args:
        row: of whatever kind, with its figures, if it has any, in `published`.
        metric: name of the metric.
    """
    published = getattr(row, "published", None)
    return published.figures.get(metric) if published else None


def optional() -> Any:
    """A setting, a text, that is logged only where it is not empty."""
    return field(default="", metadata={_OPTIONAL: True})


def of_the_machine(default: str) -> Any:
    """A setting that a launch chooses by the machine it runs on, and that no row has of its own."""
    return field(default=default, metadata={_OF_THE_MACHINE: True})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run trains or evaluates: all that its figures follow from, what is logged, and what tables group by.

    Attributes:
        row: name in the experiment's table.
        dataset: name of the data set.
        training: the way of training, "none" for what is not trained.
        seed: from 0.
        study: name of the study whose trial or winner it is, or "".
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # an unknown name is refused when it is read

    row: str
    dataset: str
    training: str
    seed: int
    study: str = optional()

    @property
    def cores(self) -> int:
        """Number of cores that the run keeps busy."""
        return 1

    def params(self) -> dict[str, Any]:
        """What is logged, by name; lists instead of tuples, as JSON gives them back."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        omitted = {each.name for each in fields(self) if each.metadata.get(_OPTIONAL) and not values[each.name]}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if name not in omitted
        }

    def protocol(self) -> dict[str, Any]:
        """What is logged, but what a launch chooses by its machine: the same wherever the row is trained."""
        chosen = {each.name for each in fields(self) if each.metadata.get(_OF_THE_MACHINE)}
        return {name: value for name, value in self.params().items() if name not in chosen}


def changed(settings: SettingsType, **values: Any) -> SettingsType:
    """`settings` with other `values`; None keeps the present one.

    Raises:
        UserError: there is no such setting.
    """
    for name in values:
        require_known("setting", name, [each.name for each in fields(settings)])
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if value is not None
    }
    return replace(settings, **given)


def read(kind: type[SettingsType], values: Mapping[str, object]) -> SettingsType:
    """Settings from plain data, such as `params` gives or a command line, each value converted to its type.

    Raises:
        UserError: a name is unknown or missing, or a value is of another type.
    """
    # Its import takes a tenth of a second, which --help need not wait for.
    from pydantic import TypeAdapter, ValidationError

    for name in values:
        require_known("setting", name, [each.name for each in fields(kind)])
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(map(str, fault["loc"]))
        reason = fault["msg"][:1].lower() + fault["msg"][1:]
        raise UserError(f"setting {name}: {reason}, not {fault['input']!r:.60}") from None


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a run needs beside its settings, and what its figures do not follow from.

    Attributes:
        data_dir: folder of the prepared data.
        bar_line: line of its progress bar, from 0, among those of the runs in parallel.
    """

    data_dir: str
    bar_line: int = 0
