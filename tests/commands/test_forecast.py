"""What `forecast` and `serve` refuse, in one line and before anything is made."""

import socket

import pytest
from support.launches import complaint


@pytest.mark.medium
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["forecast"], "there is no forecaster of pjm or sample on "),
        (["serve", "--dataset", "town"], "there is no forecaster of town on "),
        (["forecast", "--model", "gru"], "model gru: an address is models:/NAME@ALIAS or models:/NAME/VERSION"),
        (["forecast", "--check", "true"], "forecast/forecast.csv does not exist; make a forecast first"),
        (["forecast", "--hours", "169"], "169 is not in the range 1<=x<=168"),
    ],
)
def test_a_mistake_is_one_line_and_makes_nothing(place, arguments, said):
    place.database.unlink(missing_ok=True)
    assert place.invoke(*arguments) == 2
    assert said in complaint(place)
    assert not place.database.exists()
    assert not (place.folder / "forecast").exists()


@pytest.mark.medium
def test_a_port_that_is_taken_is_told(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert place.invoke("serve", "--port", str(port)) == 2
    assert f"port {port} of 127.0.0.1: " in complaint(place)
    assert "give another --port" in place.stderr
