"""The facts of a run: what its record, its row in the runs table and its line in a dry run have in common."""

from msgspec import Struct


class RunFacts(Struct, frozen=True, kw_only=True):
    """What a run is, in the law's terms.

    Attributes:
        run_id: Identity of the run's specification.
        pattern, sparsity: What it is pruned to; the final share of prunable weights that are zero.
        strategy: How it was pruned, dense where nothing was; records without it are of gradual magnitude pruning.
        nonzero_params: N, prunable weights left at the end.
        dense_params: Prunable weights before pruning.
        data_seen: D, data of the whole run, trunk included, a dense run before it not, repeats counted.
        data_unit: What D counts: byte, token or image.
        epochs: Passes over the training data.
        unique_data: U, how much of it is different, in the same unit; None where the run saw nothing twice.
        train_flops: Sparse FLOPs of the whole run, see `RunSpec.train_flops`; without those of a dense run before it.
        dense_data_seen: Data that the dense weights which it started from were trained on, in the same unit and no part
            of D; None where it started from scratch.
        dense_train_flops: What those took to train; None likewise.
        seed: Of initialisation and data order.
    """

    run_id: str
    pattern: str
    strategy: str = "gradual-magnitude"
    sparsity: float
    nonzero_params: int
    dense_params: int
    data_seen: int
    data_unit: str
    epochs: float
    train_flops: float
    seed: int
    unique_data: int | None = None
    dense_data_seen: float | None = None
    dense_train_flops: float | None = None
