"""State dicts of ResNets from any source, read without running code in the file and renamed to torchvision's names."""

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

import safetensors.torch
import torch
from torch import Tensor

from nnmodels.classifiers import network
from pipelines.errors import UserError
from pipelines.experiments.resnet.rows import OPTION_A, OPTION_B, RESNETS
from pipelines.experiments.resnet.untrusted import one_line, refusing, require_size

DEPTH = 3  # of nested mappings in a checkpoint

# Parts of names that DataParallel, torch.compile, FSDP and activation checkpointing insert where they wrap a network.
_WRAPPED = re.compile(r"(?:(?<=\.)|^)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_COUNTER = "n_averaged"  # a key that torch.optim.swa_utils.AveragedModel adds
_AVERAGE = re.compile("ema|averag|swa|shadow|teacher", re.IGNORECASE)  # keys of averaged weights

TORCHVISION, AKAMASTER, CHENYAOFO, KUANGLIU = "torchvision", "akamaster", "chenyaofo", "kuangliu"


@dataclass(frozen=True)
class StateDict:
    """Weights of a model as read from a file.

    Attributes:
        tensors: the complete state dict for the model's load_state_dict; float32, on the CPU.
        shortcut: "A" or "B".
        naming: the project whose names the tensors had.
        wrapping: prefixes of the names, and the key of the state dict in the file if it is nested.
        note: text about other state dicts in the file that could have been meant; empty if there are none.
    """

    tensors: Mapping[str, Tensor]
    shortcut: str
    naming: str
    wrapping: tuple[str, ...]
    note: str = ""

    @property
    def dialect(self) -> str:
        """Naming and wrapping of the tensors in the file, as a text."""
        return ", ".join((self.naming, *self.wrapping))


def read(model: str, raw: bytes, where: str, key: str = "", classes: int = 10) -> StateDict:
    """Read the state dict in a file.

    Args:
        model: key of rows.RESNETS.
        raw: content of the file, which torch.save or safetensors wrote.
        where: location of the file, for messages.
        key: key of the state dict in a checkpoint that holds several, with dots if it is nested deeper. Empty for the
            only one, or the only one that is not a moving average.
        classes: number of classes of its network.

    Raises:
        UserError: the file is damaged, not only tensors, of another architecture, or holds several state dicts and no
            `key` is given.
    """
    with refusing(where, raw):
        path, state, note = _chosen(_loaded(raw, where), key, where)
        state, prefixes = _unwrapped(state, where)
        tensors, naming = _named_as_ours(state, where)
        shortcut = _shortcut(model, tensors)
        fitted = _fitted(model, shortcut, tensors, where, classes)
        return StateDict(fitted, shortcut, naming, (*prefixes, *([path] if path else [])), note)


def _loaded(raw: bytes, where: str) -> object:
    """Load what torch.save or safetensors wrote; raises any of their exceptions."""
    if raw[8:9] == b"{":
        return safetensors.torch.load(raw)
    if raw.startswith(b"PK"):
        _require_sound(raw, where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # long warnings about files that are then refused
        # Explicit, because the environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD changes the default.
        return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)


def _require_sound(raw: bytes, where: str) -> None:
    """Check sizes and CRCs of a zip file of torch.save, since torch.load does not."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        require_size(sum(member.file_size for member in archive.infolist()), f"{where}, unpacked,")
        if (member := archive.testzip()) is not None:
            raise UserError(f"{where}: {one_line(member)} in it has another checksum; it is damaged: fetch it again")


def _chosen(loaded: object, key: str, where: str) -> tuple[str, dict[str, Tensor], str]:
    """Choose the state dict in a loaded file: its key, "" at the top; the tensors by name; and a note on the others."""
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
    """Find the state dicts of networks among nested mappings: keys, joined by dots, and state dicts."""
    seen: set[int] = set()

    def within(mapping: object, above: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Tensor]]]:
        # Each mapping is visited once: one that contains itself many times would take years otherwise.
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
    """Remove the prefixes of wrapped networks from names; returns the tensors, and the prefixes, outermost first."""
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
    """Rename tensors to torchvision's names, which are also timm's; returns them and the project of the old names."""
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


def _fitted(model: str, shortcut: str, state: Mapping[str, Tensor], where: str, classes: int) -> dict[str, Tensor]:
    """Check that the tensors fit the model, and convert them to float32 on the CPU.

    Raises:
        UserError: names the first key that differs.
    """
    with torch.device("meta"):
        expected = network(model, shortcut=shortcut, classes=classes).state_dict()
    remedy = f"give weights of a {model} for {classes} classes"
    fitted = {}
    for key, pattern in expected.items():
        if key.endswith(".num_batches_tracked"):
            fitted[key] = torch.zeros((), dtype=pattern.dtype)  # absent from old files, and not needed for inference
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
    """Describe a tensor: its shape, with its data type unless that is floating point; or its layout if not strided."""
    if value.layout is not torch.strided:
        return str(value.layout)
    shape = "x".join(map(str, value.shape)) or "one number"
    return shape if value.is_floating_point() else f"{shape} of {value.dtype}"
