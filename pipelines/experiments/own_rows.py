"""Rows of a user's own, read from a TOML file; torch-free.

A table ``[ablation.my-cnn]`` is a row of the experiment `ablation`: it is `like` another row, with settings of its own.
A setting with a list of values makes a grid, of a row for each value; a setting that is a list itself is a list in it.
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pipelines.common import launcher
from pipelines.common.choices import choose
from pipelines.common.words import brief
from pipelines.data.protocol import DATA_DIR
from pipelines.errors import FaultsError, UserError, meant, nearest
from pipelines.experiments import base
from pipelines.experiments.base import Settings, SettingsType, changed
from pipelines.experiments.catalogue import Catalogue
from pipelines.experiments.index import ENTRIES, catalogue_of
from pipelines.experiments.spaces import TUNED

ALL = "all"
LIKE, MODEL = "like", "model"  # keys of a table
MOST_ROWS = 1000  # of a grid
_MOST_BYTES = 1 << 20
_OF_ALL_ROWS = ("dataset", "training", "backprop", "seed", "seeds", "fraction", "device", "precision")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9._]+")


@dataclass(frozen=True)
class OwnRow:
    """A row of a user's own.

    Attributes:
        name: its name.
        like: the catalogue's row that it is like, itself or through other rows of the file.
        changes: the settings that replace those of that row.
        where: its file and table, for messages.
        catalogue: of its experiment.
    """

    name: str
    like: str
    changes: Mapping[str, Any]
    where: str
    catalogue: Catalogue

    def settings(self, of: Callable[[str], Settings]) -> Settings:
        """Its settings, of the kind of those that `of` gives, or of catalogue.models if it has a model of its own.

        Args:
            of: gives the settings of the catalogue's row.

        Raises:
            UserError: they cannot be trained together.
        """
        shown: dict[str, object] = {}
        for name, value in self.changes.items():
            shown |= value if isinstance(value, Mapping) else {name: _lists(value)}
        words = " ".join(brief(shown))
        base = of(self.like)
        if MODEL in self.changes:
            base = self.catalogue.with_model(base, self.changes[MODEL]) or base
        found = changed(base, row=self.name, like=self.like, changes=words, **self.changes)
        if why := found.contradiction():
            raise UserError(f"{self.where} {why}")
        return found


@dataclass(frozen=True)
class OwnRows:
    """The rows of one experiment in a file.

    Attributes:
        rows: by name, in the order of the file.
        groups: names of the rows of each grid, by its name.
    """

    rows: Mapping[str, OwnRow] = field(default_factory=lambda: MappingProxyType({}))
    groups: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class RowsFile:
    """A file of rows.

    Attributes:
        name: as given.
        text: what is in it.
        of: its rows by the name of their experiment.
    """

    name: str
    text: str
    of: Mapping[str, OwnRows]


@dataclass(frozen=True)
class Selection:
    """The rows that a launch runs.

    Attributes:
        rows: their names, in the order given.
        own: those of them that are the user's own.
        file, text: name and content of the file that these are from, "" without one.
    """

    rows: Sequence[str]
    own: Mapping[str, OwnRow]
    file: str
    text: str

    def settings(self, row: str, of: Callable[[str], Settings]) -> Settings:
        """The settings of a row, where `of` gives those of a row of the catalogue.

        Raises:
            UserError: those of a row of the user's own cannot be trained together.
        """
        return self.own[row].settings(of) if row in self.own else of(row)


def selected(entry: str, option: str, given: str, default: str, file: str) -> Selection:
    """The rows that are given to an experiment.

    Args:
        entry: name of the experiment.
        option: name of the option that names the rows.
        given: its value.
        default: its default, which with a file means all rows of that.
        file: path of a file of rows, or "".

    Raises:
        FaultsError: the file has faults.
        UserError: it cannot be read, or a name is that of no row.
    """
    catalogue = catalogue_of(entry)
    assert catalogue is not None  # of an experiment with the option `rows`
    found = read(file) if file else None
    own = found.of.get(entry, OwnRows()) if found else OwnRows()
    if found and not own.rows and given in (ALL, default):
        raise UserError(f"rows={found.name}: no row of {entry} is in it, but of {', '.join(found.of) or 'nothing'}")
    known = [ALL, *catalogue.groups, *catalogue.rows, *own.groups, *own.rows]
    groups = {**catalogue.groups, **own.groups}
    rows = choose(ALL if found and given == default else given, list(own.rows or catalogue.rows), groups)
    if not rows:
        raise UserError(f"{option}={given!r:.80}: no name is given; known are {', '.join(known)}")
    for name in rows:
        if name not in known:
            raise UserError(f"{option}={given!r:.80}: unknown {name!r:.60}; {meant(name, known)}")
    return Selection(rows, {row: own.rows[row] for row in rows if row in own.rows}, file, found.text if found else "")


def require_all(
    selection: Selection, settings: Mapping[str, SettingsType], checked: Callable[[SettingsType], SettingsType]
) -> dict[str, SettingsType]:
    """Require something of the settings of those rows that are the user's own; returns all settings, as checked.

    Args:
        selection: has the rows.
        settings: of the rows of a launch, by name.
        checked: returns settings, with what was found out about them; raises a UserError where they do not have it.

    Raises:
        FaultsError: some have not; names the table of each.
    """
    faults: dict[str, None] = {}
    found = dict(settings)
    for name in [name for name in selection.own if name in settings]:
        try:
            found[name] = checked(settings[name])
        except UserError as error:
            faults[f"{selection.own[name].where} {error}"] = None
    if faults:
        raise FaultsError(f"rows={selection.file}", list(faults))
    return found


def read(file: str) -> RowsFile:
    """Read a file of rows and check all that is in it.

    Args:
        file: its path; under `mlflow run` a relative one is that of the folder in which the user is.

    Raises:
        FaultsError: it has faults; names each with its table and key.
        UserError: it cannot be read, or is no TOML.
    """
    text = _text(file)
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"rows={file}: no TOML: {error}") from None
    reader = _Reader(file)
    of = {entry: reader.rows(entry, table) for entry, table in tables.items() if reader.is_section(entry, table)}
    if not of and not reader.faults:
        reader.faults.append(f"{file}: it has no rows; write tables such as [ablation.my-cnn]")
    if reader.faults:
        raise FaultsError(f"rows={file}", reader.faults)
    return RowsFile(file, text, of)


def _text(file: str) -> str:
    try:
        with launcher.given_input(file).open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise UserError(f"rows={file}: more than {_MOST_BYTES >> 20} MiB; give a TOML file of rows")
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"rows={file}: no UTF-8 text at byte {error.start}; give a TOML file of rows") from None
    except (OSError, ValueError) as error:
        raise UserError(f"rows={file}: {getattr(error, 'strerror', error)}; give a TOML file of rows") from None


@cache
def _sections() -> Mapping[str, Catalogue]:
    """The experiments that rows of a user's own can be of."""
    found = {entry: catalogue_of(entry) for entry in ENTRIES}
    return {entry: each for entry, each in found.items() if each and each.settings}


