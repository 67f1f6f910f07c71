"""The registered forecaster as MLflow loads and serves it: code of the model, which MLflow runs.

The model's configuration names a function of the project, which is beside it, that reads the artifact; what it returns
has a method ``forecast(table, hours, timezone)``, which raises a UserError for a table that it cannot take.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import PythonModel

from pipelines.errors import UserError

ARTIFACT, LOADER = "forecaster", "loader"
HOURS, TIMEZONE, SERIES = "hours", "timezone", "series"


class Served(PythonModel):
    """A forecaster: a table of hours in, the hours that follow out."""

    def load_context(self, context: Any) -> None:
        """Read the forecaster."""
        module, _, function = context.model_config[LOADER].partition(":")
        self._forecaster = getattr(import_module(module), function)(Path(context.artifacts[ARTIFACT]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Forecast the hours that follow each history of a table.

        The parameter `hours` says how many, and `timezone` in which zone the times are: "" for that of the training.
        """
        given = params or {}
        hours, timezone = int(given.get(HOURS, 24)), given.get(TIMEZONE) or None
        try:
            answer = self._forecaster.forecast(pd.DataFrame(model_input), hours, timezone)
        except UserError as error:
            raise MlflowException(str(error), error_code=BAD_REQUEST) from None
        return answer.astype(object).where(answer.notna(), None)  # JSON has no NaN


mlflow.models.set_model(Served())
