"""What tests of networks measure: their weights, and the most bytes of activations that are alive at a time."""

import weakref

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


class LiveBytes(TorchDispatchMode):
    """Bytes of the memory that operations made or were given, less what was freed; weights do not count."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen = {tensor.untyped_storage()._cdata for tensor in network.state_dict().values()}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for tensor in tree_flatten((args, output))[0]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.seen:
                self._count(tensor.untyped_storage())
        return output

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self.seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)

        def freed() -> None:
            self.now -= size
            self.seen.discard(key)

        weakref.finalize(storage, freed)
