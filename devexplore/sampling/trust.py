"""Is this LLC to be believed? Every check of one sweep, its limits, and a verdict in plain words.

Pure numpy: the checks were recorded when the chains ran, so that a verdict can be given again, with other
limits, at any time. A check that was not recorded (NaN, or absent) accuses nobody.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8

TRUSTED: Final = 0
DOUBTFUL: Final = 1
NOT_AN_LLC: Final = 2

VERDICT_WORDS: Final = ("trusted", "doubtful", "not an LLC")

_FEWEST_NEIGHBOURS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where each check begins to accuse. ``…_fatal``: not an LLC; the others: doubtful.

    Chosen so that fewer than one in twenty healthy estimates is accused by all of them together (quadratic,
    linear, reduced-rank and deep linear networks at their optimum; 3–8 chains, 40–1000 draws).
    """

    forgotten: float = 0.5
    """Share (E[L] − L*)/(L_trivial − L*) of what w* learned that the chains forget. At one half they are as
    near to knowing nothing as to w*."""
    forgotten_fatal: float = 1.0
    """At one, they do worse than a predictor that learned nothing: λ̂ is then const − nβ·L*."""
    upside_down_r2: float = 0.95
    """R² of λ̂ against −nβ·L* over neighbouring checkpoints, and …"""
    upside_down_slope: float = 0.1
    """… distance of its slope from 1: the chains' E[L] does not depend on the checkpoint."""
    upside_down_range: float = 20.0
    """Only where nβ·L* changes by this many standard errors of λ̂ in either half of the
    neighbours (noise leaves R² at about 1 − 12/20² = .97)."""
    upside_down_excess: float = 0.25
    """… and only checkpoints whose chains sit farther from L* than this share of what L* changes by."""
    stability: float = 2.0
    """ε(nβ·h_max + γ): at 2 the stiffest direction's variance is twice what it should be, 1/(1 − 2/4)."""
    stability_fatal: float = 4.0
    """From 4 on SGLD has no stationary state."""
    relative_distance: float = 2.0
    """‖w − w*‖/‖w*‖. Singular networks at their optimum go to about 1 (8-4-8 reduced rank: 1.25)."""
    spread: float = 1.5
    """γ‖w − w*‖²/P over what γ alone lets chains diffuse to, which no bowl exceeds; a final distance is a
    χ² of P·chains degrees, so four of its standard deviations are allowed on top."""
    drift: float = 0.15
    """|λ̂ of the second half of the draws − first|/|λ̂|: less is not worth more burn-in, and …"""
    drift_z: float = 4.0
    """… in standard errors (these come from as few as three chains, so their tails are long)."""
    rhat: float = 1.2
    """R̂. Textbooks ask 1.01 to 1.1 of long runs (Vehtari et al. 2021), but three healthy chains of 40 draws
    reach 1.17 once in twenty times, and what chains disagree on is in the error bar."""
    ess: float = 10.0
    """Effective draws. With fewer the error bar is itself unknown to more than a quarter."""
    negative_fatal: float = 3.0
    """λ̂ below zero by this many standard errors: the chains found lower ground than w*."""
    ceiling: float = 1.25
    """λ̂ over P/2, which no local minimum of a smooth loss exceeds (as nβ grows); batch noise and step size
    raise good estimates by up to a tenth."""
    ceiling_fatal: float = 2.0
    """λ̂ over P/2: beyond even a loss that rises linearly from w* in all directions, which has P."""
    slope_share: float = 0.5
    """What the slope at w* takes off λ̂, over what it leaves. No network trained by SGD sits quite at a
    minimum: 0.2 to 0.4 are common, and /llc has the number for those who correct …"""
    slope_share_fatal: float = 1.0
    """… but where it takes more than it leaves, λ̂ is mostly slope."""
    slope_errors: float = 2.0
    """Slopes that take off fewer standard errors of λ̂ than this are let pass."""
    saddle_growth: float = 1.0
    """Where nβ·h_min + γ < 0, displacements grow by e to this power or more while a chain runs, and …"""
    saddle_share: float = 0.1
    """… the descent there takes off this share of λ̂ (without it). Optima of wide networks on noisy data are
    shallow saddles, down to where the noise is fitted too, and their λ̂ is good."""


