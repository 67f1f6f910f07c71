"""Types that all experiments share: settings, their context, and published figures. Torch-free."""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import Field, dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_type_hints

from pipelines.errors import UserError, require_known
from pipelines.processes.reports import Reports

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

NO_TRAINING = "none"
_OPTIONAL, _OF_THE_MACHINE = "optional", "of the machine"  # keys of the metadata of a field

_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

SettingsType = TypeVar("SettingsType", bound="Settings")


@dataclass(frozen=True)
class Published:
    """Figures that a course report printed for a row.

    Attributes:
        source: report and table.
        label: the course report's name of the row.
        figures: value by the name of the metric, see names.py.
    """

    source: str
    label: str
    figures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def published_figure(row: object, metric: str) -> float | None:
    """The figure that a course report printed for a row, None where it printed none.

    Args:
        row: a row of any experiment; its attribute `published`, if it has one, is a Published or None.
        metric: name of the metric.
    """
    published = getattr(row, "published", None)
    return published.figures.get(metric) if published else None


def optional(default: Callable[[], object] = str) -> Any:
    """A setting that is logged only if it is not the default, by default an empty text: a field of Settings."""
    return field(default_factory=default, metadata={_OPTIONAL: default})


def of_the_machine(default: str) -> Any:
    """A setting that a launch chooses to suit its machine, such as the device: a field of a subclass of Settings."""
    return field(default=default, metadata={_OF_THE_MACHINE: True})


def is_of_the_machine(setting: Field[Any]) -> bool:
    """Whether a field is one of `of_the_machine`."""
    return bool(setting.metadata.get(_OF_THE_MACHINE))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one run, which determine its results; they are logged as parameters, and tables group runs by them.

    Attributes:
        row: name in the experiment's table.
        dataset: name of the data set.
        training: the way of training, "none" if the row is not trained.
        seed: from 0.
        study: name of the study whose trial or winner the run is, or "".
        like: of a row of a user's own the catalogue's row that it is like, else "".
        changes: the settings that it has of its own, ``name=value``, or "".
    """

    # `read` refuses unknown names, and infinite numbers.
    __pydantic_config__: ClassVar[dict[str, str | bool]] = {"extra": "forbid", "allow_inf_nan": False}

    row: str
    dataset: str
    training: str
    seed: int
    study: str = optional()
    like: str = optional()
    changes: str = optional()

    @property
    def cores(self) -> int:
        """Number of cores that the run keeps busy."""
        return 1

    @property
    def about(self) -> str:
        """A paragraph of a run's description: what a row of a user's own is like; "" of one of the catalogue."""
        if not self.like:
            return ""
        return f"\n\nA row of the user's own, like `{self.like}`" + (f", but {self.changes}." if self.changes else ".")

    def params(self) -> dict[str, Any]:
        """Logged values by name; tuples become lists, as they are when read back from JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        given_by_default = {
            each.name: each.metadata[_OPTIONAL]() for each in fields(self) if _OPTIONAL in each.metadata
        }
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if name not in given_by_default or value != given_by_default[name]
        }

    def protocol(self) -> dict[str, Any]:
        """Logged values without those that a launch chooses to suit its machine: the same on every machine."""
        chosen = {each.name for each in fields(self) if is_of_the_machine(each)}
        return {name: value for name, value in self.params().items() if name not in chosen}

    def contradiction(self) -> str:
        """What keeps settings, each of which is valid, from being trained together; "" if nothing does."""
        return ""


@dataclass(frozen=True, kw_only=True)
class OwnModelSettings(Settings):
    """Settings of a row with a model of the user's own.

    Attributes:
        model: its factory, as ``module:name``.
        arguments: of the factory, by name.
        model_sha256: of the file that defines it; "" before it was looked for.
    """

    model: str
    arguments: Mapping[str, Any] = optional(dict)
    model_sha256: str = optional()

    @property
    def called(self) -> str:
        """The call of its factory, for messages and descriptions."""
        return f"{self.model}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"

    def contradiction(self) -> str:
        """What keeps the settings from being trained together, see Settings."""
        if not _FACTORY.fullmatch(self.model):
            return f"model: write it as module:factory, such as my_package.nets:Wide, not {self.model!r:.60}"
        for name, value in self.arguments.items():
            if not name.isidentifier() or not _is_plain(value):
                return f"arguments: {name} has to be a number, a text, true, false, or a list or table of these"
        return super().contradiction()


def _is_plain(value: object) -> bool:
    """Whether a value can be written as JSON."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return isinstance(value, (bool, int, float, str))


def converted(settings: Settings, kind: type[SettingsType], **values: Any) -> SettingsType:
    """Settings of another kind with the values that both have in common, and others."""
    common = {each.name: getattr(settings, each.name) for each in fields(kind) if hasattr(settings, each.name)}
    return kind(**(common | values))


def changed(settings: SettingsType, **values: Any) -> SettingsType:
    """Copy `settings` with other `values`; None keeps the present value.

    Raises:
        UserError: a name is not that of a setting.
    """
    for name in values:
        require_known("setting", name, [each.name for each in fields(settings)])
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if value is not None
    }
    return replace(settings, **given)


def departures(settings: Settings, own: Settings) -> dict[str, Any]:
    """Logged values by name that differ from those of the row's `own` settings, but for seed and machine."""
    alike = own.protocol() | {"seed": settings.seed}
    return {name: value for name, value in settings.protocol().items() if value != alike.get(name)}


def read(kind: type[SettingsType], values: Mapping[str, object]) -> SettingsType:
    """Read settings from plain data, such as `params` or a command line gives; converts each value to its type.

    Raises:
        UserError: a name is unknown or missing, or a value is of another type.
    """
    # Imported here because it takes a tenth of a second, which --help need not wait for.
    from pydantic import TypeAdapter, ValidationError

    for name in values:
        require_known("setting", name, [each.name for each in fields(kind)])
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        raise UserError(f"setting {_said(error.errors()[0])}") from None


def fault(kind: type[Settings], name: str, value: object) -> str:
    """What is wrong with a value of a setting, of which nothing is converted; "" if nothing is.

    >>> fault(ClassifierSettings, "epochs", "3")
    "epochs: input should be a valid integer, not '3'"
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError  # see `read`

    hint = get_type_hints(kind, include_extras=True)[name]
    try:
        TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False)).validate_python(value, strict=True)
    except ValidationError as error:
        return _said(error.errors()[0], name)
    return ""


def _said(error: "ErrorDetails", *within: str) -> str:
    name = ".".join(map(str, (*within, *error["loc"])))
    # A file of rows has lists, which settings keep as tuples.
    reason = (error["msg"][:1].lower() + error["msg"][1:]).replace("tuple", "list")
    given = list(error["input"]) if isinstance(error["input"], tuple) else error["input"]
    return f"{name}: {reason}, not {given!r:.60}"


@dataclass(frozen=True, kw_only=True)
class Context:
    """Surroundings of a run, on which its results do not depend.

    Attributes:
        data_dir: folder of the prepared data.
        reports: takes its progress.
        apart: makes a block whose processor time and energy are not counted as the run's.
    """

    data_dir: str
    reports: Reports = field(default_factory=Reports)
    apart: Callable[[], AbstractContextManager[None]] = nullcontext
