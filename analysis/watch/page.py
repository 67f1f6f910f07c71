"""The page: a snapshot as lines of text for a terminal of some width and height. It reads nothing."""

import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from analysis.escapes import plain
from analysis.watch.snapshot import ENDED, FAILED, KILLED, PRUNED, RUNS, STALE, WAITS, Launch, Line, Snapshot, Trials
from analysis.watch.symbols import UNICODE, Symbols, sparkline
from pipelines.common.command import hint
from pipelines.common.words import cut

STYLES = {
    STALE: "bold yellow",
    RUNS: "green",
    FAILED: "red",
    KILLED: "red",
    PRUNED: "cyan",
    ENDED: "blue",
    WAITS: "dim",
}

# What gives way first where there are more lines than the terminal has: the highest rank, from the bottom up.
_HEAD, _TITLE, _ACTIVE, _MEND, _COMMAND, _WELL, _WAITING, _SPACE = range(8)
_RANKS = {STALE: _ACTIVE, RUNS: _ACTIVE, FAILED: _MEND, KILLED: _MEND, WAITS: _WAITING}

_LATELY = "ended lately"

_STATE, _EPOCH, _LEFT, _HEARD = 8, 8, 9, 6  # widths of columns
_LEAST_HISTORY = 6
_INDENT = 2


@dataclass(frozen=True)
class Outage:
    """The server does not answer: since when (seconds since 1970), and why."""

    since: float
    reason: str


@dataclass(frozen=True)
class _Ranked:
    """A line of the page, or several that mean something only together, such as a command.

    Attributes:
        texts: the lines as they are drawn.
        rank: what gives way first, see above.
        group: the launch that it belongs to, _LATELY for one that has ended, "" for none.
        state: of the row or the launch that it is, "" if it is neither; such lines are counted where they are left out.
        is_title: whether nothing of the launch is left without it.
    """

    texts: tuple[Text, ...]
    rank: int
    group: str = ""
    state: str = ""
    is_title: bool = False


@dataclass(frozen=True)
class Widths:
    """Widths of the columns that depend on the page's, in characters."""

    page: int
    name: int
    value: int
    history: int


def draw(
    snapshot: Snapshot | None,
    now: float,
    width: int,
    height: int | None = None,
    outage: Outage | None = None,
    symbols: Symbols = UNICODE,
    hint: str = "",
) -> list[Text]:
    """The lines of the page, none wider than `width`, and at most `height` of them.

    Args:
        snapshot: what to show; None if nothing was read yet.
        now: seconds since 1970.
        width: characters.
        height: lines, at least 2; None for as many as it takes.
        outage: if the server does not answer.
        symbols: to draw with.
        hint: how the page is ended.
    """
    width = max(width, 20)
    lines = list(_lines(snapshot, now, width, outage, symbols, hint))
    return _fitted(lines, height, symbols, width)


