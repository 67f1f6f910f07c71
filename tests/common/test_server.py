"""How a tracking server is reached, and what is said where it is not: little servers, good and bad, on real sockets."""

import datetime
import ipaddress
import os
import socket
import ssl
import threading
import time

import mlflow
import pytest
from support.postgresql import postgresql
from support.servers import (
    behind_login,
    dripping,
    mlflow_like,
    proxy_to,
    serving,
    silent,
    swallowing,
)

from pipelines.common import server

SECRET = "s3cr3t-W0rd"
VARIABLES = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_HTTP_REQUEST_TIMEOUT",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "MLFLOW_TRACKING_INSECURE_TLS",
)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in VARIABLES:
        # Set first: what a test sets itself is undone only so.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def ask(at, tmp_path):
    """Make the first contact with an address: None where it answers, else what is said."""

    def go(uri: str) -> str | None:
        at(tmp_path, uri)
        try:
            server.require_answer()
        except server.ServerError as error:
            return str(error)
        return None

    return go


@pytest.fixture
def hurried(monkeypatch):
    """Short limits."""
    monkeypatch.setattr(server, "LIMIT_S", 3)
    monkeypatch.setattr(server, "CONNECT_S", 1)
    monkeypatch.setattr(server, "QUIET_S", 1)


def test_a_server_that_answers(ask, capsys):
    with serving(mlflow_like) as there:
        assert ask(f"http://127.0.0.1:{there.port}") is None
        assert there.asked == ["/api/2.0/mlflow/experiments/search"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("password", [SECRET, "p%40ss%23w%2Fo%25rd", "p@ss"])
def test_user_and_password_of_an_address_below_a_path_are_used_and_leave_the_address(ask, password):
    plain = {"p%40ss%23w%2Fo%25rd": "p@ss#w/o%rd"}.get(password, password)
    with serving(behind_login("me", plain, "/team/mlflow")) as there:
        assert ask(f"http://me:{password}@127.0.0.1:{there.port}/team/mlflow") is None
    assert mlflow.get_tracking_uri() == f"http://127.0.0.1:{there.port}/team/mlflow"
    # Processes started later have them from here.
    assert os.environ["MLFLOW_TRACKING_URI"] == mlflow.get_tracking_uri()
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("me", plain)


def test_credentials_of_the_environment_are_used(ask, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    with serving(behind_login("me", SECRET)) as there:
        assert ask(f"http://127.0.0.1:{there.port}") is None


def test_a_server_that_only_a_proxy_can_reach(ask, monkeypatch):
    with serving(mlflow_like) as there, serving(proxy_to(there.port)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert ask("http://mlflow.invalid:5000/below") is None
        assert there.asked == ["/below/api/2.0/mlflow/experiments/search"]


def answering(status, body="", **headers):
    return lambda handler: handler.answer(status, body, **headers)


@pytest.mark.parametrize(
    ("reply", "reason", "remedy"),
    [
        (answering(401, "You are not authenticated."), "asks for credentials", "MLFLOW_TRACKING_USERNAME"),
        (answering(401, {"detail": "Not authenticated"}), "asks for credentials", "MLFLOW_TRACKING_TOKEN"),
        (answering(403, "<html>Forbidden</html>"), "the user may not do this", "MLFLOW_TRACKING_PASSWORD"),
        (answering(404, "<html>Not Found</html>"), "no MLflow server: HTTP 404", "check host, port and path"),
        (answering(200, "<html>Log in</html>"), "no MLflow server: HTTP 200", "check host, port and path"),
        (answering(200, "[]"), "no MLflow server", "check host, port and path"),
        (answering(503, "<html>starting</html>"), "overloaded or not ready: HTTP 503", "try again later"),
        (answering(500, {"message": f"db://me:{SECRET}@h is gone"}), "HTTP 500", "look into its log"),
    ],
)
def test_what_a_server_refuses_is_told_with_the_remedy_that_is_to_the_point(ask, reply, reason, remedy):
    with serving(reply) as there:
        said = ask(f"http://me:{SECRET}@127.0.0.1:{there.port}")
    assert said.startswith(f"cannot reach the tracking server http://127.0.0.1:{there.port} (")
    assert reason in said
    assert remedy in said
    assert SECRET not in said
    assert ("start it" in said) is False
    assert "\n" not in said


def test_a_blip_at_the_start_is_survived(ask):
    def once(handler):
        handler.answer(503, "restarting") if len(handler.server.asked) == 1 else mlflow_like(handler)

    with serving(once) as there:
        assert ask(f"http://127.0.0.1:{there.port}") is None


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_an_absent_server(ask, closed_port, scheme):
    said = ask(f"{scheme}://me:{SECRET}@127.0.0.1:{closed_port}/mlflow")
    assert f"cannot reach the tracking server {scheme}://127.0.0.1:{closed_port}/mlflow (" in said
    assert "Connection refused" in said
    assert "start it, or set MLFLOW_TRACKING_URI to another" in said
    assert SECRET not in said


def test_a_host_without_address(ask):
    said = ask("http://mlflow.invalid:5000")
    assert "its host's name cannot be resolved" in said
    assert "check the name" in said


def test_a_proxy_that_is_not_there_and_one_that_asks_for_a_password(ask, closed_port, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{SECRET}@127.0.0.1:{closed_port}")
    said = ask("http://mlflow.invalid:5000")
    assert "by way of the proxy: Connection refused" in said
    assert "check HTTP_PROXY" in said
    with serving(answering(407, "")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:{SECRET}@127.0.0.1:{proxy.port}")
        said += ask("http://mlflow.invalid:5000")
    assert "the proxy asks for credentials" in said
    assert SECRET not in said


@pytest.fixture
def own_certificate(tmp_path):
    """A certificate that no authority has signed, for 127.0.0.1, as a file with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    form = serialization.PrivateFormat.PKCS8
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    return file


def test_a_certificate_that_nobody_has_signed_is_told_and_can_be_trusted(ask, own_certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own_certificate)

    def wrap(plain: socket.socket) -> socket.socket:
        return context.wrap_socket(plain, server_side=True)

    with serving(behind_login("me", SECRET, "/mlflow"), wrap) as there:
        uri = f"https://me:{SECRET}@127.0.0.1:{there.port}/mlflow"
        said = ask(uri)
        assert "TLS: certificate verify failed: self-signed certificate" in said
        assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in said
        assert SECRET not in said
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(own_certificate))
        assert ask(uri) is None


@pytest.mark.parametrize("drips", [True, False])
@pytest.mark.medium
def test_a_server_that_never_ends_its_answer_is_given_up_in_time_and_the_wait_is_announced(ask, hurried, capsys, drips):
    began = time.monotonic()
    with serving(dripping) if drips else silent() as there:
        port = there.port if drips else there
        said = ask(f"http://127.0.0.1:{port}")
    assert time.monotonic() - began < 15
    assert "no complete answer within 3 s" in said
    assert capsys.readouterr().err == f"waiting for http://127.0.0.1:{port}, up to 3 s\n"


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
@pytest.mark.medium
def test_a_host_that_swallows_packets_is_given_up_in_time(ask, hurried, scheme):
    began = time.monotonic()
    with swallowing() as port:
        said = ask(f"{scheme}://127.0.0.1:{port}/x")
    assert time.monotonic() - began < 15
    assert "cannot reach the tracking server" in said


@pytest.mark.medium
def test_a_database_that_never_answers_is_given_up_in_time(ask, hurried):
    began = time.monotonic()
    with silent() as port:
        said = ask(f"postgresql+psycopg://me:{SECRET}@127.0.0.1:{port}/x")
    assert time.monotonic() - began < 15
    assert "cannot reach the tracking server postgresql+psycopg://127.0.0.1" in said
    assert SECRET not in said


@pytest.mark.medium
def test_the_users_own_patience_is_respected(ask, hurried, monkeypatch):
    def slow(handler):
        time.sleep(4)
        mlflow_like(handler)

    with serving(slow) as there:
        assert "no complete answer" in ask(f"http://127.0.0.1:{there.port}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        assert ask(f"http://127.0.0.1:{there.port}") is None


def test_the_work_that_follows_has_mlflows_own_patience(ask, hurried):
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_HTTP")}
    with serving(mlflow_like) as there:
        ask(f"http://127.0.0.1:{there.port}")
    assert {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_HTTP")} == before


@pytest.mark.parametrize("sign", ["#", "/", "?", "["])
@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_a_password_that_is_not_encoded_is_pointed_out_and_no_part_of_it_is_shown(ask, closed_port, scheme, sign):
    said = ask(f"{scheme}://me:s3cr3t{sign}W0rd@127.0.0.1:{closed_port}/x")
    assert "write %40 for @, %23 for #" in said
    assert "s3cr3t" not in said
    assert "W0rd" not in said


def test_a_bare_at_in_a_databases_password_shows_no_part_of_it_as_a_host(ask, closed_port):
    said = ask(f"postgresql+psycopg://me:s3cr3t@W0rd@127.0.0.1:{closed_port}/x")
    assert "write %40 for @" in said
    assert "W0rd" not in said


@pytest.mark.parametrize("uri", ["http://[::1", "http:/host", f"postgresql://me:{SECRET}", "what://host"])
def test_what_is_no_address_is_told(ask, uri):
    said = ask(uri)
    assert "it is no address of a server" in said or "unsupported URI" in said
    assert SECRET not in said


def test_a_driver_that_is_not_installed_is_named_with_how_to_get_it(ask):
    said = ask("mysql://me:pw@127.0.0.1/x")
    assert "its driver is not installed" in said
    assert "pip install" in said


def test_a_wrong_password_of_a_database_is_told_at_once(ask):
    with postgresql("r1ght-One") as uri:
        began = time.monotonic()
        said = ask(uri.replace("r1ght-One", SECRET))
        assert time.monotonic() - began < 15
        assert "password authentication failed" in said
        assert "check the user and password" in said
        assert SECRET not in said
        assert ask(uri) is None
        assert "create it" in ask(uri.removesuffix("postgres") + "absent")


def test_the_thread_of_a_contact_that_succeeds_is_gone(ask):
    before = threading.active_count()
    with serving(mlflow_like) as there:
        ask(f"http://127.0.0.1:{there.port}")
    assert threading.active_count() <= before


# Where artifacts are kept.


def refusal(location):
    with pytest.raises(server.ServerError) as error:
        server.require_artifacts(location)
    return str(error.value)


def test_artifacts_of_a_file_are_kept_wherever_mlflow_may_make_the_folder(at, tmp_path):
    at(tmp_path, "sqlite:///mlflow.db")
    server.require_artifacts(str(tmp_path / "mlruns" / "1"))
    server.require_artifacts((tmp_path / "a b" / "1").as_uri())


def test_a_servers_folder_that_cannot_be_made_here_is_refused(at, tmp_path):
    at(tmp_path, "http://127.0.0.1:1")
    (tmp_path / "file").touch()
    said = refusal(str(tmp_path / "file" / "mlruns" / "1"))
    assert said.startswith(f"the server's artifact store is not reachable from here: {tmp_path}/file/mlruns/1 of ")
    assert "mlflow server without --default-artifact-root" in said


def test_a_folder_of_a_server_elsewhere_is_not_made_here(at, tmp_path):
    at(tmp_path, "http://mlflow.example:5000")
    assert f"there is no folder {tmp_path}/srv/mlflow on this machine" in refusal(f"{tmp_path}/srv/mlflow/1")
    (tmp_path / "srv" / "mlflow").mkdir(parents=True)
    server.require_artifacts(f"{tmp_path}/srv/mlflow/1")
    assert not (tmp_path / "srv" / "mlflow" / "1").exists()


def test_a_store_behind_the_server_is_asked_by_way_of_it(at, tmp_path):
    with serving(answering(200, {"files": []})) as there:
        at(tmp_path, f"http://127.0.0.1:{there.port}")
        server.require_artifacts("mlflow-artifacts:/1")
        assert all("mlflow-artifacts" in path for path in there.asked)
        assert there.asked
    with serving(answering(403, "no")) as there:
        at(tmp_path, f"http://127.0.0.1:{there.port}")
        assert "the server's artifact store is not reachable from here: mlflow-artifacts:/1" in refusal(
            "mlflow-artifacts:/1"
        )


def test_a_store_whose_client_is_not_installed_is_refused_with_how_to_get_it(at, tmp_path):
    at(tmp_path, "http://127.0.0.1:1")
    said = refusal("sftp://me:s3cr3t-W0rd@host/mlruns/1")
    assert "No module named 'paramiko'" in said
    assert "install the client of that store" in said
    assert SECRET not in said
