"""When a deep linear network learns a mode of its teacher, in closed form."""

import numpy as np
from jaxtyping import Float
from scipy.special import hyp2f1

from devexplore.errors import InvalidSpec


def growth_time(
    start: Float[np.ndarray, "*#mode"] | float,
    stop: Float[np.ndarray, "*#mode"] | float,
    value: Float[np.ndarray, "*#mode"] | float,
    layers: int,
) -> Float[np.ndarray, "*mode"]:
    """Time that gradient flow takes from mode strength ``start`` to ``stop``, 0 < start, stop < ``value``.

    L layers share the mode evenly (each c, together p = c^L) and are aligned with the teacher's singular
    vectors; then on the loss ½‖y − W_L…W_1x‖² with white inputs, modes do not disturb each other and

        dc/dt = c^{L−1}(s − c^L),   dp/dt = L·p^{2−2/L}(s − p)

    (Saxe et al. 2014, arXiv 1312.6120), s the teacher's singular value. From a small start c the plateau
    lasts about 1/(s(L−2)·c^{L−2}), with two layers ln(√s/c)/s: strong modes first. Gradient descent at the
    learning rate η takes time/η steps.

    NaN where a strength is outside (0, s): from 0 no time is enough. Negative if ``stop`` < ``start``.
    Raises InvalidSpec for fewer than two layers, whose growth does not start at a saddle.
    """
    if layers < 2:
        raise InvalidSpec(f"saddles need at least 2 layers, got {layers}")
    start, stop, value = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (start, stop, value)))
    inside = (start > 0) & (start < value) & (stop > 0) & (stop < value)
    safe = [np.where(inside, strength, 0.5 * value) for strength in (start, stop)]
    before, after = (_antiderivative(strength, value, layers) for strength in safe)
    return np.where(inside, after - before, np.nan)


def _antiderivative(strength: np.ndarray, value: np.ndarray, layers: int) -> np.ndarray:
    """∫ dc / (c^{L−1}(s − c^L)) at c = p^{1/L}."""
    if layers == 2:
        return 0.5 * np.log(strength / (value - strength)) / value
    power = (2 - layers) / layers  # of p, from c^{2−L}
    series = hyp2f1(1, power, 1 + power, strength / value)
    return strength**power / ((2 - layers) * value) * series
