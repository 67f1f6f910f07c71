"""Imports what a row needs after its training only: for the server that rows are forked from, which does it once.

In each row it would take 2 seconds. The launch itself needs none of it.
"""

import io

import mlflow.pytorch  # noqa: F401
import torch

# The first program that torch exports and writes imports a thousand modules, among them its compiler.
torch.export.save(torch.export.export(torch.nn.Identity(), (torch.zeros(2),)), io.BytesIO())
