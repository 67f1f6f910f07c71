"""The server that processes are forked from: when it imports what they need, and what is left of it after a signal."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import psutil
import pytest
from support.launches import until
from support.place import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no fork")

ENDS_S = 30

# The server's import takes until the command, which has gone on meanwhile, allows it.
WAITING = """
    import time
    from pathlib import Path
    while not Path("go").exists():
        time.sleep(0.01)
"""
FORKING = """
    import sys
    from pathlib import Path
    from pipelines.processes import forked

    def check():
        print("waiting" in sys.modules, flush=True)

    if __name__ == "__main__":
        server = forked.forkserver("waiting")
        Path("go").touch()
        process = server.Process(target=check)
        process.start()
        process.join()
"""
SLEEPING = """
    import time
    from pipelines.processes import forked, signals

    signals.begin()
    forked.forkserver("waiting")
    print("started", flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def temporary():
    """A folder for temporary files with a short path: that of a socket has 107 letters at most."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def start(tmp_path, temporary):
    """Starts a script with a folder of its own for temporary files; its module `waiting` waits for a file."""
    (tmp_path / "waiting.py").write_text(textwrap.dedent(WAITING))
    started = []

    def script(text, files=temporary):
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "TMPDIR": str(files)}
        (tmp_path / "script.py").write_text(textwrap.dedent(text))
        command = [sys.executable, "script.py"]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield script
    for process in started:
        process.kill()
        process.communicate()


def test_it_imports_while_the_command_goes_on(start):
    process = start(FORKING)
    assert process.communicate(timeout=ENDS_S)[0] == "True\n"


def _with_forkserver(pid: int) -> list[psutil.Process]:
    """The processes below this one, if the server that forks is among them."""
    below = psutil.Process(pid).children(recursive=True)
    return below if any("forkserver" in " ".join(each.cmdline()) for each in below) else []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_its_imports_leaves_neither_it_nor_its_files(start, temporary, number):
    process = start(SLEEPING)
    assert process.stdout.readline() == "started\n"
    # What was just forked has the command line of its parent for a moment.
    below = until(lambda: _with_forkserver(process.pid), process)
    assert list(temporary.iterdir())
    process.send_signal(number)
    assert process.wait(ENDS_S) == 128 + number
    _, left = psutil.wait_procs(below, ENDS_S)
    assert left == []
    assert list(temporary.iterdir()) == []


def test_a_long_path_of_the_folder_for_temporary_files_leaves_sockets_short(start, temporary):
    """A system takes some hundred bytes, of which TMPDIR on a cluster may have most; forked processes have them too."""
    long = temporary / ("long" * 25)
    long.mkdir()
    asking = FORKING.replace(
        'print("waiting" in sys.modules, flush=True)',
        "from multiprocessing.util import get_temp_dir; import tempfile; print(get_temp_dir(), tempfile.gettempdir())",
    )
    sockets, files = start(asking, long).communicate(timeout=ENDS_S)[0].split()
    assert len(sockets) < 60
    assert not Path(sockets).exists()
    # What is large, and is not a socket, goes where the user wants it.
    assert files == str(long)
    assert not list(long.iterdir())


def test_where_no_short_path_can_be_written_the_remedy_is_named(tmp_path, monkeypatch):
    from pipelines.errors import UserError
    from pipelines.processes import forked

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    monkeypatch.setattr(forked, "_SHORT", (str(tmp_path / "absent"),))
    with pytest.raises(UserError, match="is too long a path for sockets: set TMPDIR to one of at most 71 bytes"):
        forked._folder_of_sockets()
