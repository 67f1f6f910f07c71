"""Stem and normalisation of a network: as registered, as its source has them, or as the user gives them.

A state dict does not contain those of a ResNet-18, 34 or 50. They follow from the source of the weights, or from the
project whose names the tensors have, or the user gives them.
"""

import math
import re
from dataclasses import dataclass
from typing import get_args

from pipelines import names
from pipelines.common.command import hint
from pipelines.errors import UserError, meant
from pipelines.experiments.resnet.rows import OPTION_B, PLAIN, POOL, RESNETS, Stem
from pipelines.experiments.resnet.sources import NORMALISATIONS, SHORTCUT_NORMALISATIONS, Normalisation, Source
from pipelines.experiments.resnet.state_dicts import AKAMASTER, KUANGLIU, StateDict
from pipelines.experiments.resnet.untrusted import one_line

AUTO = "auto"

# kuangliu's project has no pooling, and this normalisation; for forks with others the user can give them.
_PROGRAMS = {KUANGLIU: (PLAIN, NORMALISATIONS["cifar10"])}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LARGEST = 1000  # limit of a mean or std


@dataclass(frozen=True)
class Recipe:
    """Stem and normalisation of a registered network; `sha256` of its file is empty if none was recorded."""

    stem: str
    normalisation: Normalisation
    sha256: str


@dataclass(frozen=True)
class Given:
    """Stem, or "auto", and normalisation, or None for "auto", that the user gives."""

    stem: str
    normalisation: Normalisation | None


def validated(recipe: object, where: str) -> Recipe:
    """Validate a recipe that `pretrain` wrote; those of early versions have no digest.

    Args:
        recipe: what was read from the registry.
        where: name of the registered model, for messages.

    Raises:
        UserError: it is no recipe, or a value in it is invalid.
    """
    remedy = f"train it again with {hint('python -m pipelines pretrain')}, or give weights=FILE"
    if not isinstance(recipe, dict):
        raise UserError(f"{where}: its {names.WEIGHTS_RECIPE} is not there, or no recipe; {remedy}")

    def refused(key: str) -> UserError:
        found = one_line(repr(recipe.get(key)))
        return UserError(f"{where}: {key} in its {names.WEIGHTS_RECIPE} cannot be {found}; {remedy}")

    stem, sha256 = recipe.get(names.STEM), recipe.get(names.SHA256, "")
    if not isinstance(stem, str) or stem not in get_args(Stem):
        raise refused(names.STEM)
    mean = _colour(recipe.get(names.MEAN), lowest=-_LARGEST)
    if mean is None:
        raise refused(names.MEAN)
    deviation = _colour(recipe.get(names.DEVIATION), lowest=0)
    if deviation is None:
        raise refused(names.DEVIATION)
    if sha256 != "" and not (isinstance(sha256, str) and _DIGEST.fullmatch(sha256)):
        raise refused(names.SHA256)
    return Recipe(stem, Normalisation(mean, deviation), sha256)


def _colour(numbers: object, lowest: float) -> tuple[float, float, float] | None:
    """Red, green and blue, each above `lowest` and below _LARGEST; None where `numbers` is not a list of such three."""
    if not isinstance(numbers, list) or len(numbers) != 3:
        return None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        return None
    red, green, blue = numbers
    return (red, green, blue) if all(lowest < number < _LARGEST for number in numbers) else None


def read_options(stem: str, normalisation: str) -> Given:
    """Read the options `stem` and `normalisation`.

    Args:
        stem: of rows.Stem, or "auto".
        normalisation: key of sources.NORMALISATIONS, six numbers (means, then stds), or "auto".

    Raises:
        UserError: one of them is none of these.
    """
    if stem != AUTO and stem not in get_args(Stem):
        raise UserError(f"stem={stem}: give {AUTO}, {POOL} or {PLAIN}")
    return Given(stem, _normalisation(normalisation))


def _normalisation(given: str) -> Normalisation | None:
    """Read the option `normalisation`; None for "auto"."""
    if given == AUTO:
        return None
    if given in NORMALISATIONS:
        return NORMALISATIONS[given]
    try:
        numbers = tuple(float(text) for text in re.split(r"[,;/\s]+", given.strip()))
    except ValueError:
        numbers = ()
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)) or min(numbers[3:]) <= 0:
        raise UserError(
            f"normalisation={given}: {meant(given, [AUTO, *NORMALISATIONS])}, and three means with three positive "
            "deviations"
        )
    return Normalisation(numbers[:3], numbers[3:])


def determined(
    model: str, given: Given, read: StateDict, recipe: Recipe | None, source: Source | None, where: str
) -> tuple[str, Normalisation]:
    """Determine stem and normalisation: those the user gives, else those known from the source of the weights.

    Args:
        model: key of rows.RESNETS.
        given: those the user gives.
        read: the state dict, for the project whose names its tensors have, and its shortcut.
        recipe: that of the registered model, if the weights are of one.
        source: source of the weights, if known.
        where: location of the weights, for messages.

    Raises:
        UserError: they are neither given nor known.
    """
    stems = RESNETS[model].stems
    stem, normalisation = _known_stem_and_normalisation(model, read, recipe, source)
    if len(stems) == 1:
        stem = stems[0]
    elif given.stem != AUTO:
        stem = given.stem
    normalisation = given.normalisation or normalisation
    if stem is None or normalisation is None:
        raise UserError(
            f"{where}: the weights of a {model} do not tell how it was trained; give stem={'|'.join(stems)} "
            f"and normalisation={'|'.join(NORMALISATIONS)}, or six numbers"
        )
    return stem, normalisation


def _known_stem_and_normalisation(
    model: str, read: StateDict, recipe: Recipe | None, source: Source | None
) -> tuple[str | None, Normalisation | None]:
    """Stem and normalisation as known from the recipe, the source or the naming; None if unknown."""
    if recipe:
        return recipe.stem, recipe.normalisation
    if source:
        return source.stem, NORMALISATIONS[source.normalisation]
    if read.naming in _PROGRAMS:
        return _PROGRAMS[read.naming]
    # Akamaster's own weights have no convolutions in their shortcuts; those of others may be normalised otherwise.
    if len(RESNETS[model].stems) > 1 or (read.naming, read.shortcut) == (AKAMASTER, OPTION_B):
        return None, None
    return None, NORMALISATIONS[SHORTCUT_NORMALISATIONS[read.shortcut]]
