"""The loop: bring a segment's training to where it was, make its updates, and report.

Everything that depends on time (checkpoints, progress) leaves the numbers alone; everything that moves the numbers
depends on step and seed alone. So a run killed at any moment ends in the same loss.
"""

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from sparseplan.errors import SparseplanError
from sparseplan.runs.job import Job, Record, kept_checkpoint, rolling_checkpoint
from sparseplan.train import checkpoint, semi_structured
from sparseplan.train.checkpoint import State
from sparseplan.train.density import initial_densities, scale_weights
from sparseplan.train.device import open_device
from sparseplan.train.families import build_model, open_task
from sparseplan.train.final_phase import final_runner
from sparseplan.train.optimizers import build_optimizer, set_rates
from sparseplan.train.progress import Reporter
from sparseplan.train.pruning.registry import build_pruner
from sparseplan.train.pruning.view import ModelView
from sparseplan.train.records import Course, run_record, trunk_record
from sparseplan.train.runner import Runner, resolve_execution
from sparseplan.train.start import load_start

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
        on_step: Called after every update with the step it led to; whoever measures or watches hooks in here.

    Raises:
        SparseplanError: if data, device or a parent's checkpoint are missing or unfit.
    """

    def __init__(self, job: Job, *, stop: threading.Event, on_step: Callable[[int], None] | None = None) -> None:
        self._job, self._stop, self._on_step = job, stop, on_step
        self._segment, self._run, placement = job.segment, job.segment.run, job.placement
        self._folder = Path(job.checkpoints)
        self._device = open_device(placement.device)
        if placement.threads is not None:
            torch.set_num_threads(placement.threads)
        if self._run.batch % placement.accumulate:
            raise SparseplanError(
                f"expected accumulate to divide the batch of {self._run.batch}, found {placement.accumulate}."
            )
        self._task = open_task(self._run, self._device)
        model = build_model(self._run.shape, seed=self._run.seed).to(self._device)
        densities = initial_densities(self._run)
        scale_weights(model, densities)
        optimizer = build_optimizer(model, self._run.optimizer, densities)
        self._state = State(
            model, optimizer, build_pruner(model.prunable(), self._run, ModelView(model, self._task, self._run))
        )
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
        if step == 0:
            load_start(self._state.model, run, segment.needs, self._folder)
        if note is not None:
            self._reporter.say("note", step, note=note)
        self._reporter.start(step)
        first = step
        pruner, optimizer = self._state.pruner, self._state.optimizer
        dense_until, settled_from = run.pruning.dense_until(run.steps), run.pruning.settled_from(run.steps)
        runner: Runner | None = None
        reason: str | None = None
        if segment.from_step == segment.to_step in segment.keep:  # a trunk's last state is this segment's
            self._save_if_due(step)
        while step < segment.to_step:
            if pruner.acts_at(step):
                pruner.at_step(step, optimizer)
            masked = step >= dense_until
            if runner is None or runner.masked != masked:
                runner = self._runner(masked=masked)
            place = run.pruning.place(step, run.steps)
            set_rates(optimizer, run.learning_rate.factor(place, run.steps))
            batch = self._task.batch(run.first_batch + place)
            if self._semi is None and step >= settled_from and run.pruning.parsed.group is not None:
                runner, self._semi = final_runner(
                    self._state,
                    run,
                    self._job.placement,
                    device=self._device,
                    masked=runner,
                    compressed=lambda: self._runner(masked=True, compressed=True),
                    batch=batch,
                )
            look = partial(pruner.at_gradient, step, optimizer) if pruner.looks_at(step) else None
            loss = runner(batch, look=look)
            step += 1
            if step % CHECK_STEPS == 0 or pruner.acts_at(step) or step == segment.to_step:
                reason = self._divergence(float(loss))
                if reason is not None:
                    break
            if self._reporter.due():
                self._reporter.step(step, float(loss))
            self._save_if_due(step)
            if self._on_step is not None:
                self._on_step(step)
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

    def _runner(self, *, masked: bool, compressed: bool = False) -> Runner:
        return Runner(
            self._state,
            self._task,
            self._run,
            device=self._device,
            # compression is eager: it has no meta kernel, so it can't be inside a compiled region or a graph
            execution="eager" if compressed else self._execution,
            masked=masked,
            accumulate=self._job.placement.accumulate,
        )

    def _divergence(self, loss: float) -> str | None:
        """Why the training has diverged, None where it hasn't; looked at only at steps fixed in advance."""
        limit = self._run.shape.loss_of_a_guess + DIVERGED_ABOVE
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
        segment = self._segment
        loss: float | None = None
        accuracy: float | None = None
        if segment.finish and reason is None:
            evaluated, hits = self._evaluate()
            reason = self._divergence(evaluated)
            if reason is None:
                self._state.pruner.check()
                loss, accuracy = evaluated, hits
        course = Course(
            step=step,
            reason=reason,
            seconds=self._seconds,
            tokens_per_second=rate,
            execution=self._execution,
            semi_structured=self._semi,
        )
        if not segment.finish:
            return trunk_record(segment, course, self._device)
        return run_record(
            segment,
            course,
            self._device,
            loss=loss,
            bits_per_byte=None if loss is None else self._task.bits_per_byte(loss),
            accuracy=accuracy,
            zeros=None if loss is None else self._state.pruner.zeros(),
        )

    @torch.no_grad()
    def _evaluate(self) -> tuple[float, float | None]:
        """Means over the validation sequences, the same for every run: loss, in float64, and accuracy if it counts."""
        self._state.model.set_backend(None)
        total, hits, sequences = torch.zeros((), dtype=torch.float64, device=self._device), 0.0, 0
        for batch in self._task.validation():
            number = len(batch[0])
            with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._run.dtype == "bfloat16"):
                scores = self._task.scores(self._state.model, batch)
            total += scores.loss.double() * number
            hits += 0.0 if scores.accuracy is None else float(scores.accuracy) * number
            sequences += number
        return float(total) / sequences, hits / sequences if self._task.counts_hits else None
