"""Claims about run specifications, jobs and the plan of shared trunks."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseplan.arch import GptShape, pruned_weights
from sparseplan.errors import SparseplanError
from sparseplan.job import (
    Job,
    Placement,
    RunRecord,
    Segment,
    TrunkRecord,
    diverged_record,
    kept_checkpoint,
    read_job,
    read_result,
    to_json,
)
from sparseplan.runspec import Adafactor, AdamW, DataSpec, LearningRate, Pruning, RunSpec, Split
from sparseplan.schedule import Schedule
from sparseplan.trunks import plan_segments

DATA = DataSpec(
    train=Split(path="train.bin", sha256="a" * 64, tokens=10**7),
    valid=Split(path="valid.bin", sha256="b" * 64, tokens=10**5),
    dtype="uint8",
    unit="byte",
    bytes_per_token=1.0,
)
SHAPE = GptShape(layers=2, width=64, heads=2, vocab=256, context=32)


def spec(sparsity: float = 0.0, pattern: str = "unstructured", *, steps: int = 100, seed: int = 0) -> RunSpec:
    pruning = Pruning(sparsity=sparsity, pattern=pattern)
    return RunSpec(shape=SHAPE, data=DATA, batch=4, steps=steps, pruning=pruning, seed=seed)


def test_a_gpt_block_has_twelve_squared_widths_of_prunable_weights():
    # The paper's count of a decoder block: 12 w^2, arXiv:2309.08520, section 2.
    assert SHAPE.dense_params == 2 * 12 * 64**2
    assert sum(matrix.numel for matrix in SHAPE.matrices) == SHAPE.dense_params
    assert SHAPE.nonzero_params(0.75) == SHAPE.dense_params // 4


def test_a_tokens_machine_flops_are_six_a_matmul_weight_and_causal_attention():
    # blocks 98304 + head 16384 weights; attention 2 products x 2 FLOPs x 3 (with backward) x w x T/2 a block
    assert SHAPE.machine_flops_per_token() == 6 * (98304 + 16384) + 2 * (2 * 2 * 3 * 64 * 32 / 2)


def test_the_ramp_meets_hand_values_of_the_cubic():
    # S (1 - (1 - p)^3) with S = 0.8 at p = 1/4, 1/2, 3/4, 1
    ramp = Pruning(sparsity=0.8, updates=4).ramp(400)
    assert [step for step, _ in ramp] == [150, 200, 250, 300]
    assert [s for _, s in ramp] == pytest.approx([0.8 * 37 / 64, 0.8 * 7 / 8, 0.8 * 63 / 64, 0.8])
    assert ramp[-1][1] == 0.8
    assert Pruning(sparsity=0.8, updates=4).sparsity_at(149, 400) == 0
    assert Pruning(sparsity=0.8, updates=4).sparsity_at(150, 400) == ramp[0][1]


@given(
    sparsity=st.floats(0.01, 0.99),
    steps=st.integers(1, 5000),
    updates=st.integers(1, 200),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_any_ramp_climbs_to_its_final_sparsity_inside_the_run(sparsity, steps, updates, ends):
    schedule = Schedule(start=min(ends), end=max(ends))
    ramp = Pruning(sparsity=sparsity, updates=updates, schedule=schedule).ramp(steps)
    assert 1 <= len(ramp) <= updates
    assert ramp[-1] == (round(schedule.end * steps), sparsity)
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(ramp))


def test_training_flops_follow_the_laws_mean_density():
    run = spec(0.75, steps=40_000 // 16)
    law = 6 * run.shape.dense_params * run.data_seen * float(Schedule().mean_density(0.75))
    assert run.train_flops == pytest.approx(law, rel=0.01)  # the staircase lags the smooth ramp by half a piece
    dense = spec(steps=100)
    assert dense.train_flops == 6 * SHAPE.dense_params * 100 * 4 * 32


def test_the_learning_rate_warms_up_stays_and_cools_down():
    rate = LearningRate(warmup=4, cooldown=0.5)
    assert [rate.factor(step, 12) for step in range(12)] == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    )
    paper = LearningRate(kind="inverse-sqrt", warmup=100, cooldown=0)
    assert paper.factor(99, 10**4) == 1
    assert paper.factor(399, 10**4) == pytest.approx(0.5)  # sqrt(100 / 400)


def test_identity_names_what_determines_the_numbers_and_no_paths():
    run = spec(0.5)
    moved = msgspec.structs.replace(DATA, train=msgspec.structs.replace(DATA.train, path="/elsewhere"))
    assert msgspec.structs.replace(run, data=moved).run_id == run.run_id
    changes = (
        {"steps": 101},
        {"seed": 1},
        {"batch": 8},
        {"dtype": "bfloat16"},
        {"optimizer": AdamW(learning_rate=2e-2)},
        {"optimizer": Adafactor()},
        {"pruning": Pruning(sparsity=0.5, pattern="2:4")},
        {"evaluation_sequences": 3},
    )
    others = {msgspec.structs.replace(run, **change).run_id for change in changes}
    assert len(others | {run.run_id}) == len(changes) + 1


def test_a_dense_runs_identity_ignores_its_unused_ramp():
    late = RunSpec(shape=SHAPE, data=DATA, batch=4, steps=100, pruning=Pruning(schedule=Schedule(start=0.5)))
    assert late.run_id == spec().run_id


def test_an_identity_stays_what_it_was():
    # A changed hash would orphan every finished run of every sweep: bump it knowingly, with a changelog entry.
    assert (spec().run_id, spec(0.5, "2:4").trunk_id) == ("ac02c6b99e352682", "trunk-b7e7b0081f7ef9f4")


@pytest.mark.parametrize(
    ("sparsity", "pattern", "message"),
    [(0.5, "1:4", "0.75"), (0.0, "2:4", "0.5"), (0.5, "n:4", "pattern n:4"), (0.5, "two", "expected unstructured")],
)
def test_a_sparsity_that_contradicts_its_pattern_is_refused(sparsity, pattern, message):
    with pytest.raises(ValueError, match=message):
        Pruning(sparsity=sparsity, pattern=pattern)


def test_a_width_that_groups_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="a width that 24 divides"):
        spec(1 - 1 / 24, "1:24")


def test_repetition_is_refused_unless_asked_for():
    scarce = msgspec.structs.replace(DATA, train=msgspec.structs.replace(DATA.train, tokens=10_000))
    with pytest.raises(ValueError, match=r"at most 1 passes .* found 1\.28"):
        RunSpec(shape=SHAPE, data=scarce, batch=4, steps=100)
    asked = msgspec.structs.replace(scarce, max_epochs=2)
    assert RunSpec(shape=SHAPE, data=asked, batch=4, steps=100).epochs == 1.28


def test_jobs_and_records_survive_the_way_through_files(tmp_path):
    run = spec(0.5, "2:4")
    segment = plan_segments([run]).segments[0]
    job = Job(segment=segment, checkpoints="c", result="r.json", placement=Placement(threads=1))
    (tmp_path / "job.json").write_bytes(to_json(job))
    assert read_job(tmp_path / "job.json") == job
    trunk = TrunkRecord(trunk_id=run.trunk_id, step=3, diverged=False, segment_seconds=1.0, device="cpu")
    for record in (diverged_record(run, reason="loss is nan", device="cpu"), trunk):
        (tmp_path / "result.json").write_bytes(to_json(record))
        assert read_result(tmp_path / "result.json") == record


def test_a_broken_job_is_one_clear_error(tmp_path):
    path = tmp_path / "job.json"
    job = msgspec.to_builtins(Job(segment=plan_segments([spec()]).segments[0], checkpoints="c", result="r"))
    job["segment"]["run"]["stepz"] = 3
    path.write_bytes(msgspec.json.encode(job))
    with pytest.raises(SparseplanError, match=r"job\.json: expected a job file, found: .*stepz"):
        read_job(path)
    with pytest.raises(SparseplanError, match="can't read this job file"):
        read_job(tmp_path / "missing.json")


def test_a_diverged_run_has_no_loss_rather_than_a_number():
    record = diverged_record(spec(0.5), reason="loss is nan", device="cpu")
    assert isinstance(record, RunRecord)
    assert record.loss is None
    assert record.bits_per_byte is None
    assert record.diverged


def test_lengths_and_sparsities_of_one_seed_share_a_trunk_and_seeds_do_not():
    assert spec(0.5).trunk_id == spec(0.75, steps=300).trunk_id == spec().trunk_id
    assert spec(seed=1).trunk_id != spec().trunk_id


def test_a_plan_of_trunks_trains_every_run_once_and_in_order():
    runs = [spec(s, p, steps=n) for s, p in ((0, "unstructured"), (0.5, "2:4"), (0.75, "1:4")) for n in (100, 200, 400)]
    plan = plan_segments([*runs, runs[0]])
    trunk = plan.segments[0]
    # sparse runs branch at 25 % of their length, dense ones where their cooldown starts, at 80 %
    assert trunk.keep == (25, 50, 80, 100, 160, 320)
    assert trunk.to_step == 320
    assert {segment.id for segment in plan.segments[1:]} == {run.run_id for run in runs}
    assert all(segment.parent == trunk.id and segment.from_step in trunk.keep for segment in plan.segments[1:])
    # trunk 320; dense 20 + 40 + 80 steps at full cost; sparse 75 % of 700 steps, of which the first piece is dense
    alone = plan_segments(runs, share=False)
    assert all(segment.parent is None for segment in alone.segments)
    assert alone.saved == 0
    assert plan.unshared_flops == alone.unshared_flops
    per_step = 6 * SHAPE.dense_params * 128
    shared = 320 + (20 + 40 + 80)
    assert plan.unshared_flops - plan.shared_flops == pytest.approx(per_step * (700 + 2 * 175 - shared))


def test_a_run_that_prunes_from_the_start_is_trained_alone():
    early = RunSpec(
        shape=SHAPE,
        data=DATA,
        batch=4,
        steps=100,
        pruning=Pruning(sparsity=0.5, schedule=Schedule(start=0, end=0.5)),
    )
    plan = plan_segments([early, spec(), spec(steps=200)])
    lonely = next(segment for segment in plan.segments if segment.id == early.run_id)
    assert lonely.parent is None
    assert lonely.from_step == 0


def test_impossible_segments_are_refused():
    run = spec(0.5)
    with pytest.raises(ValueError, match="branch at step 25"):
        Segment(id=run.run_id, run=run, parent=run.trunk_id, from_step=26, to_step=100)
    with pytest.raises(ValueError, match="a parent exactly where"):
        Segment(id=run.run_id, run=run, from_step=5, to_step=100)
    with pytest.raises(ValueError, match="to end at its last step"):
        Segment(id=run.run_id, run=run, from_step=0, to_step=99)
    with pytest.raises(ValueError, match="checkpoints within"):
        Segment(id=run.trunk_id, run=run, from_step=0, to_step=20, keep=(21,), finish=False)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 0.75]), st.integers(1, 500), st.integers(0, 1)), max_size=8))
def test_sharing_never_costs_more_and_never_loses_a_run(choices):
    runs = [spec(s, steps=n, seed=seed) for s, n, seed in choices]
    plan = plan_segments(runs)
    assert {segment.id for segment in plan.segments if segment.finish} == {run.run_id for run in runs}
    assert 0 <= plan.saved < 1
    seen: dict[str, tuple[int, ...]] = {}
    for segment in plan.segments:
        assert segment.parent is None or segment.from_step in seen[segment.parent]
        seen[segment.id] = segment.keep


def test_kept_checkpoints_sort_by_step():
    assert kept_checkpoint("c", "trunk-1", 5).name < kept_checkpoint("c", "trunk-1", 40).name


def test_the_rounding_of_pruned_weights_is_exact_for_groups():
    assert [pruned_weights(4096, kept / 8) for kept in range(8)] == [512 * kept for kept in range(8)]