@dataclass(frozen=True)
class _Draft:
    """A row of which its like and its values have not been checked."""

    table: str
    like: object
    values: Mapping[str, Any]


class _Reader:
    """Reads the tables of a file, and collects their faults."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[str] = []

    def is_section(self, entry: str, table: object) -> bool:
        """Whether a table of the file is that of an experiment; it is a fault if not."""
        if entry not in _sections():
            self._fault(f"[{entry}]", f"no experiment of that name takes rows; {meant(entry, _sections())}")
        elif not isinstance(table, dict):
            self._fault(f"[{entry}]", f"no table; write tables such as [{entry}.mine]")
        else:
            return True
        return False

    def rows(self, entry: str, tables: Mapping[str, object]) -> OwnRows:
        """The rows of an experiment, those without faults."""
        catalogue = _sections()[entry]
        drafts: dict[str, _Draft] = {}
        groups: dict[str, list[str]] = {}
        for name, table in tables.items():
            where = f"[{entry}.{name}]"
            if not isinstance(table, dict):
                self._fault(f"[{entry}]", f"{name}: is in no row; write it below a table such as [{entry}.mine]")
            elif not _NAME.fullmatch(name):
                self._fault(where, "a row's name has lower-case letters, digits, '.', '-' and '_', at most 64")
            elif name in {ALL, TUNED, *catalogue.rows, *catalogue.groups}:
                self._fault(where, f"{name} has a meaning already; give the row another name")
            else:
                members = self._drafts(entry, name, table)
                if taken := sorted(drafts.keys() & members.keys()):
                    self._fault(where, f"two rows are called {taken[0]}; give one of them another name")
                drafts |= members
                if list(members) != [name]:
                    groups[name] = list(members)
        for name in sorted(drafts.keys() & groups.keys()):
            self._fault(f"[{entry}.{name}]", f"{name} is a row and a grid; give one of them another name")
        found = {name: self._checked(entry, name, drafts, groups) for name in drafts}
        rows = {name: row for name, row in found.items() if row}
        return OwnRows(rows, {group: tuple(members) for group, members in groups.items()})

    def _drafts(self, entry: str, name: str, table: Mapping[str, Any]) -> dict[str, _Draft]:
        """The rows of one table, by name: several if it is a grid."""
        values = {setting: value for setting, value in table.items() if setting != LIKE}
        lists = _list_settings(entry)
        grid = {setting: value for setting, value in values.items() if _is_grid(value, setting in lists)}
        count = prod(map(len, grid.values()))
        if not 1 <= count <= MOST_ROWS:
            empty = [setting for setting, each in grid.items() if not each]
            why = f"{empty[0]}: no value is in the list" if empty else f"a grid of {count} rows, at most {MOST_ROWS}"
            self._fault(f"[{entry}.{name}]", why)
            return {}
        drafts: dict[str, _Draft] = {}
        for chosen in product(*grid.values()):
            own = dict(zip(grid, chosen, strict=True))
            member = "-".join([name, *(_word(setting, value) for setting, value in own.items())])
            if member in drafts:
                self._fault(f"[{entry}.{name}]", f"two rows of the grid would be called {member}; leave out one value")
            like = table.get(LIKE, _sections()[entry].default if MODEL in values else None)
            drafts[member] = _Draft(name, like, values | own)
        return drafts

    def _checked(
        self, entry: str, name: str, drafts: Mapping[str, _Draft], groups: Mapping[str, Sequence[str]]
    ) -> OwnRow | None:
        """The row of a draft; None, and its faults, if it has any."""
        before = len(self.faults)
        catalogue, draft = _sections()[entry], drafts[name]
        where = f"[{entry}.{draft.table}]"
        inherited: dict[str, Any] = {}
        if root := self._root(entry, name, drafts, groups):
            own, inherited = _settings(catalogue, root), _inherited(name, drafts)
            if MODEL in inherited:
                own = catalogue.with_model(own, "") or own
            self._check(entry, where, draft.values, own, root)
        else:
            for setting in draft.values:
                self._require_known(where, setting, _every_setting(entry), f"rows of {entry}")
        if not root or len(self.faults) > before:
            return None
        row = OwnRow(name, root, inherited, f"{self.file}: {where}", catalogue)
        try:
            row.settings(lambda like: _settings(catalogue, like))
        except UserError as error:
            self._once(str(error))
            return None
        return row

    def _check(self, entry: str, where: str, values: Mapping[str, Any], own: Settings, root: str) -> None:
        free = _sections()[entry].free(own)
        if not free:
            self._fault(where, f"{LIKE}: {root} is not trained, so it has no settings to change; name another row")
            return
        for setting, value in values.items():
            known = self._require_known(where, setting, free, "a model of your own" if MODEL in free else root)
            if known and (why := base.fault(type(own), setting, _tuples(value))):
                self._fault(where, why)

    def _root(
        self, entry: str, name: str, drafts: Mapping[str, _Draft], groups: Mapping[str, Sequence[str]]
    ) -> str | None:
        """The catalogue's row that a row goes back to; None, and a fault, if it goes back to none."""
        catalogue = _sections()[entry]
        rows, seen = list(catalogue.rows), [name]
        where = f"[{entry}.{drafts[name].table}]"
        while (like := drafts[seen[-1]].like) not in rows:
            if not isinstance(like, str):
                if len(seen) == 1:
                    missing = "is missing" if like is None else f"is no name: {like!r:.60}"
                    self._fault(where, f"{LIKE}: {missing}; name the row that it is like, such as {rows[0]}")
                return None
            if like in seen:
                self._fault(where, f"{LIKE}: {' is like '.join([*seen, like])}; name a row of the catalogue")
                return None
            if like in groups and like not in drafts:
                self._fault(where, f"{LIKE}: {like} is a grid; name one of its rows, such as {groups[like][0]}")
                return None
            if like not in drafts:
                if len(seen) == 1:
                    known = [*rows, *(each for each in drafts if each != name)]
                    self._fault(where, f"{LIKE}: unknown {like!r:.60}; {meant(like, known)}")
                return None
            seen.append(like)
        assert isinstance(like, str)  # it is one of the rows
        return like

    def _require_known(self, where: str, setting: str, known: Sequence[str], what: str) -> bool:
        if setting in known:
            return True
        if setting in _OF_ALL_ROWS:
            self._fault(where, f"{setting}: it is the same for all rows of a launch, and given as its option")
            return False
        near = nearest(setting, known)
        self._fault(where, f"{setting}: no setting of {what}; {near}{'H' if near else 'h'}as {', '.join(known)}")
        return False

    def _fault(self, where: str, why: str) -> None:
        self._once(f"{self.file}: {where} {why}")

    def _once(self, fault: str) -> None:
        """Collect a fault, which several rows of a grid may have."""
        if fault not in self.faults:
            self.faults.append(fault)


