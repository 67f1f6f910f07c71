"""Gradients of a batch and outputs of a model, over one process or several that share the model's parameters.

On a CPU, the small matrices of a recurrent step keep one thread busy but not two: two single-threaded processes with
half the batch each give up to twice the updates of one process with two threads (benchmarks/training_throughput.py).
The first process has the optimiser, checkpoints and tracking; the others only get parameters and item numbers.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipelines.common import garbage
from pipelines.processes import forked, usage, watchdog
from pipelines.processes.parents import end_after
from pipelines.processes.signals import held, let_go
from pipelines.processes.watchdog import Watchdog
from pipelines.training.loop import Task, derived_seed
from pipelines.training.machine import peak_memory
from pipelines.training.memory import out_of_memory, within_memory

HUNG_S = 120  # a replica only computes: one that has used no processor time for so long hangs
_BUSY_S = 0.01  # seconds of processor time within HUNG_S that it must use
_CLOSE_S = 10  # timeout for the end of a replica whose pipe was closed


class Replicas:
    """An engine of `count` data-parallel replicas, with micro-batches where memory runs out.

    If any replica runs out of memory, the micro-batch is halved and the update repeated with accumulated gradients: the
    effective batch stays the same. The split of a batch over replicas and its dropout follow from `count` and the seed,
    so the gradients have the same bits whatever else the machine does. Each replica normalises its part of a batch by
    itself; the running statistics of batch normalisations are averaged over the replicas after each update.

    Args:
        model: on `device`; its parameters move to shared memory if `count` > 1.
        task: gives the loss of items.
        seed: of dropout, with the update and the replica.
        count: processes; more than one on a CPU only.
        threads: of each process.
        precision: "fp32" or "bf16" (autocast).
        device: "cpu" or a CUDA device.
        on_shrink: called with the new micro-batch when memory ran out; may be replaced.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        seed: int,
        count: int = 1,
        threads: int = 1,
        precision: str = "fp32",
        device: str = "cpu",
        on_shrink: Callable[[int], None] = lambda size: None,
    ):
        self._local = Replica(model, task, seed, 0, precision, device)
        self._count = count
        self.on_shrink = on_shrink
        self._micro_batch: int | None = None
        self._remote: list[Connection] = []
        # Where there are several replicas: the vectors of each, this process's first.
        self._gradients: list[Tensor] = []
        self._statistics: list[Tensor] = []
        self._processes: list[BaseProcess] = []
        torch.set_num_threads(threads)
        if count > 1:
            model.share_memory()
            gradients, statistics = self._local.vectors()
            self._gradients.append(gradients)
            self._statistics.append(statistics)
        context = forked.beside()
        for rank in range(1, count):
            here, there = context.Pipe()
            gradients, statistics = (
                torch.zeros_like(vectors[0]).share_memory_() for vectors in (self._gradients, self._statistics)
            )
            replica = (model, task, seed, rank, precision, device)
            arguments = (there, gradients, statistics, threads, replica)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            with held(signal.SIGINT):
                process.start()
            # No process but the replica may hold this end of the pipe, or the end of either would not be noticed.
            there.close()
            self._processes.append(process)
            self._remote.append(here)
            self._gradients.append(gradients)
            self._statistics.append(statistics)
        for rank in range(len(self._remote)):
            self._answer(rank)

    def gradients(self, items: np.ndarray, update: int) -> float:
        """Leave the gradients of the mean loss of `items` in the model's parameters; return that loss.

        Raises:
            RuntimeError: a replica failed, or memory runs out with a micro-batch of one item.
        """
        shards = np.array_split(items, self._count)

        def work(micro_batch: int) -> list[float]:
            return self._together("gradients_of", [(shard, update, micro_batch) for shard in shards])

        results = within_memory(work, self._micro_batch or len(shards[0]), self._shrink)
        if self._count == 1:
            return results[0]
        shares = [len(shard) / len(items) for shard in shards]
        self._combine(shares)
        return sum(loss * share for loss, share in zip(results, shares, strict=True))

    def outputs(self, items: np.ndarray, batch_size: int, precision: str) -> np.ndarray:
        """The model's outputs for `items` in evaluation mode, `batch_size` at a time, in their order.

        Raises:
            RuntimeError: a replica failed.
        """
        shards = np.array_split(items, self._count)

        def work(size: int) -> list[np.ndarray]:
            return self._together("outputs_of", [(shard, size, precision) for shard in shards])

        return np.concatenate(within_memory(work, batch_size))

    def peak_memory(self) -> float:
        """Peak resident memory of all processes, MB.

        Raises:
            RuntimeError: a replica failed.
        """
        return sum(self._together("peak_memory", [()] * self._count))

    def close(self) -> None:
        """End the other processes."""
        for process in self._processes:
            usage.count_in(process)
        for connection in self._remote:
            connection.close()
        for process in self._processes:
            process.join(_CLOSE_S)
            # It may have been stopped (SIGSTOP).
            process.kill()
            process.join()

    def _shrink(self, micro_batch: int) -> None:
        self._micro_batch = micro_batch
        self.on_shrink(micro_batch)

    def _combine(self, shares: Sequence[float]) -> None:
        """Leave the weighted sums of all replicas' gradients and running statistics in those of this process."""
        for own, *others in (self._gradients, self._statistics):
            own.mul_(shares[0])
            for vector, share in zip(others, shares[1:], strict=True):
                own.add_(vector, alpha=share)

    def _together(self, method: str, arguments: list[tuple]) -> list[Any]:
        """Call a method of every replica, each with arguments of its own; returns the results.

        Raises:
            Exception: of a replica; an out-of-memory error only if no replica raised another one.
        """
        # This process's may be those of a checkpoint.
        for statistics in self._statistics[1:]:
            statistics.copy_(self._statistics[0])
        try:
            for connection, values in zip(self._remote, arguments[1:], strict=True):
                connection.send((method, *values))
            own = self._local.attempt(method, *arguments[0])
            results = [own, *(self._answer(rank) for rank in range(len(self._remote)))]
        except (EOFError, ConnectionError) as error:
            raise RuntimeError("a replica was killed, perhaps for want of memory: resume with fewer jobs") from error
        return succeeded(results)

    def _answer(self, rank: int) -> Any:
        """Receive the next answer of a replica; `rank` counts the other replicas from 0.

        Raises:
            RuntimeError: the replica was stopped, or hangs; it has been ended.
        """
        watch = None
        while not self._remote[rank].poll(watchdog.POLL_S):
            process = self._processes[rank]
            assert process.pid is not None  # it was started
            watch = watch or Watchdog(process.pid, HUNG_S, _BUSY_S)
            if reason := watch.verdict():
                process.kill()
                raise RuntimeError(f"a replica does not answer: {reason}, and was ended")
        return self._remote[rank].recv()


