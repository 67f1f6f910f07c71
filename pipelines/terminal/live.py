"""Drawing of the display on a terminal, in place."""

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipelines.common.streams import can_print
from pipelines.common.words import cut
from pipelines.terminal.clock import span
from pipelines.terminal.display import FRAME_S, Line, State

_BAR = 12  # letters of a bar
_WIDE = 100  # columns from which on there is room for rate and loss, too
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class _Console(Console):
    """A console that leaves the cursor alone: a process that is killed could not show it again."""

    def show_cursor(self, show: bool = True) -> bool:
        """Do nothing."""
        return False


class Terminal:
    """A screen on a terminal, see `display.Screen`."""

    def __init__(self) -> None:
        self._console = _Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._frames = _FRAMES if can_print(_FRAMES) else "-\\|/"
        # Standard output stays as it is: results may be on their way to a file.
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._live.start()

    def draw(self, state: State) -> None:
        """Draw the present state over the one before."""
        width, height = self._console.size
        self._live.update(drawn(state, time.monotonic(), width, height, self._frames), refresh=True)

    def message(self, text: str) -> None:
        """Print a line above."""
        self._console.print(Text(text))

    def close(self) -> None:
        """Take the drawing away."""
        self._live.stop()


def drawn(state: State, now: float, width: int, height: int, frames: str = "-\\|/") -> RenderableType:
    """The display as of `now` (time.monotonic), for a terminal of `width` columns and `height` lines.

    The first letter is one of `frames`, in turn.
    """
    spinner = frames[int(now / FRAME_S) % len(frames)]
    first = Text(f"{spinner} {span(now - state.began)}  {state.summary}", overflow="ellipsis", no_wrap=True)
    lines = list(state.lines.values())
    room = max(1, height - 3)
    rows = Table.grid(padding=(0, 1))
    rows.add_column(no_wrap=True)
    for _ in range(5):
        rows.add_column(no_wrap=True)
    for line in lines[:room]:
        rows.add_row(*_cells(line, now, width))
    rest = [Text(f"  and {len(lines) - room} more")] if len(lines) > room else []
    return Group(first, rows, *rest)


def _cells(line: Line, now: float, width: int) -> list[RenderableType]:
    report = line.report
    wide = width >= _WIDE
    trained = bool(report.epochs)
    bar = ProgressBar(1.0, report.share, width=_BAR if not wide else 2 * _BAR) if report.left_s is not None else ""
    loss = f"loss {report.loss:.4g}" if report.loss is not None else ""
    rate = f"{report.rate:.1f}/s" if report.rate and wide else ""
    left = f"{span(report.left_s)} left" if report.left_s is not None else span(now - line.began)
    epoch = f"{report.epoch}/{report.epochs}" if trained else ""
    return [
        f"  {cut(line.name, max(16, width // 3))}",
        report.phase,
        epoch,
        bar,
        " ".join(filter(None, (loss, rate))),
        left,
    ]
