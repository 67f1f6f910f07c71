"""A registered forecaster as a service: MLflow's scoring server, whose refusals are made one sentence."""

import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from socket import socket

import mlflow
import uvicorn
from fastapi import FastAPI, Request, Response
from mlflow.pyfunc import scoring_server

_CAUSE = "Error: "  # before the cause, in MLflow's messages, after all the data that it cannot take

_LONGEST = 300  # characters


def application(model: Path) -> FastAPI:
    """The service of a model that was downloaded: POST /invocations, and GET /ping and /version.

    What it cannot take is answered with 400 and ``{"error_code": …, "message": …}``, the message one sentence.
    """
    logging.getLogger("mlflow.pyfunc.scoring_server").setLevel(logging.ERROR)  # it advises on requests, at each
    app = scoring_server.init(mlflow.pyfunc.load_model(str(model)))

    @app.middleware("http")
    async def in_one_sentence(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        if response.status_code < 400:
            return response
        body = b"".join([part async for part in response.body_iterator])  # type: ignore[attr-defined]
        return Response(sentence(body), response.status_code, media_type="application/json")

    return app


def sentence(body: bytes) -> str:
    """The answer to a request that was refused, JSON, without the data and the stack that MLflow's has.

    Args:
        body: MLflow's answer.
    """
    try:
        said = json.loads(body)
        message, code = said["message"], said["error_code"]
    except (ValueError, KeyError, TypeError):
        message, code = body.decode(errors="replace"), "BAD_REQUEST"
    cause = str(message).rpartition(_CAUSE)[2].strip().partition("\n")[0].partition(". ")[0]
    return json.dumps({"error_code": code, "message": cause if len(cause) <= _LONGEST else f"{cause[:_LONGEST]} …"})


def serve(app: FastAPI, listening: socket) -> None:
    """Answer requests that reach this socket until SIGINT or SIGTERM."""
    config = uvicorn.Config(app, log_level="warning")
    uvicorn.Server(config).run([listening])
