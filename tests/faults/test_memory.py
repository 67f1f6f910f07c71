"""Out of memory: every way in which it is said is known, and work goes on in smaller parts."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pipelines.data.images.batches import Images, logits
from pipelines.training.memory import out_of_memory, within_memory

pytestmark = pytest.mark.fault(28)

WORDINGS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 8 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 1.00 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4096 bytes."),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes. Error code 12"),
    RuntimeError("could not create a primitive"),
    RuntimeError("could not create a memory object"),
    RuntimeError("unable to mmap 94000 bytes from file <weights>: Cannot allocate memory (12)"),
    RuntimeError("std::bad_alloc"),
    OSError(12, "Cannot allocate memory"),
    RuntimeError("Unable to allocate 1.00 EiB for an array with shape (1,)"),
    MemoryError(),
]
OTHERS = [
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_BAD_PARAM"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
    ValueError("memory"),
    KeyError("alloc"),
]


@pytest.mark.parametrize("error", WORDINGS, ids=lambda error: str(error)[:50])
def test_wordings_of_out_of_memory(error):
    assert out_of_memory(error)


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_what_is_not_out_of_memory(error):
    assert not out_of_memory(error)
    calls = []

    def work(size):
        calls.append(size)
        raise error

    with pytest.raises(type(error)) as raised:
        within_memory(work, 8)
    assert raised.value is error
    assert calls == [8]


@pytest.mark.parametrize("allocate", [lambda: torch.empty(1 << 60), lambda: np.empty(1 << 59)], ids=["torch", "numpy"])
def test_the_librarys_own_wording_on_this_cpu(allocate):
    with pytest.raises((RuntimeError, MemoryError)) as error:
        allocate()
    assert out_of_memory(error.value)


@pytest.mark.parametrize("error", WORDINGS, ids=lambda error: str(error)[:50])
def test_work_goes_on_in_halves(error):
    shrunk = []

    def work(size):
        if size > 3:
            raise error
        return size

    assert within_memory(work, 13, shrunk.append) == 3
    assert shrunk == [6, 3]


def test_one_item_at_a_time_that_is_too_much_says_what_to_do():
    def work(size):
        raise RuntimeError("could not create a primitive\nat line 7")

    with pytest.raises(RuntimeError, match=r"^memory ran out .*one item.*not create a primitive at line 7.*fewer"):
        within_memory(work, 4)


def test_images_are_evaluated_in_smaller_parts():
    class Limited(torch.nn.Module):
        def forward(self, pixels):
            sizes.append(len(pixels))
            if len(pixels) > 2:
                raise RuntimeError("could not create a primitive")
            return pixels.flatten(1)[:, :2]

    sizes = []
    images = Images(torch.rand(5, 3, 4, 4), torch.zeros(5, dtype=torch.int64))
    assert torch.equal(logits(Limited(), images, 5), images.pixels.flatten(1)[:, :2])
    assert sizes == [5, 2, 2, 1]


SHORT = """
import resource, sys
import numpy as np, psutil, torch
from torch import nn
from pipelines.training.replicas import Replicas

class Task:
    def loss(self, model, items):
        return model(torch.ones(len(items), 1 << 20)).square().mean()

model, shrunk = nn.Linear(1 << 20, 1), []
engine = Replicas(model, Task(), 0, on_shrink=shrunk.append)
engine.gradients(np.arange(4), 0)
limit = psutil.Process().memory_info().vms + (256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
loss = engine.gradients(np.arange(128), 1)
print(shrunk, loss > 0)
"""


@pytest.mark.medium
def test_a_real_limit_of_memory():
    """128 items are 512 MB in one tensor, where 256 MB are left."""
    ended = subprocess.run([sys.executable, "-c", SHORT], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    shrunk, _, positive = ended.stdout.rpartition(" ")
    assert positive.strip() == "True"
    assert shrunk in ("[64, 32]", "[64, 32, 16]"), shrunk
