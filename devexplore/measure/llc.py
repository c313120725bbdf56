"""The local learning coefficient of every checkpoint, with its chains, its checks and its verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch

from devexplore import schema
from devexplore.errors import InvalidSpec, NonFiniteWeights
from devexplore.measure.base import Arrays, Layout, Measurement, Report
from devexplore.measure.calibrated import calibrated_settings
from devexplore.measure.subject import Subject
from devexplore.measure.verdicts import write_verdicts
from devexplore.sampling import Engine, Execution, LLCResult, LLCSpec
from devexplore.sampling.chains import ChainTraces
from devexplore.store import Store, Variable

SUMMARY = {
    "llc": ("", "local learning coefficient λ̂ = nβ·(E[L] − L(w*))"),
    "llc_se": ("", "standard error of λ̂ over seeds"),
    "rhat": ("", "R̂ over chains (near 1 when they agree)"),
    "ess": ("draws", "effective sample size of the mean"),
    "init_loss": ("loss", "L(w*) on all the data"),
    "mean_loss": ("loss", "E[L], the chains' mean loss"),
    "excess_loss": ("loss", "E[L] − L(w*): how far above the checkpoint the chains sit"),
    "relative_distance": ("", "mean final ‖w − w*‖ / ‖w*‖"),
    "spread": ("", "γ·mean final ‖w − w*‖² / weights: 1 is diffusion held by γ alone"),
    "half_drift": ("", "(λ̂ of the second half of the draws − λ̂ of the first) / |λ̂|"),
    "half_drift_z": ("standard errors", "that drift over its standard error"),
    "diverged_chains": ("chains", "chains that diverged and were left out"),
    "h_max": ("", "largest Ritz value of the Hessian at w*"),
    "h_min": ("", "smallest Ritz value of the Hessian at w*"),
    "stability": ("", "ε(nβ·h_max + γ); SGLD is unstable from 4 on"),
    "slope_shift": ("", "what the slope at w* takes off λ̂ (0 at a minimum)"),
    "unheld": ("", "share of the slope in directions that nothing holds"),
    "descent": (
        "loss",
        "how far the loss falls along the direction of h_min (NaN where h_min is a subsample's)",
    ),
}
"""What is kept of each estimate: unit ("loss" stands for the loss's own) and meaning."""

_MOST_CHECKPOINTS = 32
"""A kill loses at most these many checkpoints' chains."""


@dataclass(frozen=True)
class LLC(Measurement):
    """SGLD chains, λ̂ and its checks at every checkpoint.

    settings: override the system's defaults (or the calibrated ones) by name; see ``LLCSpec``.
    calibrated: start from what ``devexplore calibrate`` chose for this run. Raises NotMeasured if it did not.
    execution: path, block size and memory budget; changes no number beyond rounding, and is not kept.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    calibrated: bool = False
    execution: Execution = field(default_factory=Execution)
    title: ClassVar[str] = "LLC chains"

    def sampler(self, subject: Subject) -> LLCSpec:
        return sampler(subject, self.settings, self.calibrated)

    def spec(self, subject: Subject) -> Mapping[str, Any]:
        return asdict(self.sampler(subject)) | {"n": self.engine(subject).n_samples}

    def seed(self, subject: Subject) -> int:
        return self.sampler(subject).seed

    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        sampler, units = self.sampler(subject), subject.system.loss_units
        draws, chains = (sampler.chains, sampler.draws), (sampler.chains,)
        attrs = sampler_attributes(subject, sampler, len(subject.pool[0]))
        each_draw, loss = ("chain", "draw"), {"units": units}
        single = np.dtype(np.float32)
        variables = {
            "loss": Variable(each_draw, draws, single, {**loss, "long_name": "batch loss at w"}),
            "baseline": Variable(
                each_draw, draws, single, {**loss, "long_name": "the same batch's loss at w*"}
            ),
            "status": Variable(
                ("chain",), chains, np.dtype(np.int8), {"long_name": "0 healthy, 1 diverged and retired"}
            ),
            "distance": Variable(("chain",), chains, single, {"long_name": "final ‖w − w*‖"}),
            "init_loss": Variable((), (), single, {**loss, "long_name": "L(w*) on all the data"}),
            "anchor_norm": Variable((), (), single, {"long_name": "‖w*‖"}),
        }
        at = sampler.burn_in + sampler.thinning * np.arange(1, sampler.draws + 1) - 1
        n_parameters = sum(p.numel() for p in subject.model.parameters() if p.requires_grad)
        return {
            schema.CHAINS: Layout(variables, coords={"draw": at}, attrs=attrs),
            schema.LLC: Layout(summary_variables(units), attrs={**attrs, "n_parameters": n_parameters}),
        }

    def together(self, subject: Subject) -> int:
        chains = self.sampler(subject).chains
        plan = self.engine(subject).plan(None, _MOST_CHECKPOINTS * chains)
        if plan.path != "vectorized":
            return 1  # nothing is gained by more
        return min(max(plan.rows_per_block // chains, 1), _MOST_CHECKPOINTS)

    def measure(
        self, subject: Subject, steps: Sequence[int], stored: Sequence[Mapping[str, Arrays]], report: Report
    ) -> list[Mapping[str, Arrays]]:
        """Chains already stored (a kill came between the two groups) are summarised, not run again."""
        engine, sampler = self.engine(subject), self.sampler(subject)
        w_stars = [weights(subject, step) for step in steps]
        todo = [
            i
            for i, (w_star, held) in enumerate(zip(w_stars, stored, strict=True))
            if w_star is not None and schema.CHAINS not in held
        ]
        results: dict[int, LLCResult] = {}
        if todo:
            found = engine.run([w_stars[i] for i in todo], progress=lambda done, all: report(done / all))
            results = dict(zip(todo, found, strict=True))
        blocks: list[Mapping[str, Arrays]] = []
        for i, (w_star, held) in enumerate(zip(w_stars, stored, strict=True)):
            if w_star is None:
                blocks.append(_nothing(sampler))
                continue
            if i not in results:
                results[i] = engine.summarise(w_star, _traces(held[schema.CHAINS]))
            chains = {
                name: np.asarray(value, dtype=None if name == "status" else np.float32)
                for name, value in results[i].traces._asdict().items()
            }
            blocks.append({schema.CHAINS: chains, schema.LLC: summary(results[i])})
        return blocks

    def finish(self, subject: Subject, store: Store) -> None:
        write_verdicts(store, subject.system)

    def engine(self, subject: Subject) -> Engine:
        spec = self.sampler(subject)
        return subject.engine(("llc", spec, self.execution), lambda: subject.new_engine(spec, self.execution))


def sampler(subject: Subject, settings: Mapping[str, Any], calibrated: bool) -> LLCSpec:
    """The system's settings (or those calibrated for this run) with these on top."""
    chosen = {"seed": subject.seed, **subject.system.llc_defaults}
    chosen |= calibrated_settings(subject.run) if calibrated else {}
    chosen |= settings
    unknown = set(chosen) - set(LLCSpec.__dataclass_fields__)
    if unknown:
        known = ", ".join(LLCSpec.__dataclass_fields__)
        raise InvalidSpec(f"no LLC setting called {', '.join(sorted(unknown))}; there are {known}")
    return LLCSpec(**chosen)


def sampler_attributes(subject: Subject, sampler: LLCSpec, n: int) -> dict[str, Any]:
    """How the chains of a group were run on n samples, in numbers and words."""
    return {
        **asdict(replace(sampler, n_beta=sampler.n_beta_for(n))),
        "n": n,
        "convention": "w ← w − (ε/2)[nβ∇L + γ(w − w*)] + N(0, ε): drift ε/2, noise √ε",
        "trivial_loss": subject.system.trivial_loss,
        "trivial_name": subject.system.trivial_name,
    }


def summary_variables(units: str) -> dict[str, Variable]:
    """The layout of ``SUMMARY``, without a further dimension."""
    return {
        name: Variable(
            (), (), np.dtype(np.float32), {"units": units if unit == "loss" else unit, "long_name": text}
        )
        for name, (unit, text) in SUMMARY.items()
    }


def summary(result: LLCResult) -> dict[str, np.ndarray]:
    return {name: np.asarray(result.checks.get(name, np.nan), dtype=np.float32) for name in SUMMARY}


def weights(subject: Subject, step: int) -> dict[str, torch.Tensor] | None:
    """A checkpoint's weights; None where they are not finite: no chain can start there, others can."""
    try:
        return {name: tensor.clone() for name, tensor in subject.load(step).state_dict().items()}
    except NonFiniteWeights:
        return None


def _traces(chains: Arrays) -> ChainTraces:
    """Stored chains as the sampler gives them."""
    held = {name: chains[name] for name in ChainTraces._fields}
    return ChainTraces(
        **held | {name: float(chains[name]) for name in ("init_loss", "anchor_norm")}  # type: ignore[arg-type]
    )


def _nothing(sampler: LLCSpec) -> dict[str, Arrays]:
    """The block of a checkpoint whose weights are not finite."""
    draws = np.full((sampler.chains, sampler.draws), np.nan, dtype=np.float32)
    none = np.full((), np.nan, dtype=np.float32)
    return {
        schema.CHAINS: {
            "loss": draws,
            "baseline": draws,
            "status": np.full(sampler.chains, schema.CHAIN_DIVERGED, dtype=np.int8),
            "distance": draws[:, 0],
            "init_loss": none,
            "anchor_norm": none,
        },
        schema.LLC: dict.fromkeys(SUMMARY, none) | {"diverged_chains": np.float32(sampler.chains)},  # type: ignore[dict-item]
    }
