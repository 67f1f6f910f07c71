"""What the service answers to a request that it refuses: one sentence, made of MLflow's message."""

import json

import pytest

from pipelines.tracking.serving import sentence


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "Failed to predict data ' time  load\n0  2023   1.0'. \nError: 1 hours; the forecaster needs the last 90",
            "1 hours; the forecaster needs the last 90",
        ),
        (
            "Failed to predict data '…'. \nError: Failed to enforce schema of data '…' with schema '['time': string]'. "
            "Error: Model is missing inputs ['load']. Note that there were extra inputs: ['mw'].",
            "Model is missing inputs ['load']",
        ),
        (
            "The input must be a JSON dictionary. IMPORTANT: the protocol has changed.",
            "The input must be a JSON dictionary",
        ),
        ("x" * 1000, "x" * 300 + " …"),
    ],
)
def test_a_refusal_is_one_sentence(message, said):
    body = json.dumps({"error_code": "BAD_REQUEST", "message": message, "stack_trace": "Traceback …"}).encode()
    assert json.loads(sentence(body)) == {"error_code": "BAD_REQUEST", "message": said}


def test_an_answer_that_is_no_json_is_its_own_message():
    assert json.loads(sentence(b"only supports UTF-8\n")) == {
        "error_code": "BAD_REQUEST",
        "message": "only supports UTF-8",
    }
