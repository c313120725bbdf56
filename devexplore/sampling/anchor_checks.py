"""Is what the chains measured the LLC of w*? It must be a minimum at this scale, and theirs its surroundings.

Each check gives what it finds along a sweep; where what it needs is not known, nothing.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from jaxtyping import Float

from devexplore.sampling.sweep import Finding, Sweep
from devexplore.sampling.thresholds import Thresholds

_FEWEST_NEIGHBOURS: Final = 5


def forgotten(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """E[L] against the loss of a predictor that learned nothing; not applicable where L* is no better."""
    trivial = sweep.setting.trivial_loss
    if trivial is None:
        return
    excess, gap = sweep["excess_loss"], trivial - sweep["init_loss"]
    surely = excess - 2 * np.nan_to_num(sweep.loss_error)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(gap > 0, surely / gap, np.nan)
    name = sweep.setting.trivial_name
    fatal = share >= limits.forgotten_fatal
    yield Finding(
        "the loss upside down",
        fatal,
        lambda at: (
            f"chains sit {sweep.loss(excess, at)} above L(w*), above the {name}: "
            "λ̂ here is the loss upside down"
        ),
        fatal=True,
    )
    yield Finding(
        "chains forget what was learned",
        ~fatal & (share >= limits.forgotten),
        lambda at: (
            f"chains sit {sweep.loss(excess, at)} above L(w*): they forget {excess[at] / gap[at]:.0%} of "
            f"what sets w* apart from the {name}"
        ),
    )


def upside_down(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """λ̂ = const − nβ·L* along training: the chains sit at the same loss whatever the checkpoint."""
    n_beta, llc, error = sweep.setting.n_beta, sweep["llc"], np.nan_to_num(sweep["llc_se"])
    init_loss, excess = sweep["init_loss"], sweep["excess_loss"]
    mean_loss = init_loss + excess
    known = np.flatnonzero(np.isfinite(llc) & np.isfinite(init_loss))
    where = np.zeros(sweep.size, dtype=bool)
    if n_beta is None or len(known) < _FEWEST_NEIGHBOURS:
        return
    falling = -n_beta * init_loss
    windows = [_FEWEST_NEIGHBOURS]
    while windows[-1] < len(known):  # densely kept checkpoints only differ over longer windows
        windows.append(min(2 * windows[-1], len(known)))
    for window in windows:
        for first in range(len(known) - window + 1):
            at = known[first : first + window]
            # one far point would make R² of any window: the earlier and the later half must each follow
            halves = at[: window // 2 + 1], at[window // 2 :]
            if all(_follows(falling[half], llc[half], float(error[half].max()), limits) for half in halves):
                # a plateau that earlier checkpoints' chains fall to, and on which its own stay, is sound
                where[at[np.abs(excess[at]) > limits.upside_down_excess * np.ptp(init_loss[at])]] = True
    yield Finding(
        "the loss upside down",
        where,
        lambda at: (
            f"chains sit at the same loss ({sweep.loss(mean_loss, at)}) whatever "
            "the checkpoint: along training λ̂ is the loss upside down"
        ),
        fatal=True,
    )


def _follows(
    falling: Float[np.ndarray, " window"], llc: Float[np.ndarray, " window"], error: float, limits: Thresholds
) -> bool:
    """Whether λ̂ is −nβ·L* plus a constant in a window."""
    if np.ptp(falling) <= limits.upside_down_range * error or np.ptp(falling) == 0 or np.ptp(llc) == 0:
        return False
    centred, response = falling - falling.mean(), llc - llc.mean()
    slope = (centred @ response) / (centred @ centred)
    r2 = (centred @ response) ** 2 / ((centred @ centred) * (response @ response))
    return bool(r2 >= limits.upside_down_r2 and abs(slope - 1) <= limits.upside_down_slope)


def negative(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """A learning coefficient is never negative."""
    llc, error = sweep["llc"], np.nan_to_num(sweep["llc_se"])
    yield Finding(
        "below zero, so no local minimum",
        llc < -limits.negative_fatal * error,
        lambda at: (
            f"λ̂ = {llc[at]:.3g} ± {error[at]:.2g} is below zero: the chains found lower ground, "
            "w* is no local minimum at this scale"
        ),
        fatal=True,
    )


def ceiling(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """A local minimum of a smooth loss has λ ≤ P/2."""
    llc, parameters = sweep["llc"], sweep.setting.n_parameters
    if parameters is None:
        return
    share = (llc - 3 * np.nan_to_num(sweep["llc_se"])) / (parameters / 2)
    fatal = share > limits.ceiling_fatal
    for surely, where in ((True, fatal), (False, ~fatal & (share > limits.ceiling))):
        yield Finding(
            "above P/2",
            where,
            lambda at: (
                f"λ̂ = {llc[at]:.3g} is above P/2 = {parameters / 2:.4g}, the most a minimum of {parameters} "
                "weights can have: the step is too large or the chains left the basin"
            ),
            fatal=surely,
        )


def slope(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """What the gradient at w* takes off λ̂, against what it leaves."""
    llc, lost = sweep["llc"], -sweep["slope_shift"]
    matters = lost > limits.slope_errors * np.nan_to_num(sweep["llc_se"])
    fatal = matters & (lost > limits.slope_share_fatal * llc)
    yield Finding(
        "w* is no minimum",
        fatal,
        lambda at: (
            f"w* is no minimum: the slope there takes about {lost[at]:.2g} off λ̂, and leaves {llc[at]:.3g}"
        ),
        fatal=True,
    )
    yield Finding(
        "w* is not quite a minimum",
        matters & ~fatal & (lost > limits.slope_share * llc),
        lambda at: (
            f"w* is not quite a minimum: the slope there takes about {lost[at]:.2g} off λ̂, "
            f"and leaves {llc[at]:.3g}"
        ),
    )


def saddle(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """Downhill curvature that γ does not hold, for long enough and to a depth that matters."""
    setting, llc, h_min = sweep.setting, sweep["llc"], sweep["h_min"]
    if setting.n_beta is None or setting.localization is None:
        return
    pull = setting.n_beta * h_min + setting.localization
    # −½|h|t² + ct⁴ under γ's pull has its valley where L has fallen by u(2 − u) of its depth, u = 1 − γ/nβ|h|
    unheld = np.clip(pull / np.where(h_min < 0, setting.n_beta * h_min, -np.inf), 0, 1)
    depth = setting.n_beta * sweep["descent"] * unheld * (2 - unheld)
    downhill = (depth > limits.saddle_share * (llc + depth)) & (depth > 2 * np.nan_to_num(sweep["llc_se"]))
    if setting.step_size is not None and setting.updates is not None:
        downhill &= -pull * setting.step_size * setting.updates / 2 >= limits.saddle_growth
    yield Finding(
        "w* is a saddle",
        downhill,
        lambda at: (
            f"w* is a saddle: downhill from it (curvature {h_min[at]:.2g}) lies ground that takes about "
            f"{depth[at]:.2g} off λ̂, and leaves {llc[at]:.3g}"
        ),
    )
