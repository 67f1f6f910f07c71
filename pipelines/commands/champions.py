"""Where the commands `forecast` and `serve` have their forecaster from."""

import re
from pathlib import Path

from pipelines import names
from pipelines.common import server
from pipelines.common.command import hint
from pipelines.common.streams import announce
from pipelines.data.datasets import AUTO, REPORTED, SAMPLE
from pipelines.data.files.meta import elsewhere
from pipelines.data.protocol import DATA_DIR, LOAD
from pipelines.errors import UserError
from pipelines.experiments.recurrent.compete import name_of
from pipelines.forecasting import champion
from pipelines.forecasting.champion import Champion
from pipelines.tracking.models import forecaster_of, is_registered
from pipelines.tracking.server import connect, is_set_up

_ADDRESS = re.compile(r"models:/[^/]+")


def address(dataset: str, model: str, data_dir: str = DATA_DIR) -> str:
    """Address of the model to forecast with, on the tracking server: a given one, else the champion of a data set.

    Args:
        dataset: name of the data set; auto: the report's if it has a champion, else the sample, which is announced.
        model: address of a model, or "".
        data_dir: folder of the prepared data, for the command that trains one where there is none.

    Raises:
        UserError: the data set has no champion, `model` is no address, or the server cannot be reached.
    """
    candidates = (REPORTED[LOAD], SAMPLE) if dataset == AUTO else (dataset,)
    if model and not _ADDRESS.match(model):
        raise UserError(f"model {model}: an address is models:/NAME@ALIAS or models:/NAME/VERSION")
    if is_set_up():
        connect(existing=True)
        if model:
            return model
        for each in candidates:
            if is_registered(name_of(each), names.CHAMPION):
                if each != candidates[0]:
                    announce(f"dataset=auto: there is no forecaster of {candidates[0]}, so it is that of the {each}")
                return f"models:/{name_of(each)}@{names.CHAMPION}"
    given = f"--dataset {candidates[0]} --models gru-relative{elsewhere(data_dir)}"
    command = hint(f"python -m pipelines recurrent {given}")
    raise UserError(f"there is no forecaster of {' or '.join(candidates)} on {server.address()}; train one: {command}")


def read(where: str, model: Path) -> Champion:
    """Read the forecaster of a model.

    Args:
        where: its address, for messages.
        model: what was fetched from there.

    Raises:
        UserError: it is no model to forecast with.
    """
    found = forecaster_of(model)
    if found is None:
        raise UserError(f"{where} is no forecaster of this project; give another model, models:/NAME@ALIAS")
    try:
        return champion.load(found)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise UserError(f"{where} cannot be read ({error}); give another model, or train one anew") from error