def duration(seconds: float) -> str:
    """A length of time in at most six characters, such as ``42s``, ``3m05s``, ``1h04m`` or ``2d03h``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def command_lines(command: str, width: int, indent: int) -> list[str]:
    """A command line over several lines of at most `width` where its words allow it, so that a shell reads them as one.

    Args:
        command: as recorded.
        width: characters.
        indent: spaces before each line; two more before those that go on.
    """
    words = [plain(word) for word in command.split(" ")]
    lines, line = [], " " * indent
    for place, word in enumerate(words):
        room = width - (2 if place + 1 < len(words) else 0)
        if line.strip() and cell_len(line) + 1 + cell_len(word) > room:
            lines.append(f"{line} \\")
            line = " " * (indent + 2)
        line += f" {word}" if line.strip() else word
    return [*lines, line]


def _lines(
    snapshot: Snapshot | None,
    now: float,
    width: int,
    outage: Outage | None,
    symbols: Symbols,
    hint: str,
) -> Iterator[_Ranked]:
    right = "  ".join(filter(None, (hint, _clock(now))))
    address = plain(snapshot.address) if snapshot else f"reading{symbols.more}"
    yield _Ranked((_between(Text(address, "bold"), Text(right, "dim"), width, symbols),), _HEAD)
    if outage:
        said = f"no answer since {_clock(outage.since)} ({duration(now - outage.since)}): {plain(outage.reason)}"
        yield _Ranked(tuple(Text(part, "bold red") for part in _folded(said, width, 0)), _HEAD)
    if snapshot is None:
        return
    if not snapshot.running:
        yield from _nothing(snapshot, width)
    widths = _widths(snapshot, width)
    if any(launch.lines for launch in snapshot.running):
        yield _Ranked((_header(widths),), _ACTIVE)
    for launch in snapshot.running:
        yield _Ranked((Text(),), _SPACE)
        yield from _running(launch, widths, now, symbols)
    if snapshot.ended:
        yield _Ranked((Text(),), _SPACE)
        yield _Ranked((Text(_LATELY, "bold"),), _COMMAND, _LATELY, is_title=True)
    for launch in snapshot.ended:
        yield from _ended(launch, widths, now, symbols)


def _nothing(snapshot: Snapshot, width: int) -> Iterator[_Ranked]:
    said = f"Nothing of {plain(snapshot.entry)} is running." if snapshot.entry else "Nothing is running."
    said = "Nothing was ever logged there." if snapshot.empty else said
    example = hint("python -m pipelines recurrent --dataset sample --models gru-2,lstm-2")
    start = (Text(part) for part in command_lines(example, width, _INDENT))
    yield _Ranked((Text(f"{said} To start something:"), *start), _TITLE)


def _widths(snapshot: Snapshot, width: int) -> Widths:
    names = [cell_len(plain(line.name)) for launch in snapshot.running for line in launch.lines]
    fixed = _INDENT + _STATE + _EPOCH + _LEFT + _HEARD + 6  # six gaps
    room = max(0, width - fixed)
    values = [cell_len(_value(line)) for launch in snapshot.running for line in launch.lines]
    value = min(max([10, *values]), room // 2)
    name = min(max([8, *names]), max(8, room - value - _LEAST_HISTORY))
    return Widths(width, name, value, min(40, max(0, room - name - value)))


def _header(widths: Widths) -> Text:
    cells = ("row", "state", "epoch", "last value", "", "left", "heard")
    return _columns([Text(cell, "dim") for cell in cells], widths)


def _running(launch: Launch, widths: Widths, now: float, symbols: Symbols) -> Iterator[_Ranked]:
    title = Text(plain(launch.title), "bold")
    if launch.state == STALE:
        title.append(f" {STALE}", STYLES[STALE])
    ends = Counter(line.state for line in launch.lines)
    parts = [f"since {_moment(launch.began, now)} ({duration(now - launch.began)})"]
    parts += [f"on {plain(launch.host)}"] if launch.host else []
    parts += [f"part of {plain(launch.within)}"] if launch.within else []
    parts += [f"{ends[ENDED]} of {len(launch.lines)} finished"] if launch.lines and not launch.trials else []
    title.append(f" {symbols.between} " + f" {symbols.between} ".join(parts), "dim")
    # One that is stale gives way to those that run.
    later = 2 * (launch.state == STALE)

    def ranked(texts: Iterable[Text], rank: int, state: str = "", is_title: bool = False) -> _Ranked:
        cut = tuple(_cut(text, widths.page, symbols) for text in texts)
        return _Ranked(cut, rank + later, launch.run_id, state, is_title)

    yield ranked([title], _TITLE, is_title=True)
    if launch.command:
        yield ranked((Text(part, "dim") for part in command_lines(launch.command, widths.page, _INDENT)), _COMMAND)
    if launch.note or launch.remedies:
        yield ranked(_mending(launch, widths), _ACTIVE)
    if launch.trials:
        yield ranked([Text(" " * _INDENT + _of_trials(launch.trials))], _ACTIVE)
    for line in launch.lines:
        yield ranked([_row(line, widths, now, symbols)], _RANKS.get(line.state, _WELL), line.state)
        if line.note and line.note != launch.note:
            note = _folded(line.note, widths.page, 2 * _INDENT)
            yield ranked((Text(part, STYLES[line.state]) for part in note), _MEND)
    if launch.result:
        yield ranked([Text(f"{' ' * _INDENT}so far: {launch.result}")], _WELL)


def _ended(launch: Launch, widths: Widths, now: float, symbols: Symbols) -> Iterator[_Ranked]:
    title = Text(" " * _INDENT)
    title.append(plain(launch.title), "bold").append(f" {launch.state}", STYLES[launch.state])
    ended = launch.ended or now
    parts = [f"{duration(now - ended)} ago, after {duration(ended - launch.began)}"]
    parts += [f"part of {plain(launch.within)}"] if launch.within else []
    good = sum(line.state == ENDED for line in launch.lines)
    parts += [f"{good} of {len(launch.lines)} finished"] if good < len(launch.lines) and not launch.trials else []
    title.append(f" {symbols.between} " + f" {symbols.between} ".join(map(plain, parts)), "dim")
    yield _Ranked((_cut(title, widths.page, symbols),), _COMMAND, _LATELY, launch.state)
    lone = _value(launch.lines[0]) if len(launch.lines) == 1 else ""
    for said in (_of_trials(launch.trials) if launch.trials else "", plain(launch.result) or lone):
        if said:
            result = _cut(Text(f"{' ' * 2 * _INDENT}{said}"), widths.page, symbols)
            yield _Ranked((result,), _COMMAND, _LATELY)
    if launch.note or launch.remedies:
        yield _Ranked(tuple(_mending(launch, widths)), _WELL, _LATELY)


def _mending(launch: Launch, widths: Widths) -> Iterator[Text]:
    """Why a launch is stale or has failed, and the commands that mend it, whole so that they can be copied."""
    for part in _folded(launch.note, widths.page, 2 * _INDENT) if launch.note else ():
        yield Text(part, STYLES.get(launch.state, ""))
    for place, remedy in enumerate(launch.remedies):
        yield Text(f"{' ' * 2 * _INDENT}{'then' if place else 'to mend it'}:", STYLES.get(launch.state, ""))
        for part in command_lines(remedy, widths.page, 3 * _INDENT):
            yield Text(part)


def _row(line: Line, widths: Widths, now: float, symbols: Symbols) -> Text:
    epoch = ""
    if line.state != WAITS and line.epochs:
        epoch = f"{line.epoch or 0}/{line.epochs}"
    heard = duration(now - line.heard) if line.state in (RUNS, STALE) and line.heard is not None else ""
    cells = [
        Text(cut(plain(line.name), widths.name, symbols.more)),
        Text(line.state, STYLES[line.state]),
        Text(epoch),
        Text(_value(line, widths.value)),
        Text(sparkline(line.history, widths.history, symbols) if widths.history else "", "cyan"),
        Text(_left(line, symbols)),
        Text(heard, "dim"),
    ]
    return _columns(cells, widths)


def _left(line: Line, symbols: Symbols) -> str:
    """How long a row still trains, or how long it took in all."""
    if line.took_s is not None:
        return f"in {duration(line.took_s)}"
    if line.state != RUNS:
        return ""
    if line.epochs and (line.epoch or 0) >= line.epochs:
        return "ending"
    return symbols.nothing if line.left_s is None else duration(line.left_s)


def _columns(cells: Sequence[Text], widths: Widths) -> Text:
    sizes = (widths.name, _STATE, _EPOCH, widths.value, widths.history, _LEFT, _HEARD)
    to_the_right = (False, False, True, False, False, True, True)
    line = Text(" " * _INDENT)
    for place, (cell, size, right) in enumerate(zip(cells, sizes, to_the_right, strict=True)):
        sized = Text(set_cell_size(cell.plain, size) if not right else cell.plain.rjust(size)[:size], cell.style)
        line.append(" " * (place > 0)).append_text(sized)
    line.truncate(widths.page)
    line.rstrip()
    return line


def _value(line: Line, width: int | None = None) -> str:
    """The metric with its value, or the value alone where both are wider than `width`."""
    if line.value is None:
        return ""
    both = f"{plain(line.metric)} {line.value:.4g}"
    return both if width is None or cell_len(both) <= width else f"{line.value:.4g}"


def _of_trials(trials: Trials) -> str:
    counts = {"done": trials.done, "running": trials.running, "pruned": trials.pruned, "failed": trials.failed}
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what in ("done", "running"))
    said = f"trials: {said}{f', of {trials.total}' if trials.total else ''}"
    if trials.best is None:
        return said
    return f"{said}; best {trials.metric} {trials.best:.4g}{f' ({plain(trials.winner)})' if trials.winner else ''}"


def _folded(text: str, width: int, indent: int) -> list[str]:
    space = " " * indent
    return textwrap.wrap(plain(text), width, initial_indent=space, subsequent_indent=space) or [space]


def _between(left: Text, right: Text, width: int, symbols: Symbols) -> Text:
    """One line with `left` at its left end and `right` at its right end."""
    room = max(1, width - cell_len(right.plain) - 2)
    line = _cut(left, room, symbols)
    line.append(" " * max(2, width - cell_len(line.plain) - cell_len(right.plain))).append_text(right)
    line.truncate(width)
    return line


def _cut(text: Text, width: int, symbols: Symbols) -> Text:
    """`text`, its end replaced where it is wider than `width`."""
    if cell_len(text.plain) <= width:
        return text
    text = text.copy()
    text.truncate(max(0, width - len(symbols.more)))
    text.append(symbols.more[:width])
    return text


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _moment(at: float, now: float) -> str:
    """A time of day, with its date if that is not today's."""
    then, today = time.localtime(at), time.localtime(now)
    return time.strftime("%H:%M:%S" if then[:3] == today[:3] else "%Y-%m-%d %H:%M", then)


