"""State dicts of ResNets, whoever wrote them: read without running anything, and given torchvision's names."""

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor

from nnmodels.resnet import resnet
from pipelines.catalogue import OPTION_A, OPTION_B, RESNETS
from pipelines.errors import UserError

MAX_BYTES = 1 << 29  # a ResNet-50 is 94 MB, thrice that with an optimizer's state
WRAPPER, PREFIX = "state_dict", "module."  # of a checkpoint, and of torch.nn.DataParallel


@dataclass(frozen=True)
class StateDict:
    """What a file holds of a model.

    Attributes:
        tensors: all that the model's load_state_dict wants; float32, on the CPU.
        shortcut: "A" or "B".
        dialect: how the file named and wrapped its tensors.
    """

    tensors: Mapping[str, Tensor]
    shortcut: str
    dialect: str


def read(model: str, raw: bytes, where: str) -> StateDict:
    """The state dict in a file.

    Args:
        model: key of catalogue.RESNETS.
        raw: the file, of torch.save or safetensors.
        where: it is from, for messages.

    Raises:
        UserError: it is damaged, not plain tensors, or of another architecture.
    """
    with refusing(where):
        tensors, dialect = _named_as_ours(*_state_dict(_loaded(raw, where), where))
        shortcut = _shortcut(model, tensors)
        return StateDict(_fitted(model, shortcut, tensors, where), shortcut, dialect)


def one_line(text: object) -> str:
    """What a file says that nobody vouches for, short and on one line."""
    return "".join(character if character.isprintable() else "?" for character in str(text)[:100])


@contextmanager
def refusing(where: str) -> Iterator[None]:
    """Whatever goes wrong in reading what nobody vouches for is one line."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror or error}; give a file that can") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{where} is damaged or holds more than tensors, none of which was run; give a plain state dict"
        ) from error
    except Exception as error:
        raise UserError(
            f"{where} is damaged, or neither of torch.save nor of safetensors ({type(error).__name__}); fetch it again"
        ) from error


def require_size(size: int, where: object) -> None:
    """Raise a UserError where `size` bytes are more than any ResNet's."""
    if size > MAX_BYTES:
        raise UserError(f"{where} has more than {MAX_BYTES >> 20} MiB, so it is no ResNet's; give the published file")


def _loaded(raw: bytes, where: str) -> object:
    """What torch.save or safetensors wrote; raises whatever they raise."""
    if raw[8:9] == b"{":
        return safetensors.torch.load(raw)
    if raw.startswith(b"PK"):
        _require_sound(raw, where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of several lines, about files that are then refused
        # Given explicitly: the default follows TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD.
        return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)


def _require_sound(raw: bytes, where: str) -> None:
    """Check sizes and CRCs of a zip file of torch.save, which torch.load does not."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        require_size(sum(member.file_size for member in archive.infolist()), f"{where}, unpacked,")
        if (member := archive.testzip()) is not None:
            raise UserError(f"{where}: {one_line(member)} in it has another checksum; it is damaged: fetch it again")


def _state_dict(loaded: object, where: str) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by name, and what they were wrapped in."""
    wrapped = isinstance(loaded, dict) and isinstance(loaded.get(WRAPPER), dict)
    state = loaded[WRAPPER] if wrapped else loaded
    if not isinstance(state, dict):
        raise UserError(f"{where}: expected a state dict, found a {type(state).__name__}; save model.state_dict()")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            found = f"{one_line(key)} of type {type(value).__name__}"
            raise UserError(f"{where}: expected tensors by name, found {found}; save model.state_dict()")
    prefixed = bool(state) and all(key.startswith(PREFIX) for key in state)
    if prefixed:
        state = {key.removeprefix(PREFIX): value for key, value in state.items()}
    return state, [PREFIX] * prefixed + [WRAPPER] * wrapped


def _named_as_ours(state: dict[str, Tensor], wrapping: list[str]) -> tuple[dict[str, Tensor], str]:
    """Tensors by torchvision's names, and the dialect they came in. timm's names are torchvision's."""
    dialect = "torchvision"
    if "linear.weight" in state:
        dialect = "akamaster"
        state = {re.sub(r"^linear\.", "fc.", key): value for key, value in state.items()}
    elif _has_convolved_shortcuts(state) and "layer4.0.conv1.weight" not in state:
        dialect = "chenyaofo"
    return state, ", ".join([dialect, *wrapping])


def _shortcut(model: str, state: Mapping[str, Tensor]) -> str:
    possible = RESNETS[model].shortcuts
    if len(possible) == 1:
        return possible[0]
    return OPTION_B if _has_convolved_shortcuts(state) else OPTION_A


def _has_convolved_shortcuts(state: Mapping[str, Tensor]) -> bool:
    return "layer2.0.downsample.0.weight" in state


def _fitted(model: str, shortcut: str, state: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The tensors as the model wants them.

    Raises:
        UserError: with the first key that differs.
    """
    with torch.device("meta"):
        expected = resnet(model, shortcut=shortcut).state_dict()
    remedy = f"give weights of a {model} for 10 classes"
    fitted = {}
    for key, pattern in expected.items():
        if key.endswith(".num_batches_tracked"):
            fitted[key] = torch.zeros((), dtype=pattern.dtype)  # old files have none, and inference needs none
            continue
        found = _described(state[key]) if key in state else "none"
        if found != _described(pattern):
            raise UserError(f"{where} is no {model}: {key}: expected {_described(pattern)}, found {found}; {remedy}")
        fitted[key] = state[key].detach().to("cpu", torch.float32).contiguous()
        if not fitted[key].isfinite().all():
            raise UserError(f"{where}: {key} is not finite; it is damaged: fetch it again")
    unexpected = next((key for key in state if key not in expected), None)
    if unexpected is not None:
        raise UserError(f"{where} is no {model}: {one_line(unexpected)}: expected none, found one; {remedy}")
    return fitted


def _described(value: Tensor) -> str:
    """Shape of a plain tensor of real numbers; else what is not plain about it."""
    if value.layout is not torch.strided:
        return str(value.layout)
    shape = "x".join(map(str, value.shape)) or "one number"
    return shape if value.is_floating_point() else f"{shape} of {value.dtype}"
