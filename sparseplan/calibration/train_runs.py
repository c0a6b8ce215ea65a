"""Conduct the sweep of a calibration in its folder: claim it, train what is missing, retry what diverged, tabulate."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import Console

from sparseplan.calibration.manifest import claim, data_facts
from sparseplan.calibration.run_rows import run_rows
from sparseplan.calibration.setup import Setup, kind_of
from sparseplan.common.console import say
from sparseplan.runs.job import RunRecord, TrunkRecord
from sparseplan.runs.spec import RunSpec
from sparseplan.runs.trunks import plan_segments
from sparseplan.runs.written_table import write_runs
from sparseplan.sweep.display import open_display
from sparseplan.sweep.driver import Driver
from sparseplan.sweep.executors import Executor
from sparseplan.sweep.folder import Folder
from sparseplan.sweep.state import SweepState


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepResult:
    """A sweep that has come to its end.

    Attributes:
        records: Of the finished runs, retries included, by run id.
        trunks: Of the trunks.
        failures: Why segments were given up; empty for a whole sweep.
        runs: The runs of the grid, and retries of diverged ones.
        dense_runs: Records of the dense runs that runs of the grid started from, by run id.
    """

    records: dict[str, RunRecord]
    trunks: dict[str, TrunkRecord]
    failures: dict[str, str]
    runs: tuple[RunSpec, ...]
    dense_runs: dict[str, RunRecord]


def train_runs(setup: Setup, folder: Folder, executor: Executor, console: Console) -> SweepResult:
    """Train what is missing, and write the runs table. The caller holds the folder's lock.

    Raises:
        SweepError: if the folder belongs to another sweep, or workers can't go on.
        KeyboardInterrupt: if asked to stop; the workers have saved themselves.
    """
    facts = data_facts(setup.data, setup.data_description)
    claim(folder, setup.loaded, facts, tuple(run.run_id for run in setup.runs))
    trained = drive(setup, setup.runs, folder, executor, console)
    share = setup.loaded.recipe.retry_diverged
    if share is not None:
        retries = [_gentler(run, share) for run in setup.runs if _has_diverged(trained.records.get(run.run_id))]
        if retries:
            again = drive(setup, retries, folder, executor, console)
            trained = SweepResult(
                records=trained.records | again.records,
                trunks=trained.trunks | again.trunks,
                failures=trained.failures | again.failures,
                runs=(*setup.runs, *retries),
                dense_runs=trained.dense_runs | again.dense_runs,
            )
    strategies = setup.loaded.recipe.strategies
    write_runs(run_rows(trained.runs, trained.records, trained.dense_runs, strategies), folder.runs_table)
    return trained


def drive(setup: Setup, runs: Sequence[RunSpec], folder: Folder, executor: Executor, console: Console) -> SweepResult:
    """Train what is missing of some runs of a recipe in a folder that is prepared; as `train_runs`, without a table."""
    recipe = setup.loaded.recipe
    segments = plan_segments(runs, share=recipe.share_trunks, keep_dense=recipe.keep_dense_weights).segments
    state = SweepState(folder, segments)
    failures: dict[str, str] = {}
    if state.unfinished:
        if executor.can_probe:
            say(console, "looking for devices, and measuring how fast they train")
        placements = executor.placements()
        speed = executor.measure_speed([segment.run for segment in state.unfinished])
        executor.open(folder.work / kind_of(recipe.executor))
        with open_display(console, {each.id: each.run for each in segments if each.finish}) as listener:
            driver = Driver(
                folder=folder,
                state=state,
                executor=executor,
                placements=placements,
                speed=speed,
                listener=listener,
                poll_seconds=executor.poll_seconds,
            )
            with _stopping_on_sigterm():
                driver.run()
        failures = driver.failures
    asked = {run.run_id for run in runs}
    return SweepResult(
        records={name: record for name, record in state.finished.items() if name in asked},
        trunks=state.trunk_records,
        failures=failures,
        runs=tuple(runs),
        dense_runs={name: record for name, record in state.finished.items() if name not in asked},
    )


def _has_diverged(record: RunRecord | None) -> bool:
    return record is not None and record.diverged


def _gentler(run: RunSpec, share: float) -> RunSpec:
    """The run at a share of its learning rate: a run of its own, with its own identity."""
    rate = run.optimizer.learning_rate * share
    return msgspec.structs.replace(run, optimizer=msgspec.structs.replace(run.optimizer, learning_rate=rate))


@contextmanager
def _stopping_on_sigterm() -> Iterator[None]:
    """Take SIGTERM, which cluster managers send, as Ctrl-C."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
