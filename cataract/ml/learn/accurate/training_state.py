"""The state of a fine-tuning between two epochs: network, optimiser, random generators, history; saved and restored."""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cataract.ml.learn.checkpoint import Checkpoint
from cataract.ml.learn.towers.towers import TailWithHead

_RATE_HEAD, _RATE_TAIL = 2e-4, 2e-5  # higher ones only overfit on a few hundred photos (docs/experiments.md)


@dataclass
class TrainingState:
    """The state of one fit after an epoch: everything that the next epoch depends on.

    waited: epochs since the best validation loss.
    """

    network: TailWithHead
    optimizer: torch.optim.Optimizer
    rng: np.random.Generator
    best: dict[str, Tensor]
    best_loss: float
    history: list[dict[str, float]]
    waited: int = 0

    @classmethod
    def begin(cls, start: TailWithHead, seed: int, loss: float) -> "TrainingState":
        """The state before the first epoch; `loss` is the validation loss of `start`."""
        torch.manual_seed(seed)
        network = copy.deepcopy(start)
        parts = ((network.head, _RATE_HEAD), (network.tail, _RATE_TAIL))
        groups = [{"params": list(part.parameters()), "lr": rate, "base": rate} for part, rate in parts]
        return cls(
            network,
            torch.optim.AdamW(groups, weight_decay=0.05),
            np.random.default_rng(seed),
            copy.deepcopy(network.state_dict()),
            loss,
            [{"epoch": 0.0, "validation_loss": loss}],
        )

    def set_rates(self, epoch: int, epochs: int) -> None:
        """Three epochs of warm-up, then a cosine."""
        share = min(1.0, epoch / 3) * (0.02 + 0.49 * (1 + math.cos(math.pi * epoch / (epochs + 1))))
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * share

    def record(self, epoch: int, train_loss: float, loss: float) -> None:
        """Add a finished epoch to the history, and keep its weights when its validation loss is the best."""
        self.history.append({"epoch": float(epoch), "train_loss": train_loss, "validation_loss": loss})
        self.waited += 1
        if loss < self.best_loss - 1e-4:
            self.best_loss, self.best, self.waited = loss, copy.deepcopy(self.network.state_dict()), 0

    def save(self, checkpoint: Checkpoint, name: str) -> None:
        tensors = {f"now.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        facts = {
            "best_loss": self.best_loss,
            "waited": self.waited,
            "history": self.history,
            "numpy": self.rng.bit_generator.state,
        }
        tensors["torch"] = torch.get_rng_state()
        checkpoint.save_state(name, {name: value.cpu().numpy() for name, value in tensors.items()}, facts)

    def restore(self, checkpoint: Checkpoint, name: str) -> None:
        """Restore the last epoch saved under `name`; change nothing when there is none."""
        saved = checkpoint.load_state(name)
        if saved is None:
            return
        arrays, facts = saved
        tensors = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
        self.network.load_state_dict(_below("now.", tensors))
        self.best = _below("best.", tensors)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer.", tensors).items():
            index, moment = name.split(".", 1)
            moments.setdefault(int(index), {})[moment] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.best_loss, self.waited, self.history = facts["best_loss"], facts["waited"], facts["history"]
        self.rng.bit_generator.state = facts["numpy"]
        torch.set_rng_state(tensors["torch"])


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
