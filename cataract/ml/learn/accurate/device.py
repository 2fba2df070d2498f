"""Where a training computes: on the processor, or on a CUDA device with 16-bit floats (bfloat16) where it has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class NoDevice(ValueError):
    """The chosen device is not there. The message says what to do."""


@dataclass(frozen=True)
class Device:
    """name: of torch. mixed: bfloat16 for matrix products and convolutions, 32 bits for weights and losses."""

    name: str = "cpu"
    mixed: bool = False

    @classmethod
    def of(cls, choice: str) -> "Device":
        """The device for "auto" (CUDA where there is one), "cpu" or "cuda". Raises NoDevice."""
        if choice == "cpu":
            return cls()
        if torch.cuda.is_available():
            return cls("cuda", mixed=torch.cuda.is_bf16_supported())
        if choice == "auto":
            return cls()
        raise NoDevice(
            f"TRAINING_DEVICE is {choice}, but torch {torch.__version__} finds no CUDA device on this machine. Set it "
            "to auto or cpu, or install a driver and a torch for CUDA."
        )

    @property
    def is_plain(self) -> bool:
        """Whether it is a processor with 32-bit floats: ONNX Runtime is faster there than torch."""
        return self.name == "cpu" and not self.mixed

    def __str__(self) -> str:
        return f"{self.name}, {'bfloat16' if self.mixed else '32-bit floats'}"

    def put(self, values: NDArray[Any]) -> Tensor:
        """The array on the device, in 32-bit floats."""
        return torch.from_numpy(values.astype(np.float32)).to(self.name)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute in bfloat16 inside the block where the device does so."""
        with torch.autocast(self.name, dtype=torch.bfloat16, enabled=self.mixed):
            yield
