"""docs/scale.md does what it says: from one machine to a shared server, by the page's own commands."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna
import pytest
from support.place import ROOT
from support.servers import unused

from pipelines.server.options import ServerOptions

TEXT = (ROOT / "docs" / "scale.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT.partition("## A shared server\n")[2].partition("\n## ")[0], re.DOTALL)
SERVER, TUNNEL, KEPT = BLOCKS


@pytest.fixture
def folder():
    """A folder that PostgreSQL's own user can enter, where this is root."""
    path = Path(tempfile.mkdtemp(prefix="scale-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def made(target: str) -> str:
    """What `make` runs for a target, installation aside."""
    dry = ["make", "--dry-run", "--no-print-directory", f"VENV={Path(sys.executable).parents[1]}", target]
    return subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1]


def test_five_commands_are_enough():
    assert len(SERVER.splitlines()) <= 5


def test_the_way_through_ssh_is_to_the_servers_ports():
    defaults = ServerOptions(action="start")
    ports = [f"-L {port}:{defaults.host}:{port}" for port in (defaults.port, defaults.database_port)]
    assert " ".join(ports) in TUNNEL


@pytest.mark.slow
def test_the_commands_lead_from_one_machine_to_a_server_and_its_backup(folder):
    own = f"--port {unused()} --database-port {unused()} --workers 1"
    script = SERVER.replace("make server", f"{made('server')} {own}") + KEPT
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_STATE_HOME": str(folder / "state"),
    }
    first, last = script.rstrip().rsplit("\n", 1)
    text = f'set -e\nnnreg() {{ python -m nnreg "$@"; }}\n{first}\n'
    try:
        ran = subprocess.run(["bash", "-c", text], cwd=folder, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        variables = dict(line.split("=", 1) for line in (folder / "server" / "client.env").read_text().splitlines())
        trials = trials_of(variables)
    finally:
        stop = ["bash", "-c", f'nnreg() {{ python -m nnreg "$@"; }}\n{last}']
        stopped = subprocess.run(stop, cwd=folder, env=environment, capture_output=True, text=True)
    assert stopped.returncode == 0, stopped.stderr
    compared = ran.stdout.split("use it")[-1]
    assert {"linear-ar", "persistence", "tuned"} <= set(re.findall(r"[\w-]+", compared))
    assert len(trials) == 4
    assert sorted(path.name for path in folder.iterdir()) == ["server", "server.tar", "state"]


def trials_of(variables: dict[str, str]) -> list:
    password = variables["PGPASSWORD"]
    address = variables["OPTUNA_STORAGE"].replace("optuna@", f"optuna:{password}@")
    storage = optuna.storages.RDBStorage(address)
    (study,) = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=study.study_name, storage=storage).trials
    storage.engine.dispose()
    return trials
