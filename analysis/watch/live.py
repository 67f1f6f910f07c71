"""The page, printed once or drawn again and again in a terminal until q or Ctrl-C."""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from analysis.errors import InputError, UnreachableError
from analysis.watch import symbols
from analysis.watch.page import Outage, draw
from analysis.watch.snapshot import Choice, Snapshot

if TYPE_CHECKING:
    from analysis.watch.store import Store

_REDRAW_S = 0.5  # since times of the page go on between two readings
_RECENT_S = 600
_END_OF_INPUT = "\x04"
_QUIT = ("q", "Q", _END_OF_INPUT)
_HINT = "q ends"


class Watched:
    """The latest snapshot of a server, and its outage while it does not answer.

    Args:
        read: reads a snapshot; raises an InputError if it cannot.
        clock: the time of day, seconds since 1970.

    Attributes:
        snapshot: read last, None before the first.
        outage: since the last failure to read, None while the server answers.
        fault: an error that ends the page: bad input, found by the first reading, or what was not foreseen.
    """

    def __init__(self, read: Callable[[], Snapshot], clock: Callable[[], float] = time.time):
        self._read, self._clock = read, clock
        self.snapshot: Snapshot | None = None
        self.outage: Outage | None = None
        self.fault: Exception | None = None

    def poll(self) -> None:
        """Read once."""
        began = self._clock()
        try:
            self.snapshot = self._read()
            self.outage = None
        except InputError as error:
            if self.snapshot is None and not isinstance(error, UnreachableError):
                self.fault = error
                return
            self.outage = Outage(self.outage.since if self.outage else began, error.format_message())
        except Exception as error:
            self.fault = error


def once(experiment: str, choice: Choice) -> None:
    """Print the page.

    Raises:
        InputError: the server does not answer, or has no such experiment.
    """
    snapshot = _reader(experiment, choice)()
    console = Console(highlight=False)
    for line in draw(snapshot, time.time(), console.width, symbols=symbols.of_terminal()):
        console.print(line, soft_wrap=True)


def watch(experiment: str, choice: Choice, interval: float) -> None:
    """Draw the page until q is pressed or a signal arrives, and leave the last one on the terminal.

    Args:
        experiment: name of the only experiment to read; empty for all.
        choice: which launches to show.
        interval: seconds between two readings.

    Raises:
        InputError: there is no such experiment.
    """
    watched, drawn_with = Watched(_reader(experiment, choice)), symbols.of_terminal()
    console = Console(highlight=False)
    ended = threading.Event()

    def page(spare: int = 0, hint: str = _HINT) -> Sequence[Text]:
        width, height = console.size
        return draw(watched.snapshot, time.time(), width, height - spare, watched.outage, drawn_with, hint)

    def keep_reading() -> None:
        while not ended.is_set():
            watched.poll()
            ended.wait(interval)

    with contextlib.suppress(KeyboardInterrupt), _ending_by_signal(), _no_long_waits(), _keys() as pressed:
        # A reading waits for the server: the page and its keys do not.
        threading.Thread(target=keep_reading, daemon=True).start()
        with Live(Group(*page()), console=console, screen=True, auto_refresh=False) as live:
            while watched.fault is None and pressed(_REDRAW_S) not in _QUIT:
                live.update(Group(*page()), refresh=True)
    ended.set()
    if watched.snapshot or watched.outage:
        for line in page(spare=1, hint=""):  # the prompt needs a line
            console.print(line)
    if watched.fault:
        raise watched.fault


def _reader(experiment: str, choice: Choice) -> Callable[[], Snapshot]:
    @cache
    def store() -> "Store":
        from analysis.watch.store import Store

        return Store(experiment, _RECENT_S)

    def read() -> Snapshot:
        # Importing mlflow and the entries takes seconds, during which the page is there already.
        from analysis.watch.compose import compose

        return compose(store().read(), time.time(), choice)

    return read


@contextmanager
def _no_long_waits() -> Iterator[None]:
    """Has requests to an HTTP server fail after seconds within the block, unless the user has set how long they take.

    A page that shows an outage is of more use than one that waits for its end.
    """
    waits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    set_here = {name: value for name, value in waits.items() if name not in os.environ}
    os.environ.update(set_here)
    try:
        yield
    finally:
        for name in set_here:
            os.environ.pop(name, None)


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Gives a function that waits some seconds for a key and returns it, "" if none was pressed.

    Where standard input is not a terminal, it only waits.
    """
    if not sys.stdin.isatty():

        def wait(seconds: float) -> str:
            time.sleep(seconds)
            return ""

        yield wait
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return (os.read(sys.stdin.fileno(), 1).decode("latin-1") or _END_OF_INPUT) if ready else ""

    try:
        tty.setcbreak(sys.stdin)
        yield pressed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _ending_by_signal() -> Iterator[None]:
    """Has SIGTERM and SIGHUP end the block as Ctrl-C does, so that the terminal is left as it was."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
