"""Cut runs into segments so that what they have in common is trained once.

Runs with one trunk id (dense size, seed, data order, optimizer) train alike until each one's `branch_step`: a sparse
run's ramp begins, a dense run's learning rate starts to fall. Runs that are pruned from the start, as static ones
are, have trunks of their own: a sparsity's lengths share all but their cooldowns. The common prefix becomes one
trunk segment, which goes as far as its longest branch needs and leaves a checkpoint at every branch step; each run is
then a branch.
A branched run equals the unshared one, bit for bit on one CPU thread: the order of the data depends on seed and step
alone, and a checkpoint holds the whole state.

Runs that start from a dense run need its last weights. A segment of its own, from the trunk to its end, leaves them for
all that start there, and for the dense run itself, which then only evaluates: it is a run of the plan too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from sparseplan.runs.job import Segment
from sparseplan.runs.spec import RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentPlan:
    """Segments in an order in which every parent comes before its children.

    Attributes:
        segments: Trunks and runs; a child can start once its parent's checkpoint at its `from_step` exists.
        unshared_flops: Training FLOPs of all runs, each trained by itself, with the dense run that it starts from.
        shared_flops: Training FLOPs of the segments.
    """

    segments: tuple[Segment, ...]
    unshared_flops: float
    shared_flops: float

    @property
    def saved(self) -> float:
        """Share of the training FLOPs that trunks save, in [0, 1)."""
        return 1.0 - self.shared_flops / self.unshared_flops if self.unshared_flops else 0.0


def plan_segments(runs: Sequence[RunSpec], *, share: bool = True, keep_dense: bool = False) -> SegmentPlan:
    """Plan the segments of some runs; equal runs are trained once, and `share=False` trains each from scratch.

    With `keep_dense` dense runs leave a checkpoint of their last weights, which nothing removes.

    >>> from sparseplan.shapes.gpt import GptShape
    >>> from sparseplan.runs.pruning import Pruning
    >>> from sparseplan.runs.spec import DataSpec, RunSpec, Split
    >>> data = DataSpec(train=Split(path="t", sha256="0" * 64, tokens=10**6),
    ...                 valid=Split(path="v", sha256="1" * 64, tokens=10**4))
    >>> shape = GptShape(layers=1, width=64, heads=1, vocab=256, context=32)
    >>> runs = [RunSpec(shape=shape, data=data, batch=4, steps=100, pruning=Pruning(sparsity=s)) for s in (0, 0.5)]
    >>> plan = plan_segments(runs)
    >>> [(segment.from_step, segment.to_step, segment.keep) for segment in plan.segments]
    [(0, 80, (25, 80)), (25, 100, ()), (80, 100, ())]
    >>> round(plan.saved, 3)
    0.148
    """
    distinct = list({run.run_id: run for run in runs}.values())
    sources = {dense.run_id: dense for run in distinct if (dense := run.dense_run) is not None}
    every = {run.run_id: run for run in distinct} | sources
    segments: list[Segment] = []
    # dense runs before those that start from them
    ordered = sorted(
        every.values(), key=lambda run: (run.start is not None, run.trunk_id, run.branch_step, run.steps, run.run_id)
    )
    for _, members in groupby(ordered, key=lambda run: run.trunk_id):
        for segment in _family(list(members), share=share):
            parts = [_to_its_weights(segment), _evaluation(segment.run)] if segment.id in sources else [segment]
            segments.extend(_kept(part) if keep_dense else part for part in parts)
    return SegmentPlan(
        segments=tuple(segments),
        unshared_flops=sum(run.train_flops + (run.dense_run.train_flops if run.dense_run else 0.0) for run in distinct),
        shared_flops=sum(segment.train_flops for segment in segments),
    )


def _family(runs: list[RunSpec], *, share: bool) -> list[Segment]:
    """The segments of runs with one trunk id, ascending in branch step."""
    branching = [run for run in runs if run.branch_step > 0] if share else []
    if len(branching) < 2:
        return [_alone(run) for run in runs]
    longest = branching[-1]
    trunk = Segment(
        id=longest.trunk_id,
        run=longest,
        from_step=0,
        to_step=longest.branch_step,
        keep=tuple(sorted({run.branch_step for run in branching})),
        finish=False,
    )
    branches = [
        Segment(id=run.run_id, run=run, from_step=run.branch_step, to_step=run.updates, parent=trunk.id)
        for run in branching
    ]
    return [trunk, *(_alone(run) for run in runs if run.branch_step == 0), *branches]


def _alone(run: RunSpec) -> Segment:
    return Segment(id=run.run_id, run=run, from_step=0, to_step=run.updates)


def _to_its_weights(segment: Segment) -> Segment:
    """The segment of a dense run that leaves its last weights, in place of the one that ends it."""
    run = segment.run
    return msgspec.structs.replace(segment, id=run.final_id, keep=(run.updates,), finish=False)


def _kept(segment: Segment) -> Segment:
    """The segment, with a checkpoint at its end where it ends a dense run."""
    ends_dense = segment.finish and segment.run.pruning.sparsity == 0
    return msgspec.structs.replace(segment, keep=(segment.to_step,)) if ends_dense else segment


def _evaluation(run: RunSpec) -> Segment:
    return Segment(id=run.run_id, run=run, from_step=run.updates, to_step=run.updates, parent=run.final_id)
