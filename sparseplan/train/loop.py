"""The loop: bring a segment's training to where it was, make its updates, and report.

Everything that depends on time (checkpoints, progress) leaves the numbers alone; everything that moves the numbers
depends on step and seed alone. So a run killed at any moment ends in the same loss.
"""

import math
import platform
import threading
import time
from pathlib import Path

import numpy as np
import torch

from sparseplan import __version__
from sparseplan.errors import SparseplanError
from sparseplan.runs.job import Job, Record, RunRecord, TrunkRecord, kept_checkpoint, rolling_checkpoint
from sparseplan.shapes.base import pruned_weights
from sparseplan.train import checkpoint, semi_structured
from sparseplan.train.checkpoint import State
from sparseplan.train.data import Order, Windows, open_windows, validation_windows
from sparseplan.train.models.gpt import Gpt, PrunableLinear
from sparseplan.train.optimizers import build_optimizer, set_rates
from sparseplan.train.progress import Reporter
from sparseplan.train.pruning.registry import build_pruner
from sparseplan.train.runner import Batch, Runner, resolve_execution

CHECK_STEPS = 16
"""Steps between looks at the loss: a look makes a GPU wait."""
DIVERGED_ABOVE = 2.0
"""Nats above a uniform guess at which a training counts as diverged."""


class StoppedError(Exception):
    """The process was asked to stop; its state has been saved."""


