"""The networks and data that both sides measure."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

import devexplore as dx
from devexplore.measure.subject import Subject
from devexplore.sampling import PerSampleLoss
from devexplore.systems import System


class Problem(NamedTuple):
    model: nn.Module
    per_sample_loss: PerSampleLoss
    data: tuple[Tensor, ...]

    @property
    def n_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())


def half_squared_error(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return 0.5 * ((model(batch[0]) - batch[1]) ** 2).sum(dim=-1)


def deep_linear_trajectory(checkpoints: int) -> tuple[Problem, list[dict[str, Tensor]]]:
    """A 10-10-10-10 linear network (300 parameters) along gradient descent to a rank-4 teacher.

    10,000 samples with unit noise on the labels, 50 full-batch steps from one checkpoint to the next; the
    problem's model has the weights of the last.
    """
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(10, 4, generator=generator)).Q for _ in range(2))
    x = torch.randn(10_000, 10, generator=generator)
    y = x @ right * torch.tensor([3.0, 2.5, 2.0, 1.5]) @ left.T + torch.randn(10_000, 10, generator=generator)
    model = nn.Sequential(*(nn.Linear(10, 10, bias=False) for _ in range(3)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.1 * torch.randn(10, 10, generator=generator))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    weights = []
    for _ in range(checkpoints):
        for _ in range(50):
            optimizer.zero_grad()
            half_squared_error(model, (x, y)).mean().backward()
            optimizer.step()
        weights.append({name: tensor.detach().clone() for name, tensor in model.state_dict().items()})
    return Problem(model, half_squared_error, (x, y)), weights


def reduced_rank() -> Problem:
    """An 8-4-8 linear network at the exact rank-2 optimum: λ = 19.5. 10,000 samples, unit noise on labels."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    inputs, noise = normal(10_000, 8), normal(10_000, 8)
    left, right = torch.linalg.qr(normal(8, 2)).Q, torch.linalg.qr(normal(8, 2)).Q
    targets = inputs @ (left * torch.tensor([1.5, 1.0])) @ right.T + noise
    least_squares = torch.linalg.lstsq(inputs, targets).solution
    principal = torch.linalg.svd(inputs @ least_squares, full_matrices=False).Vh[:2]
    u, s, vh = torch.linalg.svd(least_squares @ principal.T @ principal)
    model = nn.Sequential(nn.Linear(8, 4, bias=False), nn.Linear(4, 8, bias=False))
    root = s[:2].sqrt()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model[0].weight[:2] = (u[:, :2] * root).T.float()
        model[1].weight[:, :2] = (vh[:2].T * root).float()
    return Problem(model, half_squared_error, (inputs.float(), targets.float()))


def bundled(name: str) -> Problem:
    """The last checkpoint of a bundled run with its pool of training data."""
    return bundled_subject(name)[0]


def bundled_subject(name: str) -> tuple[Problem, System]:
    subject = Subject(dx.open(name), torch.device("cpu"))
    step = subject.run.checkpoints.steps[-1]
    return Problem(subject.load(step), subject.system.per_sample_loss, subject.pool), subject.system
