"""Random walks that look like a run: the null of every claim about the shape of its trajectory.

A random walk's principal components are smooth curves with turns of their own. Its surrogates share with the
run how far it moved between checkpoints, in how many directions it moved, and how much its checkpoints
scatter about their path; nothing else.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from devexplore.stats.gram import GramPCA, gram_pca

_NEIGHBOURS = 9
_MOST_DIRECTIONS = 400
"""Beyond this a walk's principal components are those of infinitely many directions."""

_UNCORRELATED = 0.2
_STANDSTILL = 1e-3


class WalkModel(NamedTuple):
    """A random walk with independent steps in ``directions`` dimensions, seen with independent noise.

    ``step_variance[t]`` is the expected squared length of the step that leads to checkpoint t (the first is
    never used), ``noise_variance[t]`` that of the noise at t, in ``noise_directions`` dimensions; both in
    squared units of the outputs.
    """

    step_variance: Float[np.ndarray, " step"]
    noise_variance: Float[np.ndarray, " step"]
    directions: float
    noise_directions: float


def fit_walk(
    gram: Float[np.ndarray, "step step"],
    velocity: Float[np.ndarray, "step step"],
    hat: Float[np.ndarray, "step step"],
) -> WalkModel:
    """The random walk that, smoothed as the run was, moves and scatters as the run does.

    ``velocity`` and ``hat`` are a linear smoother's weights for velocity and position at the checkpoints.
    Squared speeds and squared residuals are linear in the variances of steps and noise; the two are solved
    for at every checkpoint, with its neighbours. Directions come from the participation ratio of velocities:
    the mean squared cosine between far-apart velocities of a walk in D dimensions is 1/D.
    """
    count = len(gram)
    leave = np.eye(count) - hat
    moved, left = velocity @ gram @ velocity.T, leave @ gram @ leave.T
    from_steps, residual_from_steps = _tails(velocity), _tails(leave)
    speed, residual = (_box(np.maximum(np.diag(m), 0)) for m in (moved, left))
    speed_gain, residual_gain = (_box(np.sum(m**2, axis=1)) for m in (from_steps, residual_from_steps))
    speed_noise, residual_noise = (_box(np.sum(m**2, axis=1)) for m in (velocity, leave))
    determinant = residual_noise * speed_gain - speed_noise * residual_gain
    noise = np.divide(
        residual * speed_gain - speed * residual_gain, determinant, np.zeros(count), where=determinant > 0
    )
    most = np.divide(residual, residual_noise, np.zeros(count), where=residual_noise > 0)
    noise = np.clip(noise, 0, most)

    moved = moved - (velocity * noise) @ velocity.T
    squared = np.maximum(np.diag(moved), 0)
    gain = _box(np.sum(from_steps**2, axis=1))
    steps = np.divide(_box(squared, 5), gain, np.zeros(count), where=gain > 0)
    expected = np.sum(from_steps**2 @ steps)
    steps *= squared.sum() / expected if expected > 0 else 0.0
    return WalkModel(
        steps,
        noise,
        _directions(moved, (from_steps * steps) @ from_steps.T),
        _directions(left, leave @ leave.T),
    )


def draw_walk(model: WalkModel, n_components: int, rng: np.random.Generator) -> GramPCA:
    """Principal components of one surrogate."""
    count = len(model.step_variance)
    directions = _whole(model.directions)
    noise_directions = _whole(model.noise_directions)
    points = np.zeros((count, max(directions, noise_directions)))
    steps = np.sqrt(model.step_variance / directions)
    points[:, :directions] = np.cumsum(steps[:, None] * rng.standard_normal((count, directions)), axis=0)
    scatter = np.sqrt(model.noise_variance / noise_directions)
    points[:, :noise_directions] += scatter[:, None] * rng.standard_normal((count, noise_directions))
    points -= points.mean(axis=0)
    return gram_pca(points @ points.T, n_components)


def _directions(products: Float[np.ndarray, "step step"], expected: Float[np.ndarray, "step step"]) -> float:
    """Effective number of directions of vectors with these inner products, from pairs that would be nearly
    uncorrelated if there were infinitely many."""
    length, usual = np.diag(products), np.maximum(np.diag(expected), 0)
    moving = (length > _STANDSTILL * np.median(length)) & (usual > 0)
    if not moving.any():
        return 1.0
    cosine, correlation = _normalised(products, moving), _normalised(expected, moving)
    far = np.abs(correlation) < _UNCORRELATED
    if not far.any():
        return 1.0
    share = np.mean(np.minimum(cosine[far] ** 2, 1)) - np.mean(correlation[far] ** 2)
    return float(1 / np.clip(share, 1 / _MOST_DIRECTIONS, 1))


def _normalised(products: Float[np.ndarray, "step step"], rows: np.ndarray) -> Float[np.ndarray, "row row"]:
    inner = products[np.ix_(rows, rows)]
    length = np.sqrt(np.diag(inner))
    return inner / np.outer(length, length)


def _tails(weights: Float[np.ndarray, "row step"]) -> Float[np.ndarray, "row step"]:
    """What each step of a walk contributes to a weighted sum of its points; the first point is the origin."""
    tails = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1].copy()
    tails[:, 0] = 0.0
    return tails


def _box(values: Float[np.ndarray, " step"], width: int = _NEIGHBOURS) -> Float[np.ndarray, " step"]:
    """Mean over neighbours, mirrored at the ends."""
    width = min(width, 2 * len(values) - 1)
    padded = np.pad(values, width // 2, mode="reflect")
    return np.convolve(padded, np.ones(width) / width, mode="valid")


def _whole(directions: float) -> int:
    return int(np.clip(round(directions), 1, _MOST_DIRECTIONS))
