"""Models of a user's own: found by the name of their factory, checked on one batch, and built for a run."""

import hashlib
import importlib
import inspect
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from pipelines import names
from pipelines.common import launcher
from pipelines.common.streams import announce
from pipelines.errors import UserError, nearest
from pipelines.experiments.base import OwnModelSettings, Settings
from pipelines.tracking.artifacts import log_file, log_tensors
from pipelines.tracking.models import ExportError, log_model
from pipelines.tracking.run import Run

OwnSettings = TypeVar("OwnSettings", bound=OwnModelSettings)


def known(settings: OwnSettings) -> OwnSettings:
    """The settings with the digest of the file that defines their model.

    Raises:
        UserError: there is no such factory, or no file of Python that defines it.
    """
    return replace(settings, model_sha256=_sha256(_source(settings.model)))


def require_model(settings: Settings) -> None:
    """Require of settings with a model of the user's own that it is what it was when they were planned.

    Raises:
        UserError: see `require_same`.
    """
    if isinstance(settings, OwnModelSettings):
        require_same(settings)


def require_same(settings: OwnModelSettings) -> None:
    """Require that the model is the one that the settings were planned with.

    Raises:
        UserError: its file is another one now, or is not here.
    """
    file = _source(settings.model)
    if _sha256(file) != settings.model_sha256:
        raise UserError(
            f"model={settings.model}: {file} is not what it was when the launch began (SHA-256 "
            f"{settings.model_sha256[:12]}…): put that back, or start anew"
        )


def build(settings: OwnModelSettings, example: Tensor) -> nn.Module:
    """Build the model, with weights drawn by torch's random numbers.

    Args:
        settings: have its factory and arguments.
        example: an input, which gives lazy modules their sizes.

    Raises:
        UserError: it cannot be built, or is no module.
    """
    factory = _factory(settings.model)
    called = f"model: {settings.called}"
    try:
        model = factory(**settings.arguments)
    except Exception as error:
        raise UserError(f"{called} fails: {_told(error)}; its row gives it arguments = {{ … }}") from error
    if not isinstance(model, nn.Module):
        raise UserError(f"{called} gives a {type(model).__name__}, not a torch.nn.Module")
    if any(isinstance(each, UninitializedParameter) for each in model.parameters()):
        _outputs(model, example, called)
    if not any(each.requires_grad for each in model.parameters()):
        raise UserError(f"{called} has no weights to train")
    return model


def require_trainable(
    settings: OwnModelSettings, example: Tensor, shape: Sequence[int], what: str, replicas: int = 1
) -> nn.Module:
    """Require that the model takes a batch, gives what it has to, and has gradients; returns it.

    Args:
        settings: have its factory and arguments.
        example: a batch of inputs.
        shape: of its outputs.
        what: the outputs, in words.
        replicas: processes that train it.

    Raises:
        UserError: it does not; says what, where and the remedy.
    """
    with torch.random.fork_rng():
        model = build(settings, example)
        called = f"model: {settings.model}"
        outputs = _outputs(model, example, called)
        if tuple(outputs.shape) != tuple(shape) or not outputs.is_floating_point():
            raise UserError(
                f"{called} gives {outputs.dtype} of shape {tuple(outputs.shape)} for inputs of shape "
                f"{tuple(example.shape)}; it has to give {what}, floating point of shape {tuple(shape)}"
            )
        if not outputs.requires_grad:
            raise UserError(f"{called}: its outputs have no gradients; do not detach them, or compute them without")
        if replicas > 1:
            _require_divisible(model, called, replicas)
        return model


def log_source(run: Run, settings: OwnModelSettings) -> None:
    """Log the file that defines the model.

    Raises:
        UserError: it is not what it was when the launch began.
    """
    require_same(settings)
    file = _source(settings.model)
    log_file(run, f"{names.SOURCE}/{file.name}", lambda copy: copy.write_bytes(file.read_bytes()))


def log_own_model(run: Run, model: nn.Module, example: np.ndarray) -> None:
    """Log a trained model as `tracking.models.log_model` does or, where it cannot be exported, its weights alone."""
    try:
        log_model(run, model, example)
    except ExportError as error:
        note = f"The model could not be exported ({error}), so its state dict alone is logged, as {names.WEIGHTS}."
        announce(f"{run.tags[names.RUN_NAME]}: {note}")
        # Copies, since weights that are tied share their memory, which the format has no words for.
        tensors = {name: each.clone() for name, each in model.state_dict().items() if isinstance(each, Tensor)}
        log_tensors(run, tensors, names.WEIGHTS)
        run.set_tags({names.DESCRIPTION: f"{run.tags.get(names.DESCRIPTION, '')}\n\n{note}"})


def _factory(name: str) -> Callable[..., Any]:
    module, _, path = name.partition(":")
    folder = str(launcher.users_folder())
    # As Python does for a script in that folder; processes that are started from here get it too.
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            raise UserError(f"model: there is no module {error.name} in {folder} or among those installed") from error
        raise UserError(f"model: importing {module} fails: {_told(error)}") from error
    except (Exception, SystemExit) as error:
        raise UserError(f"model: importing {module} fails: {_told(error)}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            where = getattr(found, "__file__", None) or module
            factories = [each for each in dir(found) if not each.startswith("_") and callable(getattr(found, each))]
            near = nearest(part, factories)
            remedy = f"{near}{'N' if near else 'n'}ame a class or a function that is in it"
            raise UserError(f"model: {where} has no {part!r:.60}; {remedy}")
        found = getattr(found, part)
    if not callable(found):
        raise UserError(f"model: {name} is a {type(found).__name__} and cannot be called; name a class or a function")
    return found


def _source(name: str) -> Path:
    factory = _factory(name)
    try:
        file = inspect.getsourcefile(inspect.unwrap(factory))
    except TypeError:  # an object that is called, which was defined somewhere else
        file = getattr(sys.modules[name.partition(":")[0]], "__file__", None)
    if file is None or not Path(file).is_file():
        raise UserError(f"model: {name} has no file of Python source, which a run would log; define it in one")
    return Path(file)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _outputs(model: nn.Module, example: Tensor, called: str) -> Tensor:
    """Outputs in training mode, as a training computes them.

    Raises:
        UserError: there are none.
    """
    try:
        outputs = model.train()(example)
    except Exception as error:
        raise UserError(f"{called} fails for inputs of shape {tuple(example.shape)}: {_told(error)}") from error
    if not isinstance(outputs, Tensor):
        raise UserError(f"{called} gives a {type(outputs).__name__}, not one tensor")
    return outputs


def _require_divisible(model: nn.Module, called: str, replicas: int) -> None:
    """Require that several processes can train the model.

    Raises:
        UserError: they cannot.
    """
    remedy = f"give the row replicas = 1 instead of {replicas}"
    if any(True for _ in model.buffers()):
        raise UserError(f"{called} has buffers, such as those of a batch norm, which replicas do not share; {remedy}")
    try:
        pickle.dumps(model)
    except Exception as error:
        raise UserError(f"{called} cannot be sent to another process: {_told(error)}; {remedy}") from error


def _told(error: BaseException) -> str:
    """The type and first line of an error, and the line of code that raised it, if it is not in this file."""
    text = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]:.200}".removesuffix(": ")
    if isinstance(error, SyntaxError):  # names its line itself
        return text
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    file = frame.tb_frame.f_code.co_filename if frame else __file__
    return text if frame is None or file == __file__ else f"{text} ({Path(file).name}, line {frame.tb_lineno})"
