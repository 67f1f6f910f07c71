"""docs/forecast.md does what it says: its commands, one after the other, on the embedded sample and a town's load."""

import json
import re
import shlex
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import cache

import numpy as np
import pandas as pd
import pytest
from support.launches import until
from support.place import ROOT, Place
from support.servers import is_up, unused

from pipelines.data.datasets import SAMPLE, load_energy

TEXT = (ROOT / "docs" / "forecast.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
TRAIN, FORECAST, CHECK, SERVE, POST = (line for line in COMMANDS if "benchmarks" not in line)
NAME = "load-forecaster-sample"
HOURS = 1800  # of the town
pytestmark = pytest.mark.slow


@cache
def town() -> pd.DataFrame:
    """The load of the sample, as if of a town, in MW: a network that was trained on the sample knows its form."""
    sample = load_energy(SAMPLE, "none")
    noise = 1 + 0.01 * np.random.default_rng(0).normal(size=len(sample.times))
    return pd.DataFrame({"time": sample.times, "load": (0.03 * noise * sample.values[:, 0]).round(2)})


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> Iterator[tuple[Place, list[str]]]:
    """Where the commands ran up to the check, and what each of them printed."""
    place = Place(tmp_path_factory.mktemp("forecast"))
    town()[:HOURS].to_csv(place.folder / "town.csv", index=False)
    town()[HOURS - 200 :].to_csv(place.folder / "later.csv", index=False)
    asked = [(place, program, rest) for program, *rest in map(shlex.split, (TRAIN, FORECAST, CHECK))]
    again = (place, "pipelines", shlex.split("recurrent --dataset sample --models mlp-lags --epochs 1 --hidden 8"))
    try:
        yield place, [out + err for out, err in place.launch_in_turn([*asked, again])]
    finally:
        place.end()


def test_the_champion_is_the_best_by_its_validation_error(printed):
    place, (trained, *_, worse) = printed
    assert f"champion  {NAME} version 1 (gru-relative-seed0)\nforecast  nnreg forecast --dataset sample\n" in (trained)
    assert "champion" not in worse
    rows = {run.data.tags["row"]: run for run in place.runs().values() if "row" in run.data.tags}
    versions = {version.run_id: version for version in place.client.search_model_versions(f"name = '{NAME}'")}
    best = min(rows.values(), key=lambda run: run.data.metrics["val_smape"])
    assert best.data.tags["row"] == "gru-relative"
    assert set(versions) == {run.info.run_id for run in rows.values()}
    champion = place.client.get_model_version_by_alias(NAME, "champion")
    assert champion.run_id == best.info.run_id
    assert float(champion.tags["val_smape"]) == best.data.metrics["val_smape"]
    assert rows["mlp-lags"].data.tags["registered"] == f"{NAME} version 2"
    card = champion.description
    assert card.startswith(f"gru-relative-seed0: val_smape {best.data.metrics['val_smape']:.4f} %, smape_report ")
    assert "`sample`, 1 series, digest 1c995a71d3fd: TAYLOR 2000-06-05 to 2000-08-27." in card
    assert "at least 90 hours" in card
    assert "public holidays of GB-ENG" in card
    assert champion.tags["smape_report"] == f"{best.data.metrics['smape_report']:.4f} %, n = 1"
    assert "lowest val_smape" in place.client.get_registered_model(NAME).description


def test_the_next_hours_follow_the_history_within_their_intervals(printed):
    place, (_, said, *_) = printed
    answer = pd.read_csv(place.folder / "forecast" / "forecast.csv", parse_dates=["time"])
    assert list(answer) == ["time", "forecast", "low_80", "high_80", "low_95", "high_95"]
    assert answer["time"].tolist() == town()["time"][HOURS : HOURS + 48].tolist()
    assert (answer["low_95"] < answer["low_80"]).all()
    assert (answer["low_80"] < answer["forecast"]).all()
    assert (answer["forecast"] < answer["high_80"]).all()
    assert (answer["high_80"] < answer["high_95"]).all()
    assert np.mean(np.abs(answer["forecast"] / town()["load"][HOURS : HOURS + 48].to_numpy() - 1)) < 0.07
    assert (place.folder / "forecast" / "forecast.png").read_bytes().startswith(b"\x89PNG")
    assert "none of its training: scaled by its own 1,800 hours" in said
    assert "forecast as TAYLOR" in said
    assert "next  nnreg prepare --dataset town --source town.csv\n" in said
    assert re.search(r"intervals of \d+ forecasts of hours that it has not seen", said)
    assert re.search(r"1 h ahead, within the intervals: \d+ % \(nominal 80 %\), \d+ % \(nominal 95 %\)", said)


def test_the_backtest_names_the_best_for_this_series(printed):
    place, (_, said, *_) = printed
    table = pd.read_csv(place.folder / "forecast" / "backtest.csv")
    means = table.groupby("forecaster")["mape"].mean()
    assert set(means.index) == {"gru-relative", "persistence", "same hour last week", "linear-ar-hourly"}
    others = means.drop("gru-relative")
    worth = means["gru-relative"] < others.min()
    begins = "worth it: mean error " if worth else "not worth it for this series: mean error "
    assert f"  {begins}" in said
    for row in ("gru-relative", others.idxmin()):
        assert f"{means[row]:.2f} %" in said


def test_the_forecast_and_what_came_are_runs(printed):
    place, (*_, said, _) = printed
    runs = [run for run in place.runs().values() if run.data.tags.get("entry") == "forecast"]
    check, forecast = sorted(runs, key=lambda run: run.info.start_time, reverse=True)
    assert forecast.data.tags["model"] == f"models:/{NAME}@champion"
    assert forecast.data.tags["command"] == FORECAST.replace("nnreg", "python -m pipelines", 1)
    logged = place.artifact(forecast, "tables/forecast.csv").read_text()
    assert logged == (place.folder / "forecast" / "forecast.csv").read_text()
    table = pd.read_csv(place.folder / "forecast" / "check.csv")
    assert len(table) == 48
    assert check.data.metrics["forecast_mape"] == pytest.approx(table["error_percent"].abs().mean())
    assert f"mean error of the forecast {check.data.metrics['forecast_mape']:.2f} %" in said
    assert place.artifact(check, "figures/check.png").is_file()


@pytest.fixture(scope="module")
def service(printed) -> Iterator[str]:
    place, _ = printed
    port = unused()
    process = place.start(*shlex.split(SERVE)[1:], "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    until(lambda: is_up(port), process)
    assert f"{url}/invocations" in place.stdout
    yield url
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0, place.stderr
    assert "Traceback" not in place.stderr


def post(url: str, body: str, kind: str = "text/csv") -> tuple[int, dict]:
    request = urllib.request.Request(f"{url}/invocations", body.encode(), {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_service_answers_as_the_command_does(printed, service):
    place, _ = printed
    status, answer = post(service, town()[:HOURS].to_csv(index=False))
    assert status == 200
    table = pd.DataFrame(answer["predictions"])
    expected = pd.read_csv(place.folder / "forecast" / "forecast.csv")[:24]
    assert table["forecast"].tolist() == pytest.approx(expected["forecast"].tolist(), rel=1e-5)
    assert set(table["note"]) == {next(iter(table["note"]))}
    assert "scaled by its own 1,800 hours" in table["note"][0]


def test_the_number_of_hours_can_be_asked_for(service):
    (example,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    asked = json.loads(example)
    asked["dataframe_split"]["data"] = town()[:200].astype({"time": str}).to_numpy().tolist()
    status, answer = post(service, json.dumps(asked), "application/json")
    assert (status, len(answer["predictions"])) == (200, 48)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda hours: hours[:89], "89 hours; the forecaster needs the last 90"),
        (
            lambda hours: hours.drop(index=50),
            "1 hour is missing after 2000-06-07 01:00; fill the gap, or begin after it",
        ),
        (lambda hours: hours[::-1], "2000-06-09 06:00 comes after 2000-06-09 07:00; sort the hours by time"),
        (lambda hours: hours.replace({"load": {hours["load"][3]: np.nan}}), "row 4: 'nan' is no finite load"),
        (lambda hours: hours.assign(series="TAYLOR", load=hours["load"] / 1000), "give megawatts"),
        (lambda hours: hours.rename(columns={"load": "mw"}), "Model is missing inputs ['load']"),
    ],
)
def test_what_cannot_be_forecast_is_answered_with_one_sentence(service, change, said):
    status, answer = post(service, change(town()[:104]).to_csv(index=False))
    assert status == 400
    assert said in answer["message"]
    assert "\n" not in answer["message"]


def test_the_page_shows_how_to_ask_the_service():
    command, address, *_ = shlex.split(POST)
    assert (command, address) == ("curl", "http://127.0.0.1:5001/invocations")