class Training:
    """One segment on its way.

    Args:
        job: What to train and where.
        stop: Set from outside when the process should save itself and stop.

    Raises:
        SparseplanError: if data, device or a parent's checkpoint are missing or unfit.
    """

    def __init__(self, job: Job, *, stop: threading.Event) -> None:
        self._job, self._stop = job, stop
        self._segment, self._run, placement = job.segment, job.segment.run, job.placement
        self._folder = Path(job.checkpoints)
        self._device = _device(placement.device)
        if placement.threads is not None:
            torch.set_num_threads(placement.threads)
        if self._run.batch % placement.accumulate:
            raise SparseplanError(
                f"expected accumulate to divide the batch of {self._run.batch}, found {placement.accumulate}."
            )
        shape = self._run.shape
        self._train, self._valid = open_windows(
            self._run.data, context=shape.context, vocab=shape.vocab, device=self._device
        )
        self._order = Order(self._train.count, seed=self._run.seed)
        model = Gpt(shape, seed=self._run.seed).to(self._device)
        optimizer = build_optimizer(model, self._run.optimizer)
        self._state = State(model, optimizer, build_pruner(model.prunable(), self._run))
        self._reporter = Reporter(job.progress, self._segment, every_seconds=placement.progress_seconds)
        self._execution = resolve_execution(placement, self._run)
        # what became of 2:4 products; only a pattern has them
        self._semi: semi_structured.Choice | None = None

    def train(self) -> Record:
        """Make the segment's updates; returns its record.

        Raises:
            StoppedError: if asked to stop; a rolling checkpoint is left.
            SparseplanError: if a checkpoint that others wait for can't be written.
        """
        segment, run = self._segment, self._run
        step, self._seconds_before, note = checkpoint.resume(self._folder, self._state, segment)
        self._started = self._saved = time.perf_counter()
        if note is not None:
            self._reporter.say("note", step, note=note)
        self._reporter.start(step)
        first = step
        pruner, optimizer = self._state.pruner, self._state.optimizer
        dense_until, settled_from = run.pruning.dense_until(run.steps), run.pruning.settled_from(run.steps)
        runner: Runner | None = None
        reason: str | None = None
        while step < segment.to_step:
            if pruner.acts_at(step):
                pruner.at_step(step, optimizer)
            masked = step >= dense_until
            if runner is None or runner.masked != masked:
                runner = self._runner(masked=masked)
            set_rates(optimizer, run.learning_rate.factor(step, run.steps))
            batch = self._batch(step)
            if self._semi is None and step >= settled_from and run.pruning.parsed.group is not None:
                runner = self._final_runner(runner, batch)
            loss = runner(batch)
            step += 1
            if step % CHECK_STEPS == 0 or pruner.acts_at(step) or step == segment.to_step:
                reason = self._divergence(float(loss))
                if reason is not None:
                    break
            if self._reporter.due():
                self._reporter.step(step, float(loss))
            self._save_if_due(step)
        if reason is None and segment.finish and pruner.acts_at(step):  # as a ramp that ends with training does
            pruner.at_step(step, optimizer)
        training_seconds = time.perf_counter() - self._started
        rate = (step - first) * run.tokens_per_step / training_seconds if step > first else None
        record = self._record(step, reason, rate)
        self._reporter.say("done", step, seconds=self._seconds, tokens_per_second=rate, note=reason)
        return record

    @property
    def _seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self._started

    def _batch(self, step: int) -> Batch:
        return self._train.batch(self._order.windows(step * self._run.batch, self._run.batch))

    def _runner(self, *, masked: bool, compressed: bool = False) -> Runner:
        return Runner(
            self._state,
            self._run,
            device=self._device,
            # compression is eager: it has no meta kernel, so it can't be inside a compiled region or a graph
            execution="eager" if compressed else self._execution,
            masked=masked,
            accumulate=self._job.placement.accumulate,
        )

    def _final_runner(self, masked: Runner, batch: Batch) -> Runner:
        """The runner of the phase after the ramp: with 2:4 products where they are right and faster."""
        if self._job.placement.semi_structured == "off":
            self._semi = semi_structured.Choice(False, "switched off")
            return masked
        dtype = getattr(torch, self._run.dtype)
        masks = list(self._state.pruner.masks.values())
        fault = semi_structured.why_unsupported(masks, device=self._device, dtype=dtype)
        if fault is not None:
            self._semi = semi_structured.Choice(False, fault)
            return masked
        backend = semi_structured.CuSparseLt()
        compressed = self._runner(masked=True, compressed=True)

        def sparse_seconds() -> float:
            self._set_backend(backend)
            try:
                return compressed.seconds(batch)
            finally:
                self._set_backend(None)

        self._semi = semi_structured.choose(
            backend,
            [weight.detach() * mask for weight, mask in zip(self._state.model.prunable().values(), masks, strict=True)],
            rows=self._run.tokens_per_step // self._job.placement.accumulate,
            dtype=dtype,
            masked_step_seconds=lambda: masked.seconds(batch),
            sparse_step_seconds=sparse_seconds,
        )
        if not self._semi.use:
            return masked
        self._set_backend(backend)
        return compressed

    def _set_backend(self, backend: semi_structured.Backend | None) -> None:
        for module in self._state.model.modules():
            if isinstance(module, PrunableLinear):
                module.backend = backend

    def _divergence(self, loss: float) -> str | None:
        """Why the training has diverged, None where it hasn't; looked at only at steps fixed in advance."""
        limit = math.log(self._run.shape.vocab) + DIVERGED_ABOVE
        if math.isfinite(loss) and loss <= limit:
            return None
        return f"the loss is {loss:.4g}, above {limit:.4g}" if math.isfinite(loss) else f"the loss is {loss}"

    def _save_if_due(self, step: int) -> None:
        if step in self._segment.keep:
            self._save(kept_checkpoint(self._folder, self._segment.id, step), step)
            self._reporter.say("checkpoint", step)
        rolling = rolling_checkpoint(self._folder, self._segment.id)
        if self._stop.is_set():
            self._save(rolling, step)
            raise StoppedError
        if time.perf_counter() - self._saved >= self._job.placement.checkpoint_seconds and step < self._segment.to_step:
            try:
                self._save(rolling, step)
            except SparseplanError as problem:  # a full disk now may be none at the end; nothing is lost but time
                self._reporter.say("note", step, note=f"no rolling checkpoint: {problem}")
            self._saved = time.perf_counter()

    def _save(self, path: Path, step: int) -> None:
        checkpoint.save(path, self._state, segment=self._segment, step=step, seconds=self._seconds)

    def _record(self, step: int, reason: str | None, rate: float | None) -> Record:
        run, segment = self._run, self._segment
        versions = _versions(self._device)
        device = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else _processor()
        if not segment.finish:
            return TrunkRecord(
                trunk_id=segment.id,
                step=step,
                diverged=reason is not None,
                reason=reason,
                segment_seconds=self._seconds,
                tokens_per_second=rate,
                device=device,
                execution=self._execution,
                versions=versions,
            )
        loss: float | None = None
        if reason is None:
            evaluated = self._evaluate(self._valid)
            reason = self._divergence(evaluated)
            if reason is None:
                self._state.pruner.check()
                loss = evaluated
        bytes_per_token = run.data.bytes_per_token
        matrices = run.shape.matrices
        zeros = sum(pruned_weights(matrix.numel, run.pruning.sparsity) for matrix in matrices)
        return RunRecord(
            run_id=run.run_id,
            sparsity=run.pruning.sparsity,
            pattern=run.pruning.pattern,
            strategy=run.pruning.strategy_name,
            nonzero_params=run.shape.dense_params - (self._state.pruner.zeros() if loss is not None else zeros),
            dense_params=run.shape.dense_params,
            data_seen=run.data_seen,
            data_unit=run.data.unit,
            epochs=run.epochs,
            train_flops=run.train_flops,
            loss=loss,
            bits_per_byte=None if loss is None or bytes_per_token is None else loss / math.log(2) / bytes_per_token,
            diverged=reason is not None,
            reason=None if reason is None else f"{reason}, at step {step}",
            seed=run.seed,
            trunk=segment.parent,
            trunk_step=segment.from_step,
            segment_seconds=self._seconds,
            tokens_per_second=rate,
            device=device,
            execution=self._execution,
            semi_structured=self._semi is not None and self._semi.use,
            semi_structured_reason=None if self._semi is None else self._semi.reason,
            versions=versions,
        )

    @torch.no_grad()
    def _evaluate(self, windows: Windows) -> float:
        """Mean loss over the validation windows, the same for every run, in float64."""
        chosen = validation_windows(windows.count, self._run.evaluation_sequences)
        self._set_backend(None)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        pieces = [chosen[at : at + self._run.batch] for at in range(0, len(chosen), self._run.batch)]
        for piece in pieces:
            with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._run.dtype == "bfloat16"):
                total += self._state.model(*windows.batch(piece)).double() * len(piece)
        return float(total) / len(chosen)


def _device(name: str) -> torch.device:
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise SparseplanError(
            f"expected the device {name}, found no CUDA; choose the device cpu, or install CUDA torch."
        )
    if not name.startswith("cuda"):
        return torch.device(name)
    index = torch.device(name).index or 0
    if index >= torch.cuda.device_count():
        raise SparseplanError(f"expected one of {torch.cuda.device_count()} CUDA devices, found {name}.")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _versions(device: torch.device) -> dict[str, str]:
    versions = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "sparseplan": __version__,
    }
    if device.type == "cuda" and torch.version.cuda is not None:
        versions["cuda"] = torch.version.cuda
    return versions


def _processor() -> str:
    """The CPU's model name, from Linux's list where there is one."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
