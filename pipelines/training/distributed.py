"""Data-parallel training over the ranks that torchrun started, on one machine or several, by torch.distributed.

The process of rank 0 runs the launch as if it were alone: it has the optimiser, the evaluation, checkpoints and
tracking. The others follow: they get the network, its data and, with each batch, the weights, and give back gradients.
A batch is split as over so many replicas of one process (replicas.py), with the same random numbers, so that the
gradients are those of `Replicas`, and a run can be continued with another number of ranks.
"""

import io
import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from pipelines.processes import usage
from pipelines.processes.ranks import rank, ranks
from pipelines.training.loop import Task
from pipelines.training.replicas import Replica, Replicas, succeeded

# While rank 0 evaluates or saves, the others wait for it. The end of a process is noticed at once all the same, since
# it closes its connections.
_LONGEST = timedelta(days=1)
_POLL_S = 0.2
_ROWS, _OVER = "rows", "over"  # keys of the store: number of trainings begun, and that no other comes
_END, _COMBINE = "end", "combine"


def engine(
    model: nn.Module, task: Task, seed: int, replicas: int, threads: int, precision: str, device: str
) -> Replicas:
    """The engine of a training: over the ranks if there are several, else over `replicas`; arguments as of Replicas."""
    if ranks() > 1:
        return Distributed(model, task, seed, threads, precision, device)
    return Replicas(model, task, seed, replicas, threads, precision, device)


class Distributed(Replicas):
    """An engine over the ranks, of which this process is rank 0; arguments as of Replicas.

    On GPUs each rank has that of its number on its machine, where torchrun puts one rank for each.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        seed: int,
        threads: int = 1,
        precision: str = "fp32",
        device: str = "cpu",
        on_shrink: Callable[[int], None] = lambda size: None,
    ):
        super().__init__(model, task, seed, 1, threads, precision, device, on_shrink)
        store = _store()
        self._group = _Group(store, store.add(_ROWS, 1))
        self._model, self._count = model, ranks()
        self._vectors = self._local.vectors()
        content = io.BytesIO()
        torch.save((model, task, seed, threads, precision), content)
        self._group.send((content.getvalue(), torch.device(device).type))

    def close(self) -> None:
        """Release the other ranks, which wait for the next training; the processor time of this one is counted in."""
        with suppress(RuntimeError):  # one of them has ended, and the others have noticed
            self._group.send((_END, ()))
            usage.count(sum(self._group.gathered(0.0)))
        self._group.leave()

    def _combine(self, shares: Sequence[float]) -> None:
        with _together():
            self._group.send((_COMBINE, shares))
            self._group.combine(self._vectors, shares[0])

    def _together(self, method: str, arguments: list[tuple]) -> list[Any]:
        with _together():
            self._group.send((method, arguments))
            self._group.share(parameters_to_vector(self._model.parameters()).detach())
            self._group.share(self._vectors[1])
            results = self._group.gathered(self._local.attempt(method, *arguments[0]))
        return succeeded(results)


@contextmanager
def _together() -> Iterator[None]:
    """Context of what fails only where another rank has ended: what a rank computes is attempted, not raised."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError("another rank has ended; the weights of the last epoch are kept") from error


def follow() -> None:
    """Take part in the trainings of rank 0, one after the other, until it says that they are over."""
    store, begun = _store(), 0
    while True:
        if store.check([_ROWS]) and store.add(_ROWS, 0) > begun:
            begun = store.add(_ROWS, 0)
            _take_part(store, begun)
        elif store.check([_OVER]):
            return
        time.sleep(_POLL_S)


@contextmanager
def leading() -> Iterator[None]:
    """Context of a launch; at its end the other ranks, if there are any, are told that no training follows."""
    try:
        yield
    finally:
        if ranks() > 1:
            _store().set(_OVER, "")


def _take_part(store: dist.Store, number: int) -> None:
    group, began_s = _Group(store, number), usage.processor_time()
    # Rank 0 has ended, or another one, which it records; it may begin the next row.
    with suppress(RuntimeError), group:
        raw, kind = group.received()
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if kind == "cuda" else "cpu"
        # From rank 0 of the same torchrun, which runs the same program.
        model, task, seed, threads, precision = torch.load(io.BytesIO(raw), device, weights_only=False)
        torch.set_num_threads(threads)
        replica = Replica(model, task, seed, rank(), precision, device)
        vectors = replica.vectors()
        weights = torch.empty_like(parameters_to_vector(model.parameters()).detach())
        while (message := group.received())[0] != _END:
            method, arguments = message
            if method == _COMBINE:
                group.combine(vectors, arguments[rank()])
                continue
            group.share(weights)
            group.share(vectors[1])
            vector_to_parameters(weights.clone(), model.parameters())
            group.gathered(replica.attempt(method, *arguments[rank()]))
        group.gathered(usage.processor_time() - began_s)


class _Group:
    """The ranks of one training, which has a number, from 1. Tensors go through the CPU."""

    def __init__(self, store: dist.Store, number: int):
        own = dist.PrefixStore(f"row {number}", store)
        dist.init_process_group("gloo", store=own, rank=rank(), world_size=ranks(), timeout=_LONGEST)

    def __enter__(self) -> "_Group":
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    def send(self, message: tuple[Any, Any]) -> None:
        """Send a message to all other ranks."""
        dist.broadcast_object_list([message], src=0)

    def received(self) -> tuple[Any, Any]:
        """The message that rank 0 sends."""
        messages: list[Any] = [None]
        dist.broadcast_object_list(messages, src=0)
        return messages[0]

    def share(self, values: Tensor) -> None:
        """Replace `values` of the other ranks by those of rank 0."""
        there = values.cpu()
        dist.broadcast(there, src=0)
        if rank():
            values.copy_(there)

    def combine(self, vectors: Sequence[Tensor], share: float) -> None:
        """Leave the sum of the vectors of all ranks, each times its `share`, in those of rank 0."""
        for vector in vectors:
            there = vector.mul_(share).cpu()
            dist.reduce(there, dst=0)
            vector.copy_(there)

    def gathered(self, result: object) -> list[Any]:
        """The results of all ranks, in their order; on the others nothing."""
        results: list[Any] = [None] * ranks() if rank() == 0 else []
        dist.gather_object(_sendable(result), results if rank() == 0 else None, dst=0)
        return results

    def leave(self) -> None:
        """Leave the group."""
        dist.destroy_process_group()


def _sendable(result: object) -> object:
    """A result, or instead of an exception that cannot be pickled one that says the same."""
    try:
        pickle.dumps(result)
    except Exception:
        return RuntimeError(str(result))
    return result


def _store() -> dist.Store:
    """The store that torchrun holds for its ranks."""
    return dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
