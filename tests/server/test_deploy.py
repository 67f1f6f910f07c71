"""The containers of deploy/ have the configuration of the server that is started without any."""

import re
import shutil
import subprocess
from dataclasses import fields

import pytest
import yaml
from support.place import ROOT

from pipelines.server import configuration, tracking
from pipelines.server.configuration import ACCOUNTS, DATABASE_SECRETS, SECRETS, STATEMENTS, given
from pipelines.server.options import ServerOptions

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
OBJECTS = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
DEFAULTS = {each.name: each.default for each in fields(ServerOptions)}
POSTGRES, MLFLOW = "postgres", "mlflow"
# What a container has of its own: where it listens, whom it calls, and its folders.
OF_CONTAINERS = {
    "MLFLOW_HOST": "0.0.0.0",
    "PGHOST": POSTGRES,
    "MLFLOW_ARTIFACTS_DESTINATION": "/artifacts",
    "MLFLOW_AUTH_CONFIG_PATH": "/etc/nnreg/basic_auth.ini",
    "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*,localhost:*,mlflow:*",
}


def secret(name: str) -> str:
    """What stands for a secret here."""
    return f"<{name}>"


def of_compose(service: str) -> dict[str, str]:
    """Variables of a container."""
    environment = COMPOSE[service]["environment"]
    return {name: re.sub(r"^\$\{(\w+):\?\}$", r"<\1>", value) for name, value in environment.items()}


def found(kind: str, name: str) -> dict:
    (each,) = (each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return each


def container(name: str) -> dict:
    kind = {POSTGRES: "StatefulSet", MLFLOW: "Deployment"}[name]
    (only,) = found(kind, name)["spec"]["template"]["spec"]["containers"]
    return only


def of_kubernetes(name: str) -> dict[str, str]:
    """Variables of a container."""

    def value(each: dict) -> str:
        if "value" in each:
            return each["value"]
        reference = each["valueFrom"]["secretKeyRef"]
        assert reference["name"] == "nnreg-server"
        return secret(reference["key"])

    return {each["name"]: value(each) for each in container(name)["env"]}


@pytest.fixture
def server(monkeypatch):
    """The server that `nnreg server start` starts."""
    for name in SECRETS:
        monkeypatch.setenv(name, secret(name))
    return given(ServerOptions(action="start"))


@pytest.mark.parametrize(("variables", "port"), [(of_compose, "5432"), (of_kubernetes, str(DEFAULTS["database_port"]))])
def test_mlflows_container_has_the_variables_of_the_server(server, variables, port):
    assert variables(MLFLOW) == server.mlflow() | OF_CONTAINERS | {"PGPORT": port}


@pytest.mark.parametrize("variables", [of_compose, of_kubernetes])
def test_postgresqls_container_has_the_secrets_of_the_databases(variables):
    own = {name: value for name, value in variables(POSTGRES).items() if name != "PGDATA"}
    assert own == {name: secret(name) for name in DATABASE_SECRETS}


def test_a_client_finds_both_where_it_finds_the_server(server):
    ports = {"mlflow": DEFAULTS["port"], "postgres": DEFAULTS["database_port"]}
    inside = {"mlflow": 5000, "postgres": 5432}
    for name, port in ports.items():
        assert COMPOSE[name]["ports"] == [f"{DEFAULTS['host']}:{port}:{inside[name]}"]
        assert found("Service", name)["spec"]["ports"] == [{"port": port, "targetPort": inside[name]}]
        assert container(name)["ports"] == [{"containerPort": inside[name]}]
    assert (server.port, server.database_port) == (ports["mlflow"], ports["postgres"])


def test_the_images_are_the_same_and_of_the_versions_in_use():
    assert [COMPOSE[name]["image"] for name in (POSTGRES, MLFLOW)] == [
        container(name)["image"] for name in (POSTGRES, MLFLOW)
    ]
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    (installed,) = re.findall(r"pip install --no-cache-dir (.*) \\", (DEPLOY / "Dockerfile").read_text())
    packages = [each.strip('"').replace("[binary]", "") for each in installed.split()]
    assert len(packages) == 3
    assert set(packages) <= set(constraints)
    version = next(each.partition("==")[2] for each in packages if each.startswith("mlflow=="))
    assert COMPOSE[MLFLOW]["image"] == f"nnreg-mlflow:{version}"


def test_the_image_runs_the_command_of_the_server():
    (command,) = re.findall(r"CMD (\[.*\])", (DEPLOY / "Dockerfile").read_text())
    assert yaml.safe_load(command) == ["python", "-m", "mlflow", *tracking.COMMAND]


@pytest.mark.parametrize(
    ("service", "file", "place"),
    [
        (POSTGRES, STATEMENTS, "/docker-entrypoint-initdb.d/databases.sql"),
        (MLFLOW, ACCOUNTS, OF_CONTAINERS["MLFLOW_AUTH_CONFIG_PATH"]),
    ],
)
def test_a_container_reads_the_files_of_the_server(service, file, place):
    (mounted,) = (each for each in COMPOSE[service]["volumes"] if each.endswith(f":{place}:ro"))
    assert (DEPLOY / mounted.split(":")[0]).resolve() == file
    assert {"name": "configuration", "mountPath": place, "subPath": file.name} in container(service)["volumeMounts"]
    assert found("ConfigMap", "nnreg-server")["data"][file.name] == file.read_text()


def test_no_secret_is_written_down():
    """Whatever is called a password or key is a reference, and so is whatever is given to one of the secrets' names."""
    for variables in (of_compose, of_kubernetes):
        given_to = {name: value for service in (POSTGRES, MLFLOW) for name, value in variables(service).items()}
        hidden = {name: value for name, value in given_to.items() if re.search("PASSWORD|KEY|SECRET|TOKEN", name)}
        assert hidden.keys() == {*SECRETS, "PGPASSWORD"}
        assert {value.strip("<>") for value in hidden.values()} <= set(configuration.SECRETS)


def _can_compose() -> bool:
    version = ["docker", "compose", "version"]
    return shutil.which("docker") is not None and subprocess.run(version, capture_output=True).returncode == 0


@pytest.mark.skipif(not _can_compose(), reason="there is no docker compose")
def test_docker_reads_the_composition(monkeypatch):
    for name in SECRETS:
        monkeypatch.setenv(name, "x")
    command = ["docker", "compose", "--file", DEPLOY / "compose.yaml", "config", "--quiet"]
    read = subprocess.run(command, capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")
