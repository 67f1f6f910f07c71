"""State dicts of ResNets, whoever wrote them: read without running anything, and given torchvision's names."""

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeGuard

import safetensors.torch
import torch
from torch import Tensor

from nnmodels.resnet import resnet
from pipelines.errors import UserError
from pipelines.experiments.resnet.pickles import foreign_names
from pipelines.experiments.resnet.rows import OPTION_A, OPTION_B, RESNETS

SHOWN = 3  # names in a message
MAX_BYTES = 1 << 29  # a ResNet-50 is 94 MB, thrice that with an optimizer's state
DEPTH = 3  # of the mappings that a checkpoint may be wrapped in

# What DataParallel, torch.compile, FSDP and activation checkpointing put into the names, wherever a network is wrapped.
_WRAPPED = re.compile(r"(?:(?<=\.)|^)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_COUNTER = "n_averaged"  # beside the names of torch.optim.swa_utils.AveragedModel
_AVERAGE = re.compile("ema|averag|swa|shadow|teacher", re.IGNORECASE)  # not what was trained, but a mean of it

TORCHVISION, AKAMASTER, CHENYAOFO, KUANGLIU = "torchvision", "akamaster", "chenyaofo", "kuangliu"


@dataclass(frozen=True)
class StateDict:
    """What a file holds of a model.

    Attributes:
        tensors: all that the model's load_state_dict wants; float32, on the CPU.
        shortcut: "A" or "B".
        naming: whose names the tensors had.
        wrapping: what the names and the mapping of them were wrapped in, from the inside.
        note: what else the file holds that could have been meant, for people; empty where there is nothing.
    """

    tensors: Mapping[str, Tensor]
    shortcut: str
    naming: str
    wrapping: tuple[str, ...]
    note: str = ""

    @property
    def dialect(self) -> str:
        """How the file named and wrapped its tensors."""
        return ", ".join((self.naming, *self.wrapping))


def read(model: str, raw: bytes, where: str, key: str = "") -> StateDict:
    """The state dict in a file.

    Args:
        model: key of rows.RESNETS.
        raw: the file, of torch.save or safetensors.
        where: it is from, for messages.
        key: of the mapping to be taken, where a checkpoint holds several; of one within others with dots. Empty for the
            only one, or the only one that is no moving average.

    Raises:
        UserError: it is damaged, not plain tensors, of another architecture, or holds several and `key` does not tell.
    """
    with refusing(where, raw):
        path, state, note = _chosen(_loaded(raw, where), key, where)
        state, prefixes = _unwrapped(state, where)
        tensors, naming = _named_as_ours(state, where)
        shortcut = _shortcut(model, tensors)
        fitted = _fitted(model, shortcut, tensors, where)
        return StateDict(fitted, shortcut, naming, (*prefixes, *([path] if path else [])), note)


def one_line(text: object) -> str:
    """What a file says that nobody vouches for, short and on one line."""
    return "".join(character if character.isprintable() else "?" for character in str(text)[:100])


@contextmanager
def refusing(where: str, raw: bytes = b"") -> Iterator[None]:
    """Whatever goes wrong in reading what nobody vouches for is one line.

    Args:
        where: it is from.
        raw: what is read, where it is known.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror or error}; give a file that can") from error
    except pickle.UnpicklingError as error:
        raise UserError(f"{where} {_more_than_tensors(raw)}") from error
    except Exception as error:
        raise UserError(f"{where} is damaged, or neither of torch.save nor of safetensors; fetch it again") from error


def _more_than_tensors(raw: bytes) -> str:
    """What is wrong with a file that torch would have to run, and the remedy."""
    remedy = "save the tensors alone where it was made: torch.save(model.state_dict(), 'weights.pt')"
    found = [one_line(name) for name in foreign_names(raw)]
    if not found:
        return f"is damaged or holds more than tensors, none of which was run; fetch it again, or {remedy}"
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"holds more than tensors ({', '.join(found[:SHOWN])}{more}), none of which was run; {remedy}"


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


def _chosen(loaded: object, key: str, where: str) -> tuple[str, dict[str, Tensor], str]:
    """Where in a file the tensors by name are, they themselves, and what else could have been meant."""
    if _is_state_dict(loaded) and not key:
        return "", loaded, ""
    found = dict(_state_dicts(loaded))
    named = ", ".join(map(one_line, found))
    if key:
        if key not in found:
            held = f"holds tensors by name under {named}" if found else "has no keys above its tensors"
            raise UserError(f"weights_key={key}: {where} {held}; give one of these keys, or none")
        return one_line(key), found[key], ""
    if not found:
        raise UserError(f"{where}: expected {_found_instead(loaded)}; save model.state_dict()")
    trained = [path for path in found if not _AVERAGE.search(path)] if len(found) > 1 else list(found)
    if len(trained) != 1:
        raise UserError(f"{where} holds several state dicts, {named}; give weights_key= one of them")
    (taken,) = trained
    others = ", ".join(one_line(path) for path in found if path != taken)
    note = f"{where} holds {named}: {one_line(taken)} is taken, give weights_key= for {others}" if others else ""
    return one_line(taken), found[taken], note


def _state_dicts(value: object) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Keys, joined by dots, and values of the mappings within one that are state dicts of networks."""
    seen: set[int] = set()

    def within(mapping: object, above: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Tensor]]]:
        # Without a look at what was seen, a mapping that holds itself many times over would take years.
        if not isinstance(mapping, dict) or id(mapping) in seen or len(above) > DEPTH:
            return
        seen.add(id(mapping))
        if above and _is_state_dict(mapping) and any(name.endswith(".weight") for name in mapping):
            yield ".".join(above), mapping
            return
        for key, inner in mapping.items():
            if isinstance(key, str):
                yield from within(inner, (*above, key))

    return within(value, ())


