"""Claims about damaged checkpoints: nothing trains on from one, and nothing is stuck because of one."""

import threading
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from sparseplan.errors import BrokenFileError, SparseplanError
from sparseplan.runs.job import Segment, kept_checkpoint, rolling_checkpoint, to_json
from sparseplan.runs.spec import DataSpec
from sparseplan.runs.trunks import plan_segments
from sparseplan.train import checkpoint
from sparseplan.train.__main__ import main
from sparseplan.train.loop import StoppedError
from tests.helpers.training import StopAfter, job_of, tiny_run, train_alone, train_segment


def stopped(segment: Segment, folder: Path) -> Path:
    """The rolling checkpoint of a segment that was stopped half-way."""
    with pytest.raises(StoppedError):
        train_segment(segment, folder, stop=StopAfter(25))
    return rolling_checkpoint(folder, segment.id)


def progress(folder: Path, segment: Segment) -> str:
    return (folder / f"{segment.id}.jsonl").read_text()


@pytest.mark.parametrize("damage", [b"", b"PK", b"\0" * 5000], ids=["empty", "cut", "zeros"])
def test_a_damaged_rolling_checkpoint_is_set_aside_and_the_run_ends_in_the_same_loss(
    data: DataSpec, tmp_path: Path, damage: bytes
) -> None:
    run = tiny_run(data, 0.5)
    segment = plan_segments([run]).segments[0]
    whole = train_alone(run, tmp_path / "whole")
    rolling = stopped(segment, tmp_path / "hurt")
    rolling.write_bytes(damage)  # a machine that lost power can leave it
    assert train_alone(run, tmp_path / "hurt").loss == whole.loss
    assert "passed over a checkpoint" in progress(tmp_path / "hurt", segment)
    assert rolling.with_name(f"{rolling.name}.broken").read_bytes() == damage


def test_a_single_flipped_bit_anywhere_in_the_weights_is_found(data: DataSpec, tmp_path: Path) -> None:
    segment = plan_segments([tiny_run(data, 0.5)]).segments[0]
    rolling = stopped(segment, tmp_path)
    whole = rolling.read_bytes()
    content = checkpoint.read(rolling, segment_id=segment.id)
    found = 0
    for weights in content["model"].values():
        raw = weights.numpy().tobytes()
        at = whole.find(raw[:64])
        if len(raw) < 64 or at < 0:
            continue
        found += 1
        for byte in (at, at + len(raw) // 2, at + len(raw) - 1):
            rolling.write_bytes(whole[:byte] + bytes([whole[byte] ^ 4]) + whole[byte + 1 :])
            with pytest.raises(BrokenFileError, match="found a broken one: a wrong checksum"):
                checkpoint.read(rolling, segment_id=segment.id)
    assert found >= 5
    rolling.write_bytes(whole)
    assert checkpoint.read(rolling, segment_id=segment.id)["step"] == content["step"]


def test_a_checkpoint_that_cannot_be_read_stops_the_run_and_stays(data: DataSpec, tmp_path: Path) -> None:
    segment = plan_segments([tiny_run(data, 0.5)]).segments[0]
    rolling = rolling_checkpoint(tmp_path, segment.id)
    rolling.mkdir()  # stands for one on a disk that fails: it may be whole
    with pytest.raises(SparseplanError, match="can't read this checkpoint") as refusal:
        train_segment(segment, tmp_path)
    assert not isinstance(refusal.value, BrokenFileError)
    assert rolling.exists()


def test_a_branch_sets_its_trunks_damaged_checkpoint_aside_and_the_trunk_makes_it_again(
    data: DataSpec, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = [tiny_run(data), tiny_run(data, 0.5), tiny_run(data, 0.5, steps=20)]
    trunk, *branches = plan_segments(runs).segments
    train_segment(trunk, tmp_path)
    branch = branches[0]
    kept = kept_checkpoint(tmp_path, trunk.id, branch.from_step)
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    job = tmp_path / "job.json"
    job.write_bytes(to_json(job_of(branch, tmp_path)))
    assert main([str(job)], stop=threading.Event()) == 1  # a crash, not bad input: the sweep goes on
    assert f"It is now {kept.name}.broken" in capfd.readouterr().err
    assert not kept.exists()
    train_segment(trunk, tmp_path)
    assert main([str(job)], stop=threading.Event()) == 0


def test_a_trunk_goes_on_from_the_last_checkpoint_before_a_damaged_one(data: DataSpec, tmp_path: Path) -> None:
    runs = [tiny_run(data), tiny_run(data, 0.5), tiny_run(data, 0.5, steps=20)]
    trunk = plan_segments(runs).segments[0]
    assert trunk.keep == (5, 10, 32)
    train_segment(trunk, tmp_path)
    before = torch.load(kept_checkpoint(tmp_path, trunk.id, 10), weights_only=True)["model"]
    for step in (10, 32):
        kept_checkpoint(tmp_path, trunk.id, step).write_bytes(b"")
    (tmp_path / f"{trunk.id}.jsonl").unlink()
    train_segment(trunk, tmp_path)
    assert '"event":"start"' in progress(tmp_path, trunk)
    assert '"step":5,' in next(line for line in progress(tmp_path, trunk).splitlines() if '"start"' in line)
    after = torch.load(kept_checkpoint(tmp_path, trunk.id, 10), weights_only=True)["model"]
    assert all(torch.equal(before[name], after[name]) for name in before)
