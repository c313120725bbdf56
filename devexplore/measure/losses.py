"""Loss of every prediction on the probe, and the mean loss on held-out data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from devexplore import schema
from devexplore.measure.base import Arrays, Layout, OneByOne
from devexplore.measure.subject import Subject
from devexplore.store import Variable
from devexplore.systems.base import in_parts


@dataclass(frozen=True)
class TokenLosses(OneByOne):
    """Per-token losses on the probe and ``test_loss`` on the system's held-out samples."""

    title: ClassVar[str] = "per-token losses"

    def spec(self, subject: Subject) -> Mapping[str, object]:
        return {"held_out_samples": subject.system.held_out_size}

    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        with torch.no_grad():
            shape = tuple(subject.system.position_loss(subject.model, subject.probe_batch).shape)
        units = subject.system.loss_units
        return {
            schema.LOSSES: Layout(
                {
                    "token_loss": Variable(
                        ("sequence", "position"),
                        shape,
                        np.dtype(np.float32),
                        {"units": units, "long_name": "loss of each prediction on the probe"},
                    ),
                    "test_loss": Variable(
                        (),
                        (),
                        np.dtype(np.float32),
                        {"units": units, "long_name": "mean loss on held-out data"},
                    ),
                },
                attrs={"trivial_loss": subject.system.trivial_loss},
            )
        }

    def measure_one(self, subject: Subject, step: int) -> Mapping[str, Arrays]:
        system = subject.system
        model = subject.load(step)
        with torch.no_grad():
            token_loss = system.position_loss(model, subject.probe_batch)
            parts = in_parts(subject.held_out, system.eval_batch)
            held_out = torch.cat([system.per_sample_loss(model, part) for part in parts])
        return {
            schema.LOSSES: {
                "token_loss": token_loss.float().cpu().numpy(),
                "test_loss": np.asarray(held_out.cpu().double().mean().item(), dtype=np.float32),
            }
        }
