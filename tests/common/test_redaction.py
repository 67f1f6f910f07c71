"""What of an address, or of any text, may be shown."""

import json

import pytest

from pipelines.common.addresses import HIDDEN, has_secret, redacted, redacted_data

SECRET = "s3cr3t-W0rd"
# Every character that a password may have, encoded or not.
ODD = ["p@ss", "p#ss", "p/ss", "p%ss", "p:ss", "p?ss", "p%40ss", "@", "p@s#s/w%o:r?d", "'quoted\"", "[p]&;=,"]
SCHEMES = ["http", "https", "postgresql+psycopg", "mysql+pymysql", "mssql+pyodbc", "sftp", "s3", "ssh", "git+https"]


@pytest.fixture(autouse=True)
def no_secrets_of_the_machine(monkeypatch):
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "OPTUNA_STORAGE", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("password", [SECRET, *ODD])
def test_user_and_password_of_an_address_go_whatever_they_hold(scheme, password):
    shown = redacted(f"cannot reach {scheme}://me:{password}@host.example:5000/a/b: start it")
    assert shown == f"cannot reach {scheme}://host.example:5000/a/b: start it"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"https://{SECRET}@github.com/me/nn.git", "https://github.com/me/nn.git"),
        (f"postgresql://me:{SECRET}", f"postgresql://me:{HIDDEN}"),
        (
            f"postgresql://h/db?user=me&password={SECRET}&sslmode=require",
            f"postgresql://h/db?user=me&password={HIDDEN}&sslmode=require",
        ),
        (f"postgresql://h/db?sslpassword={SECRET}", f"postgresql://h/db?sslpassword={HIDDEN}"),
        (f"https://h/x?X-Amz-Signature={SECRET}&X-Amz-Date=1", f"https://h/x?X-Amz-Signature={HIDDEN}&X-Amz-Date=1"),
        (f"https://h/x?sv=1&sig={SECRET}", f"https://h/x?sv=1&sig={HIDDEN}"),
        (f"https://h/x?access_token={SECRET}", f"https://h/x?access_token={HIDDEN}"),
        (f"host=h password='a {SECRET}' user=me", f"host=h password='{HIDDEN}' user=me"),
        (f"password = {SECRET}", f"password = {HIDDEN}"),
        (f"AWS_SECRET_ACCESS_KEY={SECRET} python", f"AWS_SECRET_ACCESS_KEY={HIDDEN} python"),
        (f"Authorization: Bearer {SECRET}", f"Authorization: Bearer {HIDDEN}"),
        (f"Authorization: Basic {SECRET}", f"Authorization: Basic {HIDDEN}"),
        (f"sent Bearer {SECRET} to it", f"sent Bearer {HIDDEN} to it"),
        ("key AKIAIOSFODNN7EXAMPLE", f"key {HIDDEN}"),
        (json.dumps({"api_key": SECRET, "lr": "1"}), json.dumps({"api_key": HIDDEN, "lr": "1"})),
        (f"http://h/a, http://me:{SECRET}@h2/b", "http://h/a, http://h2/b"),
    ],
)
def test_a_secret_goes_and_nothing_else(text, shown):
    assert redacted(text) == shown
    assert has_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.001",
        "gru-2-seed0",
        "http://127.0.0.1:5000/#/experiments/1/runs/2",
        "sqlite:////home/a@b/mlflow.db",
        "s3://bucket/key@version",
        "models:/resnet18@champion",
        "file:///x:y/z",
        "git@github.com:me/nn.git",
        "ssh://git@github.com/me/nn.git",
        "postgresql+psycopg://host:5432/db?sslmode=require",
        "http://[::1]:5000/x",
        "tokens=12, hidden=8, bypass=true",
        "python -m pipelines recurrent --lr 0.1 --models gru-2",
        "Basic training of 12 networks",
        "bearer of news",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(text):
    assert redacted(text) == text
    assert not has_secret(text)


def test_secrets_of_the_environment_go_wherever_they_stand(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pass-w0rd")
    monkeypatch.setenv("SOME_API_TOKEN", "t0ken-value")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:prox%40y-pw1@proxy:3128")
    for secret in ("pass-w0rd", "t0ken-value", "prox%40y-pw1", "prox@y-pw1"):
        assert redacted(f"driver says <{secret}>.") == f"driver says <{HIDDEN}>."


def test_a_password_that_is_a_word_does_not_take_the_word_from_every_text(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://mlflow:mlflow@db/mlflow")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "a-value-1")
    assert redacted("sqlite:///mlflow.db a-value-1") == "sqlite:///mlflow.db a-value-1"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["a:", "http://a:", "a_", "token", "'", '"password": "', "@", "Bearer "])
def test_a_long_text_of_anything_takes_no_time(piece):
    redacted(piece * (300_000 // len(piece)))


def test_plain_data_keeps_its_form(monkeypatch):
    data = {"rows": [{"source": f"http://me:{SECRET}@h/a", "lr": 0.1, "n": None}], "ok": True}
    assert redacted_data(data) == {"rows": [{"source": "http://h/a", "lr": 0.1, "n": None}], "ok": True}
