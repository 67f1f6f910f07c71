"""Training session: a model and everything that trains it, from its start or a checkpoint to its end; no tracking."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Self, TypeVar

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from pipelines.training.average import WeightAverage
from pipelines.training.loop import Callback, Engine, Progress, Task, fit

ENDS = "ends"  # key of a group of parameters, see `triangle`

ModelType = TypeVar("ModelType", bound=nn.Module)
TaskType = TypeVar("TaskType", bound=Task)


@dataclass(kw_only=True, eq=False)
class Training(Generic[ModelType, TaskType]):
    """A model and everything that trains it; a context manager that closes the engine.

    Attributes:
        model: its weights are saved and restored; the engine trains it, or a network that shares its parameters.
        task: gives the items and their loss.
        engine: computes the gradients, and leaves them in the model's parameters.
        optimizer: of the model's parameters.
        schedule: of the learning rate, one step an update; None keeps it constant.
        batch_size: items an update.
        seed: of the order of the items.
        progress: number of epochs and updates done, and of all.
        average: of the model's weights, which they become at the end; None keeps the last ones.
        callbacks: belong to the training itself, and are called after those given to `fit`.
        evaluation_seconds: time spent on evaluations so far, see `evaluating`.
    """

    model: ModelType
    task: TaskType
    engine: Engine
    optimizer: Optimizer
    schedule: LRScheduler | None = None
    batch_size: int
    seed: int
    progress: Progress
    average: WeightAverage | None = None
    callbacks: Sequence[Callback] = ()
    evaluation_seconds: float = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.engine.close()

    @property
    def parameter_count(self) -> int:
        """Number of the model's parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def fit(self, callbacks: Sequence[Callback] = ()) -> None:
        """Train from the epoch of `progress` to the end.

        Raises:
            DivergedError: NaN or infinite loss or weights.
        """
        fit(
            self.task,
            self.engine,
            self.optimizer,
            self.schedule,
            self.batch_size,
            self.seed,
            self.progress,
            # The average first, so that the others can evaluate the update it has taken in.
            [*([self.average] if self.average else []), *callbacks, *self.callbacks],
        )
        if self.average:
            self.average.take()

    def averaged(self) -> AbstractContextManager[None]:
        """Context in which the model has its average weights, if they are averaged."""
        return self.average.used() if self.average else nullcontext()

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Add the time that the block takes to `evaluation_seconds`."""
        began = time.perf_counter()
        yield
        self.evaluation_seconds += time.perf_counter() - began

    def checkpoint(self) -> dict[str, Any]:
        """Returns the state that `restore` needs, as tensors and plain values."""
        schedule = {} if self.schedule is None else {"schedule": self.schedule.state_dict()}
        average = {} if self.average is None else {"average": self.average.state()}
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **schedule,
            **average,
            "progress": vars(self.progress),
            "evaluation_seconds": self.evaluation_seconds,
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Restore a state of `checkpoint`, also of earlier versions, some of which have no evaluation time."""
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(saved["schedule"])
        if self.average is not None:
            self.average.restore(saved["average"])
        vars(self.progress).update(saved["progress"])
        self.evaluation_seconds = saved.get("evaluation_seconds", 0.0)


def one_cycle(optimizer: Optimizer, updates: int, warm_up: float = 0.3) -> LRScheduler:
    """OneCycle (Smith and Topin 2018) over `updates` updates: to the rate of each group in the first `warm_up` (0-1) of
    them, then to 0.

    The momentum is constant.
    """
    if warm_up * updates == 1:
        warm_up *= 1.5  # OneCycleLR divides by zero where the peak is its first update
    rates = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, rates, total_steps=updates, pct_start=warm_up, cycle_momentum=False)


def triangle(optimizer: Optimizer, updates: int, warm_up: float = 0.0) -> LRScheduler:
    """Linear schedule over `updates` updates: to the rate of each group in the first `warm_up` (0-1), then to 0.

    A group with the key ENDS (0-1) has a rate of 0 from that share of the updates on.
    """
    ends = [group.get(ENDS, 1.0) for group in optimizer.param_groups]
    return LambdaLR(optimizer, [partial(_height, peak=warm_up * updates, end=end * updates) for end in ends])


def _height(update: int, peak: float, end: float) -> float:
    """Height, from 0 to 1, of a triangle at an update."""
    return (update + 1) / (peak + 1) if update < peak else max(0.0, (end - update) / (end - peak))