def _settings(catalogue: Catalogue, row: str) -> Settings:
    """The settings of a row of the catalogue, for the data set whose size is known without any data."""
    assert catalogue.settings is not None  # of a section
    return catalogue.settings(row, catalogue.published_on, DATA_DIR)


def _inherited(name: str, drafts: Mapping[str, _Draft]) -> dict[str, Any]:
    """The settings that a row has of its own and by the rows of the file that it is like."""
    draft = drafts[name]
    before = _inherited(str(draft.like), drafts) if draft.like in drafts else {}
    return before | {setting: _tuples(value) for setting, value in draft.values.items()}


@cache
def _kinds(entry: str) -> Sequence[Settings]:
    """Settings of each kind that rows of an experiment have."""
    catalogue = _sections()[entry]
    found = {type(own): own for own in (_settings(catalogue, row) for row in catalogue.rows)}
    of_models = [each for own in found.values() if (each := catalogue.with_model(own, ""))]
    return [*found.values(), *of_models]


@cache
def _list_settings(entry: str) -> frozenset[str]:
    """The settings of an experiment that are lists."""
    hints = [get_type_hints(type(own), include_extras=True) for own in _kinds(entry)]
    return frozenset(name for each in hints for name, hint in each.items() if _is_list(hint))


def _is_list(hint: Any) -> bool:
    return _is_list(get_args(hint)[0]) if get_origin(hint) is Annotated else get_origin(hint) is tuple


