"""The local learning coefficient of every checkpoint, with the chains it came from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from devexplore import schema
from devexplore.errors import InvalidSpec
from devexplore.measure.base import Arrays, Layout, Measurement
from devexplore.measure.subject import Subject
from devexplore.sampling import LLCSpec, estimate_llc, llc_from_traces
from devexplore.store import Variable

_SUMMARY = {
    "llc": ("", "local learning coefficient λ̂ = nβ·(E[L] − L(w*))"),
    "llc_se": ("", "standard error of λ̂ over seeds"),
    "rhat": ("", "R̂ over chains (near 1 when they agree)"),
    "ess": ("draws", "effective sample size of the mean"),
    "excess_loss": ("loss", "E[L] − L(w*): how far above the checkpoint the chains sit"),
    "relative_distance": ("", "mean final ‖w − w*‖ / ‖w*‖"),
    "diverged_chains": ("chains", "chains that diverged and were left out"),
}


@dataclass(frozen=True)
class LLC(Measurement):
    """SGLD chains and λ̂ at every checkpoint. ``settings`` override the system's defaults by name (see
    ``LLCSpec``).
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    title: ClassVar[str] = "LLC chains"

    def sampler(self, subject: Subject) -> LLCSpec:
        chosen = {"seed": subject.seed, **subject.system.llc_defaults, **self.settings}
        unknown = set(chosen) - set(LLCSpec.__dataclass_fields__)
        if unknown:
            known = ", ".join(LLCSpec.__dataclass_fields__)
            raise InvalidSpec(f"no LLC setting called {', '.join(sorted(unknown))}; there are {known}")
        return LLCSpec(**chosen)

    def spec(self, subject: Subject) -> Mapping[str, Any]:
        return asdict(self.sampler(subject)) | {"n": len(subject.pool[0])}

    def seed(self, subject: Subject) -> int:
        return self.sampler(subject).seed

    def groups(self, subject: Subject) -> Mapping[str, Layout]:
        sampler, units = self.sampler(subject), subject.system.loss_units
        draws, chains = (sampler.chains, sampler.draws), (sampler.chains,)
        single, n = np.dtype(np.float32), len(subject.pool[0])
        settings = {
            **{name: value for name, value in asdict(sampler).items() if name != "n_beta"},
            "n_beta": sampler.n_beta_for(n),
            "n": n,
            "convention": "w ← w − (ε/2)[nβ∇L + γ(w − w*)] + N(0, ε): drift ε/2, noise √ε",
        }
        return {
            schema.CHAINS: Layout(
                {
                    "loss": Variable(
                        ("chain", "draw"), draws, single, {"units": units, "long_name": "batch loss at w"}
                    ),
                    "baseline": Variable(
                        ("chain", "draw"),
                        draws,
                        single,
                        {"units": units, "long_name": "the same batch's loss at w*"},
                    ),
                    "status": Variable(
                        ("chain",),
                        chains,
                        np.dtype(np.int8),
                        {"long_name": "0 healthy, 1 diverged and retired"},
                    ),
                    "distance": Variable(("chain",), chains, single, {"long_name": "final ‖w − w*‖"}),
                    "init_loss": Variable(
                        (), (), single, {"units": units, "long_name": "L(w*) on all the data"}
                    ),
                    "anchor_norm": Variable((), (), single, {"long_name": "‖w*‖"}),
                },
                coords={"draw": sampler.burn_in + sampler.thinning * np.arange(1, sampler.draws + 1) - 1},
                attrs=settings,
            ),
            schema.LLC: Layout(
                {
                    name: Variable(
                        (), (), single, {"units": units if unit == "loss" else unit, "long_name": text}
                    )
                    for name, (unit, text) in _SUMMARY.items()
                },
                attrs={**settings, "trivial_loss": subject.system.trivial_loss},
            ),
        }

    def measure(self, subject: Subject, step: int, stored: Mapping[str, Arrays]) -> Mapping[str, Arrays]:
        """Chains already stored (a kill came between the two groups) are summarised, not run again."""
        sampler = self.sampler(subject)
        if schema.CHAINS in stored:
            chains = stored[schema.CHAINS]
        else:
            traces = estimate_llc(
                subject.load(step),
                subject.system.per_sample_loss,
                subject.pool,
                sampler,
                baseline_batch=subject.system.eval_batch,
            ).traces
            chains = {
                "loss": traces.loss,
                "baseline": traces.baseline,
                "status": traces.status,
                "distance": traces.distance,
                "init_loss": np.asarray(traces.init_loss, dtype=np.float32),
                "anchor_norm": np.asarray(traces.anchor_norm, dtype=np.float32),
            }
        estimate = llc_from_traces(
            chains["loss"],
            chains["baseline"],
            chains["status"],
            n_beta=sampler.n_beta_for(len(subject.pool[0])),
            distance=chains["distance"],
            anchor_norm=float(chains["anchor_norm"]),
        )
        summary = {name: np.asarray(getattr(estimate, name), dtype=np.float32) for name in _SUMMARY}
        return {schema.CHAINS: chains, schema.LLC: summary}
