"""Names of the store: every group, dimension, variable and attribute, once.

One run is one tree of groups (an ``xarray.DataTree`` in Zarr 3). ``step`` is a value (training steps taken),
never a list index, and lives in every group, because groups may have measured different checkpoints.
"""

from typing import Final

FORMAT: Final = "devexplore-run"
FORMAT_VERSION: Final = 1

RUN_FILE: Final = "run.json"
CHECKPOINTS_FOLDER: Final = "checkpoints"
TOKENIZER_FILE: Final = "tokenizer.json"
TRAINING_LOG: Final = "training.csv"
STORE_FOLDER: Final = "measurements.zarr"
STORE_ZIP: Final = "measurements.zarr.zip"

SYSTEMS: Final = ("language", "regression", "superposition", "deep_linear")

STEP: Final = "step"
MEASURED: Final = "measured"
CONTENT_HASH: Final = "content_hash"

CHECKPOINTS: Final = "checkpoints"
PROBE: Final = "probe"
OUTPUTS: Final = "outputs"
LOSSES: Final = "losses"
METRICS: Final = "metrics"
CHAINS: Final = "chains"
LLC: Final = "llc"
ANNOTATIONS: Final = "annotations"

OUTPUT_KINDS: Final = ("log_probs", "predictions", "logits", "true_token_logit")
"""What of the model's output is kept, in the order in which essential dynamics prefers them."""

CHAIN_OK: Final = 0
CHAIN_DIVERGED: Final = 1