def _fitted(lines: Sequence[_Ranked], height: int | None, symbols: Symbols, width: int) -> list[Text]:
    """The most important of the lines, in their order, with a line for what is left out of each launch."""
    count = sum(len(line.texts) for line in lines)
    if height is None or count <= height:
        return [text for line in lines for text in line.texts]
    kept, hidden = set(range(len(lines))), Counter[str]()
    for place in sorted(kept, key=lambda place: (-lines[place].rank, -place)):
        line = lines[place]
        if count + len(hidden) <= height or line.rank == _HEAD:
            break
        kept.discard(place)
        count -= len(line.texts)
        if line.is_title:
            hidden.pop(line.group, None)
            hidden[""] += line.group != _LATELY
        elif line.state:
            hidden[line.group] += 1
    return list(_with_counts(lines, kept, hidden, symbols, width))[:height]


def _with_counts(
    lines: Sequence[_Ranked], kept: set[int], hidden: Counter[str], symbols: Symbols, width: int
) -> Iterator[Text]:
    for place, line in enumerate(lines):
        if place in kept:
            yield from line.texts
        is_last = place + 1 == len(lines) or lines[place + 1].group != line.group
        if is_last and line.group and line.group in hidden:
            states = Counter(each.state for at, each in enumerate(lines) if each.group == line.group and at not in kept)
            said = ", ".join(f"{count} {state}" for state, count in states.items() if state)
            more = f"{' ' * _INDENT}{symbols.more} and {hidden[line.group]} more ({said})"
            yield _cut(Text(more, "dim"), width, symbols)
    if hidden[""]:
        yield _cut(Text(f"{symbols.more} and {hidden['']} more launches", "dim"), width, symbols)
