"""Jobs and records, the words between a sweep and its trainings."""

from pathlib import Path

import msgspec
import pytest

from sparseplan.errors import SparseplanError
from sparseplan.runs.job import (
    Job,
    Placement,
    RunRecord,
    TrunkRecord,
    diverged_record,
    kept_checkpoint,
    read_job,
    read_result,
    to_json,
)
from sparseplan.runs.trunks import plan_segments
from tests.helpers.specs import spec


def test_jobs_and_records_survive_the_way_through_files(tmp_path: Path) -> None:
    run = spec(0.5, "2:4")
    segment = plan_segments([run]).segments[0]
    job = Job(segment=segment, checkpoints="c", result="r.json", placement=Placement(threads=1))
    (tmp_path / "job.json").write_bytes(to_json(job))
    assert read_job(tmp_path / "job.json") == job
    trunk = TrunkRecord(trunk_id=run.trunk_id, step=3, diverged=False, segment_seconds=1.0, device="cpu")
    for record in (diverged_record(run, reason="loss is nan", device="cpu"), trunk):
        (tmp_path / "result.json").write_bytes(to_json(record))
        assert read_result(tmp_path / "result.json") == record


def test_a_broken_job_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    job = msgspec.to_builtins(Job(segment=plan_segments([spec()]).segments[0], checkpoints="c", result="r"))
    job["segment"]["run"]["stepz"] = 3
    path.write_bytes(msgspec.json.encode(job))
    with pytest.raises(SparseplanError, match=r"job\.json: expected a job file, found: .*stepz"):
        read_job(path)
    with pytest.raises(SparseplanError, match="can't read this job file"):
        read_job(tmp_path / "missing.json")


def test_a_diverged_run_has_no_loss_rather_than_a_number() -> None:
    record = diverged_record(spec(0.5), reason="loss is nan", device="cpu")
    assert isinstance(record, RunRecord)
    assert record.loss is None
    assert record.bits_per_byte is None
    assert record.diverged


def test_kept_checkpoints_sort_by_step() -> None:
    assert kept_checkpoint("c", "trunk-1", 5).name < kept_checkpoint("c", "trunk-1", 40).name
