"""One training, specified: everything that determines its loss, and the identity that follows from it.

Steps are counted from 0; "at step k" means after k optimizer updates. How a process is told to train it, and what it
reports, is in `job`.
"""

import hashlib
import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from sparseplan.runs.facts import RunFacts
from sparseplan.runs.pruning import Pruning
from sparseplan.runs.start import DenseRun, Start
from sparseplan.shapes.base import pruned_weights
from sparseplan.shapes.families import Shape

TRAINING_VERSION = 2
"""Part of every identity: raised when the training code changes what a specification's loss comes out as."""

Positive = Annotated[float, Meta(gt=0)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Count = Annotated[int, Meta(ge=1)]
Dtype = Literal["uint8", "uint16", "uint32"]


class Split(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of a data file: `tokens` entries from `start` on.

    Entries are tokens, raw little-endian or `.npy`, or images, each a byte for its class and one for every value.
    """

    path: Annotated[str, Meta(description="The file; it isn't part of a run's identity.")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="Hash of the whole file, checked at the start.")]
    tokens: Count
    start: Annotated[int, Meta(ge=0)] = 0


class DataSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tokens or images that a run sees."""

    train: Split
    valid: Split
    dtype: Dtype = "uint16"
    unit: Annotated[
        Literal["byte", "token", "image"], Meta(description="What one entry of the files is; D counts these.")
    ] = "token"
    bytes_per_token: Annotated[
        Positive | None, Meta(description="Mean bytes of text behind a token of `valid`; None where unknown.")
    ] = None
    max_epochs: Annotated[Positive, Meta(description="How often a run may see the training data; more is refused.")] = (
        1.0
    )


class AdamW(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="name", tag="adamw"):
    """AdamW; the learning rate holds at `base_width` and falls as 1/width for the weights of the blocks and the head.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101; the width rule: Yang et al. 2022, arXiv:2203.03466, table 8.
    """

    learning_rate: Positive = 1e-2
    base_width: Count = 64
    beta1: Fraction = 0.9
    beta2: Fraction = 0.95
    epsilon: Positive = 1e-8
    weight_decay: Annotated[float, Meta(ge=0, description="Decoupled, on matrices, times the learning rate.")] = 0.1


class Adafactor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="name", tag="adafactor"):
    """Adafactor without momentum; its steps are relative to the RMS of a weight, taken over the non-zero weights.

    With `factored: false` it is the one of Frantar et al. as they released it: the second moment of every weight is
    kept, and updates are clipped by their RMS over the non-zero weights too. The factored one clips by the RMS over
    all, so that pruning loosens its clip: it moves what is left up to 1 / sqrt(1 - S) times as far.

    Source: Shazeer & Stern 2018, arXiv:1804.04235; Frantar et al. 2023, arXiv:2309.08520, and their code,
    google-research/jaxpruner, projects/bigsparse/t5x (scale_by_factored_rms with factored = False, config_util.py).
    """

    factored: Annotated[
        bool,
        Meta(description="Keep row and column means of the second moment only; false is the paper's, as released."),
    ] = True

    learning_rate: Annotated[Positive, Meta(description="Relative step at the peak of the schedule.")] = 5e-2
    clip_threshold: Positive = 1.0
    decay: Annotated[float, Meta(gt=0, le=1, description="beta2 at step t is 1 - t^-decay.")] = 0.8
    epsilon1: Annotated[Positive, Meta(description="Added to squared gradients.")] = 1e-30
    epsilon2: Annotated[Positive, Meta(description="Smallest RMS that a step is relative to.")] = 1e-3


Optimizer = AdamW | Adafactor


class LearningRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The learning rate over training, as a factor of the optimizer's `learning_rate`.

    Up linearly over `warmup` steps, or with `held-inverse-sqrt` at once; then constant, or down with the inverse square
    root of the step; and over the last share `cooldown` of training linearly to zero. Only the cooldown depends on a
    run's length: before it, runs of all lengths train alike and can share a trunk.
    """

    kind: Annotated[
        Literal["constant", "inverse-sqrt", "held-inverse-sqrt"],
        Meta(description="held-inverse-sqrt is T5's: constant for `warmup` steps instead of rising."),
    ] = "constant"
    warmup: Annotated[int, Meta(ge=1, description="Steps, the same for every length.")] = 100
    cooldown: Annotated[float, Meta(ge=0, le=1, description="Share of training.")] = 0.2

    def cooldown_start(self, steps: int) -> int:
        """The step from which a run of `steps` trains at a lower rate than a longer one does."""
        return steps - round(self.cooldown * steps)

    def factor(self, step: int, steps: int) -> float:
        """The factor for the update that takes a run of `steps` from `step` to `step + 1`.

        >>> rate = LearningRate(warmup=10, cooldown=0.2)
        >>> [rate.factor(step, 100) for step in (0, 9, 50, 80, 90, 99)]
        [0.1, 1.0, 1.0, 1.0, 0.5, 0.05]
        """
        rate = 1.0 if self.kind == "held-inverse-sqrt" else min(1.0, (step + 1) / self.warmup)
        if self.kind != "constant" and step >= self.warmup:
            rate = math.sqrt(self.warmup / (step + 1))
        start = self.cooldown_start(steps)
        return rate if step < start else rate * ((steps - step) / (steps - start))


ZLoss = Annotated[
    float,
    Meta(ge=0, description="Times the mean squared log of the softmax's denominator, added to the loss in training."),
]


class TooManyEpochsError(ValueError):
    """A run that would see its data more often than `max_epochs` allows."""


class RunSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One training, from its first weights to its loss: all that determines its numbers, and nothing but file paths
    beside.
    """

    shape: Shape
    data: DataSpec
    batch: Annotated[int, Meta(ge=1, description="Sequences of a step.")]
    steps: Annotated[int, Meta(ge=1, description="Optimizer updates of the whole run.")]
    optimizer: Optimizer = AdamW()
    learning_rate: LearningRate = LearningRate()
    pruning: Pruning = Pruning()
    clip_norm: Annotated[float, Meta(ge=0, description="Largest norm of all gradients together; 0 for none.")] = 1.0
    dtype: Annotated[
        Literal["float32", "bfloat16"], Meta(description="Of the matrix products; weights stay float32.")
    ] = "float32"
    scale_by_density: Annotated[
        bool,
        Meta(
            description="Start prunable weights larger by 1 / sqrt(density) and train them 1 / density as fast, where "
            "a run is sparse from its first step, with no dense weights behind its masks; adamw only."
        ),
    ] = False
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    evaluation_sequences: Annotated[
        int, Meta(ge=1, description="Sequences of the validation loss, spread over `valid`; all where fewer.")
    ] = 256
    z_loss: ZLoss = 0.0
    start: Annotated[
        Start | None, Meta(description="The dense weights that training starts from; null for fresh ones.")
    ] = None

    def __post_init__(self) -> None:
        group = self.pruning.parsed.group
        for matrix in self.shape.matrices:
            if group is not None and matrix.inputs % group:
                raise ValueError(
                    f"expected a width that {group} divides, as the pattern {self.pruning.pattern} needs, "
                    f"found {matrix.inputs} inputs of {matrix.name}"
                )
        if self.scale_by_density and not isinstance(self.optimizer, AdamW):
            raise ValueError(
                "expected the optimizer adamw, whose rate scale_by_density knows how to scale, found another"
            )
        if self.scaled_by_density and self.start is not None:
            raise ValueError("expected fresh weights, which scale_by_density scales, found a start from dense ones")
        if self.epochs > self.data.max_epochs:
            raise TooManyEpochsError(
                f"expected at most {self.data.max_epochs:g} passes over the training data, found {self.epochs:.3g}: "
                f"{self.data_seen} {self.data.unit}s seen of {self.unique_data}{self._seen_before}; "
                "train shorter, bring more data, or raise max_epochs"
            )

    @property
    def scaled_by_density(self) -> bool:
        """Whether `scale_by_density` changes anything: whether the run's weights are sparse when it starts."""
        return self.scale_by_density and self.pruning.from_start and self.pruning.strategy.scales_by_density

    @property
    def updates(self) -> int:
        """Updates of the whole training: `steps`, or more where a strategy trains in rounds that go back."""
        return self.pruning.total_updates(self.steps)

    @property
    def tokens_per_step(self) -> int:
        """Tokens, or patches of images, that one update sees."""
        return self.batch * self.shape.tokens_per_sequence

    @property
    def data_seen(self) -> int:
        """Data of the whole run in its unit, repeats counted: the law's D."""
        return self.steps * self.batch * self.shape.data_per_sequence

    @property
    def unique_data(self) -> int:
        """Data that a run can see once, in D's unit."""
        return round(self.data.train.tokens * self.shape.data_per_sequence / self.shape.entries_per_sequence)

    @property
    def epochs(self) -> float:
        """Passes over the training data, those of the dense run that this one starts from among them."""
        sequences = (self.first_batch + self.steps) * self.batch
        return sequences * self.shape.entries_per_sequence / self.data.train.tokens

    @property
    def dense_run(self) -> "RunSpec | None":
        """The run whose last weights this one starts from; None where it starts from others."""
        if not isinstance(self.start, DenseRun):
            return None
        return msgspec.structs.replace(self, steps=self.start.steps, pruning=Pruning(), start=None)

    @property
    def first_batch(self) -> int:
        """Batches of the training data that the dense run before this one saw: the order goes on from there."""
        return self.start.steps if isinstance(self.start, DenseRun) else 0

    @property
    def dense_data_seen(self) -> float | None:
        """Data that the dense weights had been trained on before this run, not part of D; None for fresh weights."""
        if isinstance(self.start, DenseRun):
            return float(self.start.steps * self.batch * self.shape.data_per_sequence)
        return None if self.start is None else self.start.data_seen

    @property
    def dense_train_flops(self) -> float | None:
        """What those weights took to train, 6 N D with all weights; `train_flops` are without it."""
        if self.dense_data_seen is None:
            return None
        tokens = self.dense_data_seen * self.shape.tokens_per_sequence / self.shape.data_per_sequence
        return 6.0 * self.shape.dense_params * tokens

    @property
    def nonzero_params(self) -> int:
        """Prunable weights left at the end: the law's N."""
        return self.shape.nonzero_params(self.pruning.sparsity)

    @property
    def train_flops(self) -> float:
        """6 x the weights in force x tokens, summed over all updates: the law's C with sparse FLOPs.

        The weights in force at a step are a third of the operands of its three products: where the gradient of all
        weights is formed, as by straight-through masks, a pruned weight counts for a third.
        """
        return 6.0 * self.tokens_per_step * self.weight_steps(0, self.updates)

    def weight_steps(self, from_step: int, to_step: int) -> float:
        """Weights in force, summed over the updates from `from_step` to `to_step`."""
        numels = [matrix.numel for matrix in self.shape.matrices]
        total = 0.0
        for at, until, sparsity in self.pruning.phases(self.steps):
            first, last = max(at, from_step), min(until, to_step)
            if first >= last:
                continue
            pruned = sum(pruned_weights(numel, sparsity) for numel in numels)
            dense = self.pruning.strategy.dense_gradients(first, last, self.steps) if pruned else 0
            total += (last - first) * (sum(numels) - pruned) + dense * pruned / 3.0
        return total

    def facts(self) -> RunFacts:
        """The run in the law's terms."""
        return RunFacts(
            run_id=self.run_id,
            pattern=self.pruning.pattern,
            strategy=self.pruning.strategy_name,
            sparsity=self.pruning.sparsity,
            nonzero_params=self.nonzero_params,
            dense_params=self.shape.dense_params,
            data_seen=self.data_seen,
            data_unit=self.data.unit,
            epochs=self.epochs,
            unique_data=self.unique_data if self.epochs > 1 else None,
            train_flops=self.train_flops,
            seed=self.seed,
            dense_data_seen=self.dense_data_seen,
            dense_train_flops=self.dense_train_flops,
        )

    @property
    def run_id(self) -> str:
        """Identity: a hash of what determines the numbers, so not of paths; 16 hex digits."""
        return _digest(self._determinants())

    @property
    def branch_step(self) -> int:
        """The last step until which this run is the prefix, uncooled, that other runs share."""
        return min(self.pruning.shared_until(self.steps), self.learning_rate.cooldown_start(self.steps))

    @property
    def trunk_id(self) -> str:
        """Identity of the shared prefix: runs with one trunk id train alike until each one's `branch_step`.

        A prefix is dense, or, where the run is pruned from the start, pruned like this.
        """
        return self._prefix_id(pruned=self.pruning.from_start)

    @property
    def final_id(self) -> str:
        """Identity of the weights that the run ends with, which others may start from."""
        return f"final-{self.run_id}"

    @property
    def origin_id(self) -> str:
        """Identity of what chance decides before pruning does: initialisation and the order of the data.

        Runs of one origin share their luck, from one trunk or not: a bootstrap draws them together.
        """
        return self._prefix_id(pruned=False, origin=True)

    def _prefix_id(self, *, pruned: bool, origin: bool = False) -> str:
        facts = self._determinants()
        for later in ("steps", "evaluation_sequences"):
            del facts[later]
        if not pruned:
            del facts["pruning"]
            facts.pop("scale_by_density", None)  # the same luck, scaled
        if origin and isinstance(self.start, DenseRun):
            del facts["start"]  # the luck of the run before
        del facts["learning_rate"]["cooldown"]
        del facts["data"]["valid"]
        return "trunk-" + _digest(facts)

    def _determinants(self) -> dict[str, Any]:
        """Everything that determines the loss, as plain data."""
        facts: dict[str, Any] = {"training": TRAINING_VERSION, **msgspec.to_builtins(self)}
        for split in ("train", "valid"):
            del facts["data"][split]["path"]
        for aside in ("max_epochs", "bytes_per_token", "unit"):
            del facts["data"][aside]
        facts["pruning"] = self.pruning.determinants()
        if not self.scaled_by_density:
            del facts["scale_by_density"]
        if facts["optimizer"].get("factored"):  # as all were before there was a choice: their identities stay
            del facts["optimizer"]["factored"]
        if not self.z_loss:  # likewise
            del facts["z_loss"]
        if self.start is None:  # likewise
            del facts["start"]
        else:
            facts["start"].pop("path", None)
        return facts

    @property
    def _seen_before(self) -> str:
        dense = self.dense_run
        return "" if dense is None else f", after {dense.data_seen} by the dense run before"


def _digest(facts: dict[str, Any]) -> str:
    text = msgspec.json.encode(facts, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:16]