def _every_setting(entry: str) -> list[str]:
    catalogue = _sections()[entry]
    return list(dict.fromkeys(name for own in _kinds(entry) for name in catalogue.free(own)))


def _is_grid(value: object, of_lists: bool) -> bool:
    """Whether a value stands for several: a list or, of a setting that is a list, a list of lists."""
    if not isinstance(value, list):
        return False
    return bool(value) and all(isinstance(each, list) for each in value) if of_lists else True


def _word(setting: str, value: object) -> str:
    """What the name of a row of a grid says of one setting.

    >>> _word("lr", 0.001), _word("channels", [6, 16]), _word("activation", "ReLU"), _word("arguments", {"width": 8})
    ("lr0.001", "channels6-16", "activation-relu", "width8")
    """
    items = value if isinstance(value, list) else [value]
    if isinstance(value, Mapping):
        return "-".join(_word(name, each) for name, each in value.items()) or f"{setting}-none"
    text = _NOT_IN_A_NAME.sub("-", "-".join(map(str, items)).lower()).strip("-") or "none"
    return f"{setting}{text}" if text[0].isdecimal() else f"{setting}-{text}"


def _tuples(value: object) -> object:
    """Lists, which TOML has, as tuples, which settings have."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _lists(value: object) -> object:
    """Tuples as lists, as settings are logged."""
    return list(map(_lists, value)) if isinstance(value, tuple) else value
