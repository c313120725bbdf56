"""Did the chains sample? They must move, stay finite and near, settle and agree.

Each check gives what it finds along a sweep; where what it needs is not known, nothing.
"""

from collections.abc import Iterator

import numpy as np

from devexplore.sampling.sweep import Finding, Sweep
from devexplore.sampling.thresholds import Thresholds


def no_value(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """λ̂ has no value: all chains diverged, or there was nothing finite to start from."""
    nothing = ~np.isfinite(sweep["llc"])
    lost = nothing & ~np.isfinite(sweep["init_loss"]) & sweep.holds("init_loss")
    yield Finding(
        "weights or loss not finite",
        lost,
        lambda _: "L(w*) is not a number: the weights or the loss are not finite",
        fatal=True,
    )
    diverged = sweep["diverged_chains"]
    blown = nothing & ~lost & (diverged > 0)
    yield Finding(
        "all chains diverged", blown, lambda at: f"all {diverged[at]:.0f} chains diverged", fatal=True
    )
    yield Finding("no value", nothing & ~lost & ~blown, lambda _: "λ̂ has no value", fatal=True)
    of = "" if sweep.setting.chains is None else f" of {sweep.setting.chains}"
    yield Finding(
        "some chains diverged",
        ~nothing & (diverged > 0),
        lambda at: f"chains diverged and left out: {diverged[at]:.0f}{of}",
    )


def unstable(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """ε(nβ·h_max + γ) against 4."""
    stability = sweep["stability"]
    fatal = stability >= limits.stability_fatal
    yield Finding(
        "unstable step",
        fatal,
        lambda at: (
            f"the step is unstable: ε(nβ·h_max + γ) = {stability[at]:.3g}, and SGLD stands only below 4"
        ),
        fatal=True,
    )
    yield Finding(
        "step near its limit",
        ~fatal & (stability >= limits.stability),
        lambda at: (
            f"the step is near its limit: ε(nβ·h_max + γ) = {stability[at]:.3g} of 4 makes the stiffest "
            f"direction's variance {1 / (1 - stability[at] / 4):.1f} times too large"
        ),
    )


def unmoved(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """Steps so small, or chains so short, that not even the steepest direction relaxes: λ̂ is still at 0.

    Chains that nothing has turned back yet have come as far as free diffusion goes, ‖w − w*‖² = εTP after
    T updates. (Curvature alone does not tell: at the minimum of w⁶ there is none.)
    """
    setting, still = sweep.setting, sweep["llc_se"] == 0
    if None not in (setting.updates, setting.step_size, setting.localization):
        free = setting.localization * setting.step_size * setting.updates  # pyright: ignore
        relaxed = sweep["stability"] / 2 * setting.updates  # pyright: ignore
        still |= (relaxed < 1) & (sweep["spread"] > 0.5 * free)
    yield Finding(
        "chains have not moved",
        still & np.isfinite(sweep["llc"]),
        lambda at: (
            "the chains have hardly moved: the steps are too small, or too few, for even the steepest "
            "direction to be sampled"
        ),
        fatal=True,
    )


def distance(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """Further out than diffusion under γ alone goes, or than w* is long."""
    setting, spread, relative = sweep.setting, sweep["spread"], sweep["relative_distance"]
    reached = 1.0
    if None not in (setting.step_size, setting.localization, setting.updates):
        # chains of T updates that γ alone holds have come to 1 − exp(−εγT) of their final spread
        reached = -np.expm1(-setting.step_size * setting.localization * setting.updates)  # pyright: ignore
    degrees = np.inf if setting.n_parameters is None else setting.n_parameters * (setting.chains or 1)
    limit = limits.spread + 4 * np.sqrt(2 / degrees)
    with np.errstate(divide="ignore", invalid="ignore"):
        pushed = spread / reached
    yield Finding(
        "chains pushed outwards",
        pushed > limit,
        lambda at: (
            f"chains are pushed outwards: ‖w − w*‖² is {pushed[at]:.1f} times "
            "what diffusion under γ alone reaches"
        ),
    )
    yield Finding(
        "not local",
        relative > limits.relative_distance,
        lambda at: f"chains go {relative[at]:.1f} times as far from w* as w* is from zero: this is not local",
    )


def drift(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """The chains have not settled."""
    drift, z = sweep["half_drift"], sweep["half_drift_z"]
    yield Finding(
        "chains still drift",
        (np.abs(z) > limits.drift_z) & (np.abs(drift) > limits.drift),
        lambda at: (
            f"chains still drift: λ̂ of the second half of the draws is {abs(drift[at]):.0%} "
            f"{'higher' if drift[at] > 0 else 'lower'} than of the first ({abs(z[at]):.1f} standard errors)"
        ),
    )


def mixing(sweep: Sweep, limits: Thresholds) -> Iterator[Finding]:
    """Chains that disagree, or draws too few to know the error bar."""
    rhat, ess = sweep["rhat"], sweep["ess"]
    yield Finding(
        "chains disagree",
        rhat > limits.rhat,
        lambda at: f"chains disagree: R̂ = {rhat[at]:.2f} > {limits.rhat:g}",
    )
    yield Finding(
        "too few effective draws",
        ess < limits.ess,
        lambda at: f"only {ess[at]:.1f} effective draws: the error bar is a guess",
    )