def succeeded(results: list[Any]) -> list[Any]:
    """The results of all replicas, if none is an error.

    Raises:
        Exception: of a replica; an out-of-memory error only if no replica raised another one.
    """
    if errors := [each for each in results if isinstance(each, Exception)]:
        raise min(errors, key=out_of_memory)
    return results


class Replica:
    """The part of one process in the computation of gradients and outputs; the arguments are those of Replicas.

    Attributes:
        gradients: the vector that every gradient is a view of, None if there is none.
    """

    def __init__(self, model: nn.Module, task: Task, seed: int, rank: int, precision: str, device: str):
        self._model, self._task, self._seed, self._rank, self._device = model, task, seed, rank, torch.device(device)
        self._precision = precision
        self.gradients: Tensor | None = None

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Use new vectors of gradients and of running statistics, on the device, see `use`; returns them."""
        sizes = [sum(each.numel() for each in tensors) for tensors in (self._model.parameters(), _running(self._model))]
        gradients, statistics = (torch.zeros(size, device=self._device) for size in sizes)
        self.use(gradients, statistics)
        return gradients, statistics

    def use(self, gradients: Tensor, statistics: Tensor) -> None:
        """Make every gradient, and every running statistic, a view of one vector of them, so that those of replicas are
        added in one operation; the statistics are this replica's own from then on."""
        self.gradients = gradients
        running = list(_running(self._model))
        for tensor, view in zip(running, statistics.split([each.numel() for each in running]), strict=True):
            # In place, since another network may share it.
            tensor.data = view.copy_(tensor)
        # Those of a model in shared memory would be counted up by every replica.
        for module in self._model.modules():
            if isinstance(module, _BatchNorm) and module.num_batches_tracked is not None:
                module.num_batches_tracked.data = module.num_batches_tracked.clone()
        parameters = list(self._model.parameters())
        for parameter, view in zip(parameters, gradients.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = view.view_as(parameter)

    def attempt(self, method: str, *arguments: Any) -> Any:
        """The result of a method, or the exception that it raised."""
        try:
            return getattr(self, method)(*arguments)
        except Exception as error:
            # Without its traceback, whose frames hold the tensors that memory ran out for.
            return error.with_traceback(None)

    def gradients_of(self, items: np.ndarray, update: int, micro_batch: int) -> float:
        """Leave the gradients of the mean loss of `items` in the model's parameters; return that loss."""
        if self.gradients is None:
            self._model.zero_grad()
        else:
            self.gradients.zero_()
        # The last batch of an epoch may have fewer items than there are replicas.
        if not len(items):
            return 0.0
        _set_seed(derived_seed(self._seed, update, self._rank), self._device)
        total = 0.0
        for chunk in self._on_device(items).split(micro_batch):
            share = len(chunk) / len(items)
            with _autocast(self._device, self._precision):
                loss = self._task.loss(self._model, chunk)
            (loss * share).backward()
            total += loss.item() * share
        return total

    def outputs_of(self, items: np.ndarray, batch_size: int, precision: str) -> np.ndarray:
        """The model's outputs for `items` in evaluation mode."""
        return outputs_of(self._model, self._task, self._on_device(items), batch_size, precision)

    def peak_memory(self) -> float:
        """Peak resident memory of this process, MB."""
        return peak_memory()

    def _on_device(self, items: np.ndarray) -> Tensor:
        return torch.from_numpy(items).to(self._device)


def _running(model: nn.Module) -> Iterator[Tensor]:
    """The running means and variances of batch normalisations, vectors."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
            yield module.running_mean
            yield module.running_var


@torch.inference_mode()
def outputs_of(model: nn.Module, task: Task, items: Tensor, batch_size: int, precision: str) -> np.ndarray:
    """Outputs of `model`, float32, first dimension B, for the `items` (B,) of `task`, `batch_size` at a time.

    The model is in evaluation mode for this, and in training mode afterwards.
    """
    model.eval()
    with _autocast(items.device, precision):
        outputs = [task.outputs(model, chunk) for chunk in items.split(batch_size)]
    model.train()
    return torch.cat(outputs).float().cpu().numpy()


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _set_seed(seed: int, device: torch.device) -> None:
    """Seed the random numbers of `device`.

    torch.manual_seed does the same, but if CUDA has not been used it also formats and stores a traceback at each call,
    which takes a fifth of the time of a small network's update.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _serve(connection: Connection, gradients: Tensor, statistics: Tensor, threads: int, replica: tuple) -> None:
    garbage.collect()
    # The owner alone handles an interrupt; it closes the pipe, which ends this process too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    let_go()
    owner = multiprocessing.parent_process()
    assert owner is not None  # it was started by multiprocessing
    end_after(owner.join)
    torch.set_num_threads(threads)
    worker = Replica(*replica)
    worker.use(gradients, statistics)
    # The pipe may be closed while this process waits or, after an interrupt, while it computes.
    with suppress(EOFError, ConnectionError):
        connection.send("ready")
        while True:
            connection.send(worker.attempt(*connection.recv()))