def _is_state_dict(value: object) -> TypeGuard[dict[str, Tensor]]:
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in value.items())
    )


def _found_instead(loaded: object) -> str:
    if not isinstance(loaded, dict):
        return f"a state dict, found a {type(loaded).__name__}"
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            return f"tensors by name, found {one_line(key)} of type {type(value).__name__}"
    return "tensors by name, found none"


def _unwrapped(state: dict[str, Tensor], where: str) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by the names they have in the network itself, and what these were wrapped in, the outermost first."""
    wrappers: dict[str, None] = {}
    if _COUNTER in state:
        wrappers[_COUNTER] = None
        state = {key: value for key, value in state.items() if key != _COUNTER}

    def inner(key: str) -> str:
        wrappers.update(dict.fromkeys(_WRAPPED.findall(key)))
        return _WRAPPED.sub("", key)

    state = _renamed(state, inner, where)
    while len(heads := {key.partition(".")[0] for key in state}) == 1 and all("." in key for key in state):
        prefix = f"{heads.pop()}."
        wrappers[prefix] = None
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state, list(map(one_line, wrappers))


def _renamed(state: dict[str, Tensor], rename: Callable[[str], str], where: str) -> dict[str, Tensor]:
    renamed = {rename(key): value for key, value in state.items()}
    if len(renamed) < len(state):
        raise UserError(f"{where}: several tensors have the same name in the network; save model.state_dict()")
    return renamed


def _named_as_ours(state: dict[str, Tensor], where: str) -> tuple[dict[str, Tensor], str]:
    """Tensors by torchvision's names, and whose names they had. timm's names are torchvision's."""
    large = "layer4.0.conv1.weight" in state
    if any(".shortcut." in key for key in state) and large:
        naming = KUANGLIU
    elif "linear.weight" in state:
        naming = KUANGLIU if large else AKAMASTER
    elif _has_convolved_shortcuts(state) and not large:
        naming = CHENYAOFO
    else:
        naming = TORCHVISION

    def ours(key: str) -> str:
        return re.sub(r"^linear\.", "fc.", key).replace(".shortcut.", ".downsample.")

    return _renamed(state, ours, where), naming


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
