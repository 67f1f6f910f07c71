"""Does what a row needs after its training only: for the server that rows are forked from, which does it once.

In each row it would take 2 seconds. The launch itself needs none of it.
"""

import tempfile

import mlflow.pytorch
import numpy as np
import torch

# The first model that is saved imports a thousand modules, the compiler of torch among them, and lists what every
# installed package has.
_EXAMPLE = np.zeros((2, 1), dtype=np.float32)
with tempfile.TemporaryDirectory() as _folder:
    mlflow.pytorch.save_model(
        torch.nn.Identity(),
        f"{_folder}/model",
        input_example=_EXAMPLE,
        signature=mlflow.models.infer_signature(_EXAMPLE, _EXAMPLE),
        pip_requirements=["torch"],
    )