class Verdicts(NamedTuple):
    """One verdict a checkpoint, and why."""

    verdict: Int8[np.ndarray, " step"]
    """0 trusted, 1 doubtful, 2 not an LLC."""
    reasons: list[tuple[str, ...]]
    """In plain words with the numbers, the gravest first; empty where trusted."""
    kinds: list[tuple[str, ...]]
    """The same reasons in a few words without numbers, to be counted."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How the chains of a sweep were run, as far as it is known. None: checks that need it are left out."""

    n_beta: float | None = None
    localization: float | None = None
    step_size: float | None = None
    updates: int | None = None
    """Updates a chain made: burn_in + draws·thinning."""
    chains: int | None = None
    n_parameters: int | None = None
    """Weights that moved."""
    trivial_loss: float | None = None
    """Loss of a predictor that ignores its input."""
    trivial_name: str = "trivial predictor"
    loss_units: str = ""

    @classmethod
    def of_attributes(cls, attrs: Mapping[str, Any], loss_units: str = "") -> "Setting":
        """From the attributes of a stored group, as far as they go.

        A preconditioned step has no one ε: stability and relaxation are then not judged.
        """
        known = {name: _number(attrs.get(name)) for name in ("n_beta", "localization", "trivial_loss")}
        lengths = [_number(attrs.get(name)) for name in ("burn_in", "draws", "thinning")]
        whole = {name: _number(attrs.get(name)) for name in ("chains", "n_parameters")}
        plain = attrs.get("sampler", "sgld") == "sgld"
        return cls(
            **known,
            step_size=_number(attrs.get("step_size")) if plain else None,
            updates=None if None in lengths else int(lengths[0] + lengths[1] * lengths[2]),  # type: ignore[operator]
            chains=None if whole["chains"] is None else int(whole["chains"]),
            n_parameters=None if whole["n_parameters"] is None else int(whole["n_parameters"]),
            trivial_name=str(attrs.get("trivial_name", cls.trivial_name)),
            loss_units=loss_units,
        )


