"""Random numbers by counter: what step k of a run draws follows from (seed, stream, k, rank) alone.

So a resumed run needs no state of a generator, and draws what an undisturbed one would.
"""

from dataclasses import dataclass

import numpy as np
import torch

TRAINING, LOOKING, TOKENIZING = range(3)


@dataclass(frozen=True)
class Draws:
    seed: int
    stream: int
    step: int
    rank: int = 0

    def numpy(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.stream, self.step, self.rank])

    def torch(self) -> torch.Generator:
        """On the CPU, so that every device draws alike."""
        seed = int(self.numpy().integers(2**63))
        return torch.Generator().manual_seed(seed)
