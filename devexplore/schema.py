"""Names of the store: every group, dimension, variable and attribute, once.

One run is one tree of groups (an ``xarray.DataTree`` in Zarr 3). ``step`` is a value (training steps taken),
never a list index, and lives in every group, because groups may have measured different checkpoints.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from devexplore.errors import SchemaError

if TYPE_CHECKING:
    import xarray as xr

FORMAT: Final = "devexplore-run"
FORMAT_VERSION: Final = 1
BOUNDARIES_FORMAT: Final = "devexplore-boundaries"
BOUNDARIES_VERSION: Final = 1

RUN_FILE: Final = "run.json"
CHECKPOINTS_FOLDER: Final = "checkpoints"
SEEDS_FOLDER: Final = "seeds"
"""Holds runs of the same training from other seeds."""

TOKENIZER_FILE: Final = "tokenizer.json"
TRAINING_LOG: Final = "training.csv"
ANNOTATIONS_FILE: Final = "annotations.toml"
FORM_NOTES: Final = "forms.toml"
FORM_NOTES_FORMAT: Final = "devexplore-form-notes"
FORM_NOTES_VERSION: Final = 1
STORE_FOLDER: Final = "measurements.zarr"
STORE_ZIP: Final = "measurements.zarr.zip"

SYSTEMS: Final = ("language", "regression", "superposition", "deep_linear")

TABLE: Final = "table"
"""In the place of a system: a run that was imported from a table, without a network."""

STEP: Final = "step"
LAST_STEP: Final = 2**53
"""Steps are below this: beyond it, not every whole number is a 64-bit float."""

MEASURED: Final = "measured"
CONTENT_HASH: Final = "content_hash"

CHECKPOINTS: Final = "checkpoints"
PROBE: Final = "probe"
OUTPUTS: Final = "outputs"
REFERENCES: Final = "references"
ON_PROBE: Final = "on_probe"
"""``on_probe/<probe_id>/outputs/…`` and ``…/references/…``: the same groups, on another run's probe."""

LOSSES: Final = "losses"
METRICS: Final = "metrics"
METRIC_BLOCKS: Final = "metric_blocks"
"""The metrics that average over samples, on each of several disjoint groups of samples."""

CHAINS: Final = "chains"
LLC: Final = "llc"
TRUST: Final = "trust"
REFINED: Final = "refined"
TOKEN_TRACES: Final = "token_traces"

OUTPUT_KINDS: Final = ("log_probs", "predictions", "logits", "true_token_logit")
"""What of the model's output is kept, in the order in which essential dynamics prefers them."""

SKETCH: Final = "_sketch"
"""Ends the name of a group that holds outputs as a random sketch: ``outputs/log_probs_sketch``."""

SKETCHED: Final = "sketched"
"""Attribute of sketched outputs: how many numbers are left of ``n_features``, as its neighbour says."""

N_FEATURES: Final = "n_features"

LIFTED: Final = "lifted"
PATH: Final = "path"
NEAREST: Final = "nearest"
"""Predictors of a lift: the form, the trajectory's own point at its time, the checkpoint nearest in time."""

CHAIN_OK: Final = 0
CHAIN_DIVERGED: Final = 1

KIND: Final = "kind"
"""Attribute by which derived Datasets say what they are: one of the following."""

STAGES: Final = "stages"
FORMS: Final = "forms"

SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    STAGES: (
        "name", "start", "end", "type", "delta_loss", "delta_llc", "delta_llc_se", "boundary_lower",
        "boundary_upper", "boundary_kind", "probability",
    ),
    FORMS: (
        "step", "step_low", "step_high", "angle", "p_value", "p_value_se", "residual", "strength",
        "coordinates",
    ),
}  # fmt: skip
"""Their variables that tables show."""

_EACH_TOKEN: Final = (STEP, "sequence", "position")
_EACH_DRAW: Final = (STEP, "chain", "draw")

REQUIRED: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    CHECKPOINTS: dict.fromkeys(("train_loss", "learning_rate", "samples_seen", CONTENT_HASH), (STEP,)),
    OUTPUTS: {"output": _EACH_TOKEN},  # some kinds have one more dimension behind
    REFERENCES: {"output": ("predictor", "sequence", "position")},
    LOSSES: {"token_loss": _EACH_TOKEN, "test_loss": (STEP,)},
    METRICS: {"weight_norm": (STEP,)},
    CHAINS: {
        "loss": _EACH_DRAW,
        "baseline": _EACH_DRAW,
        "status": (STEP, "chain"),
        "distance": (STEP, "chain"),
        "init_loss": (STEP,),
    },
    LLC: dict.fromkeys(
        ("llc", "llc_se", "rhat", "ess", "excess_loss", "relative_distance", "diverged_chains"), (STEP,)
    ),
}
"""Variables that a group must have if it is there, with the dimensions they begin with."""

REQUIRED_OF_TABLES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    LOSSES: {"test_loss": (STEP,)},
    LLC: dict.fromkeys(("llc", "llc_se"), (STEP,)),
}
"""The same, of imported tables: what nobody measured cannot be missing."""


def check(tree: "xr.DataTree", system: str | None = None) -> None:
    """Check that every group that is there has its variables, with their dimensions, on increasing steps.

    Groups of other names are the user's own and pass; of the ``system`` "table" less is required. Raises
    ``SchemaError`` naming every problem found.
    """
    problems = list(_problems(tree, REQUIRED_OF_TABLES if system == TABLE else REQUIRED))
    if problems:
        raise SchemaError(
            f"not as devexplore stores measurements: {'; '.join(problems)}; measure these again"
        )


def output_groups(kind: str | None) -> list[str]:
    """Groups that outputs of this kind (None: of any) may lie in, the one to be preferred first: whole ones
    before sketches."""
    kinds = OUTPUT_KINDS if kind is None else (kind,)
    return [f"{OUTPUTS}/{name}{end}" for end in ("", SKETCH) for name in kinds]


def _required(
    group: str, required: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> Mapping[str, tuple[str, ...]]:
    if group.startswith(f"{OUTPUTS}/") and group.endswith(SKETCH):
        return {"output": (STEP, "feature")}
    return required.get(group.split("/")[0], {})


def _problems(tree: "xr.DataTree", required_of: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Iterator[str]:
    for node in tree.subtree:
        group = node.path.lstrip("/")
        required = _required(group, required_of)
        if len(node.variables) == 0:
            continue
        for name, dims in required.items():
            if name not in node.variables:
                yield f"{group} lacks {name}({', '.join(dims)})"
            elif node.variables[name].dims[: len(dims)] != dims:
                found = ", ".join(map(str, node.variables[name].dims))
                yield f"{group}/{name} has dimensions ({found}) where ({', '.join(dims)}) was expected"
        if STEP in node.indexes:
            steps = node.indexes[STEP]
            if not (steps.is_monotonic_increasing and steps.is_unique):
                yield f"{group}/{STEP} is not increasing"
