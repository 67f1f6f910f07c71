"""The processes of a crew, and who looks on."""

import multiprocessing
import time
from pathlib import Path

from pipelines import runner, tracking


def _write_after(path: str, seconds: float) -> None:
    """Work of a crew."""
    time.sleep(seconds)
    Path(path).write_text("done")


def test_what_a_crew_did_last_is_looked_at_though_it_ended_during_a_look(place, at):
    """A look takes seconds where figures are drawn, and the last trial's result was left out then."""
    at(place.folder, place.uri)
    first, last = (str(place.folder / name) for name in ("first", "last"))
    seen = []

    def look():
        seen.append(Path(last).exists())
        while multiprocessing.active_children():
            time.sleep(0.02)

    assert runner.crew(tracking.Run.launch("crew", {}), _write_after, [(first, 0), (last, 2)], look, 0.1) == [0, 0]
    assert seen[0] is False
    assert seen[-1] is True