def _number(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


class _Finding(NamedTuple):
    """One accusation: its level and name, the checkpoints it holds for, and its words at one of them."""

    level: int
    name: str
    where: Bool[np.ndarray, " step"]
    words: Callable[[int], str]


def judge(
    checks: Mapping[str, Float[np.ndarray, " step"]],
    setting: Setting,
    thresholds: Thresholds | None = None,
) -> Verdicts:
    """A verdict for each checkpoint of a sweep, with reasons.

    checks: named as in the store's /llc, along training in the order of steps: llc (the only one required),
        llc_se, rhat, ess, excess_loss, init_loss, relative_distance, spread, half_drift,
        half_drift_z, diverged_chains, h_max, h_min, descent, stability, slope_shift.

    Some checks look at neighbours (is λ̂ the loss upside down?), so give a sweep whole.
    """
    limits = Thresholds() if thresholds is None else thresholds
    sweep = _Sweep(checks, setting)
    findings = [finding for check in _CHECKS for finding in check(sweep, limits)]
    findings.sort(key=lambda finding: -finding.level)  # stable: among equals, in the order of the checks
    verdict = np.zeros(sweep.size, dtype=np.int8)
    reasons: list[list[str]] = [[] for _ in range(sweep.size)]
    kinds: list[list[str]] = [[] for _ in range(sweep.size)]
    for level, name, where, words in findings:
        verdict[where] = np.maximum(verdict[where], level)
        for at in np.flatnonzero(where):
            reasons[at].append(words(int(at)))
            kinds[at].append(name)
    return Verdicts(verdict, [tuple(each) for each in reasons], [tuple(each) for each in kinds])


class _Sweep:
    """The checks by name, NaN where not recorded, and what follows from several of them."""

    def __init__(self, checks: Mapping[str, np.ndarray], setting: Setting) -> None:
        self._checks = {name: np.asarray(values, dtype=np.float64) for name, values in checks.items()}
        self.size = len(self._checks["llc"])
        self.setting = setting

    def __getitem__(self, name: str) -> Float[np.ndarray, " step"]:
        return self._checks.get(name, np.full(self.size, np.nan))

    def holds(self, name: str) -> bool:
        return name in self._checks

    @property
    def loss_error(self) -> Float[np.ndarray, " step"]:
        """Standard error of E[L]."""
        n_beta = self.setting.n_beta
        return self["llc_se"] / (np.nan if n_beta is None else n_beta)

    def loss(self, values: Float[np.ndarray, " step"], at: int) -> str:
        return f"{values[at]:.3g} {self.setting.loss_units}".rstrip()


def _no_value(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
    """λ̂ has no value: all chains diverged, or there was nothing finite to start from."""
    nothing = ~np.isfinite(sweep["llc"])
    lost = nothing & ~np.isfinite(sweep["init_loss"]) & sweep.holds("init_loss")
    yield _Finding(
        NOT_AN_LLC,
        "weights or loss not finite",
        lost,
        lambda _: "L(w*) is not a number: the weights or the loss are not finite",
    )
    diverged = sweep["diverged_chains"]
    blown = nothing & ~lost & (diverged > 0)
    yield _Finding(
        NOT_AN_LLC, "all chains diverged", blown, lambda at: f"all {diverged[at]:.0f} chains diverged"
    )
    yield _Finding(NOT_AN_LLC, "no value", nothing & ~lost & ~blown, lambda _: "λ̂ has no value")
    of = "" if sweep.setting.chains is None else f" of {sweep.setting.chains}"
    yield _Finding(
        DOUBTFUL,
        "some chains diverged",
        ~nothing & (diverged > 0),
        lambda at: f"chains diverged and left out: {diverged[at]:.0f}{of}",
    )


def _unstable(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
    """ε(nβ·h_max + γ) against 4."""
    stability = sweep["stability"]
    fatal = stability >= limits.stability_fatal
    yield _Finding(
        NOT_AN_LLC,
        "unstable step",
        fatal,
        lambda at: (
            f"the step is unstable: ε(nβ·h_max + γ) = {stability[at]:.3g}, and SGLD stands only below 4"
        ),
    )
    yield _Finding(
        DOUBTFUL,
        "step near its limit",
        ~fatal & (stability >= limits.stability),
        lambda at: (
            f"the step is near its limit: ε(nβ·h_max + γ) = {stability[at]:.3g} of 4 makes the stiffest "
            f"direction's variance {1 / (1 - stability[at] / 4):.1f} times too large"
        ),
    )


def _forgotten(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
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
    yield _Finding(
        NOT_AN_LLC,
        "the loss upside down",
        fatal,
        lambda at: (
            f"chains sit {sweep.loss(excess, at)} above L(w*), above the {name}: "
            "λ̂ here is the loss upside down"
        ),
    )
    yield _Finding(
        DOUBTFUL,
        "chains forget what was learned",
        ~fatal & (share >= limits.forgotten),
        lambda at: (
            f"chains sit {sweep.loss(excess, at)} above L(w*): they forget {excess[at] / gap[at]:.0%} of "
            f"what sets w* apart from the {name}"
        ),
    )


def _upside_down(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
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
    yield _Finding(
        NOT_AN_LLC,
        "the loss upside down",
        where,
        lambda at: (
            f"chains sit at the same loss ({sweep.loss(mean_loss, at)}) whatever "
            "the checkpoint: along training λ̂ is the loss upside down"
        ),
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


def _negative(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
    """A learning coefficient is never negative."""
    llc, error = sweep["llc"], np.nan_to_num(sweep["llc_se"])
    yield _Finding(
        NOT_AN_LLC,
        "below zero, so no local minimum",
        llc < -limits.negative_fatal * error,
        lambda at: (
            f"λ̂ = {llc[at]:.3g} ± {error[at]:.2g} is below zero: the chains found lower ground, "
            "w* is no local minimum at this scale"
        ),
    )


def _ceiling(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
    """A local minimum of a smooth loss has λ ≤ P/2."""
    llc, parameters = sweep["llc"], sweep.setting.n_parameters
    if parameters is None:
        return
    share = (llc - 3 * np.nan_to_num(sweep["llc_se"])) / (parameters / 2)
    fatal = share > limits.ceiling_fatal
    for level, where in ((NOT_AN_LLC, fatal), (DOUBTFUL, ~fatal & (share > limits.ceiling))):
        yield _Finding(
            level,
            "above P/2",
            where,
            lambda at: (
                f"λ̂ = {llc[at]:.3g} is above P/2 = {parameters / 2:.4g}, the most a minimum of {parameters} "
                "weights can have: the step is too large or the chains left the basin"
            ),
        )


def _slope(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
    """What the gradient at w* takes off λ̂, against what it leaves."""
    llc, lost = sweep["llc"], -sweep["slope_shift"]
    matters = lost > limits.slope_errors * np.nan_to_num(sweep["llc_se"])
    fatal = matters & (lost > limits.slope_share_fatal * llc)
    yield _Finding(
        NOT_AN_LLC,
        "w* is no minimum",
        fatal,
        lambda at: (
            f"w* is no minimum: the slope there takes about {lost[at]:.2g} off λ̂, and leaves {llc[at]:.3g}"
        ),
    )
    yield _Finding(
        DOUBTFUL,
        "w* is not quite a minimum",
        matters & ~fatal & (lost > limits.slope_share * llc),
        lambda at: (
            f"w* is not quite a minimum: the slope there takes about {lost[at]:.2g} off λ̂, "
            f"and leaves {llc[at]:.3g}"
        ),
    )


def _unmoved(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
    """Steps so small, or chains so short, that not even the steepest direction relaxes: λ̂ is still at 0.

    Chains that nothing has turned back yet have come as far as free diffusion goes, ‖w − w*‖² = εTP after
    T updates. (Curvature alone does not tell: at the minimum of w⁶ there is none.)
    """
    setting, still = sweep.setting, sweep["llc_se"] == 0
    if None not in (setting.updates, setting.step_size, setting.localization):
        free = setting.localization * setting.step_size * setting.updates  # pyright: ignore
        relaxed = sweep["stability"] / 2 * setting.updates  # pyright: ignore
        still |= (relaxed < 1) & (sweep["spread"] > 0.5 * free)
    yield _Finding(
        NOT_AN_LLC,
        "chains have not moved",
        still & np.isfinite(sweep["llc"]),
        lambda at: (
            "the chains have hardly moved: the steps are too small, or too few, for even the steepest "
            "direction to be sampled"
        ),
    )


def _saddle(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
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
    yield _Finding(
        DOUBTFUL,
        "w* is a saddle",
        downhill,
        lambda at: (
            f"w* is a saddle: downhill from it (curvature {h_min[at]:.2g}) lies ground that takes about "
            f"{depth[at]:.2g} off λ̂, and leaves {llc[at]:.3g}"
        ),
    )


def _distance(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
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
    yield _Finding(
        DOUBTFUL,
        "chains pushed outwards",
        pushed > limit,
        lambda at: (
            f"chains are pushed outwards: ‖w − w*‖² is {pushed[at]:.1f} times "
            "what diffusion under γ alone reaches"
        ),
    )
    yield _Finding(
        DOUBTFUL,
        "not local",
        relative > limits.relative_distance,
        lambda at: f"chains go {relative[at]:.1f} times as far from w* as w* is from zero: this is not local",
    )


def _drift(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
    """The chains have not settled."""
    drift, z = sweep["half_drift"], sweep["half_drift_z"]
    yield _Finding(
        DOUBTFUL,
        "chains still drift",
        (np.abs(z) > limits.drift_z) & (np.abs(drift) > limits.drift),
        lambda at: (
            f"chains still drift: λ̂ of the second half of the draws is {abs(drift[at]):.0%} "
            f"{'higher' if drift[at] > 0 else 'lower'} than of the first ({abs(z[at]):.1f} standard errors)"
        ),
    )


def _mixing(sweep: _Sweep, limits: Thresholds) -> Iterator[_Finding]:
    """Chains that disagree, or draws too few to know the error bar."""
    rhat, ess = sweep["rhat"], sweep["ess"]
    yield _Finding(
        DOUBTFUL,
        "chains disagree",
        rhat > limits.rhat,
        lambda at: f"chains disagree: R̂ = {rhat[at]:.2f} > {limits.rhat:g}",
    )
    yield _Finding(
        DOUBTFUL,
        "too few effective draws",
        ess < limits.ess,
        lambda at: f"only {ess[at]:.1f} effective draws: the error bar is a guess",
    )


_CHECKS: Final[Sequence[Callable[[_Sweep, Thresholds], Iterator[_Finding]]]] = (
    _no_value,
    _unstable,
    _unmoved,
    _forgotten,
    _upside_down,
    _negative,
    _ceiling,
    _slope,
    _saddle,
    _distance,
    _drift,
    _mixing,
)
