"""What is fuzzed: a random case of each kind, held against every claim of `watch.check`."""

import csv
import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import yaml

from sparseplan.calibration.manifest import claim, data_facts, refuse_strangers
from sparseplan.calibration.recipe import builtin_recipes, expand, load_recipe, parse_recipe
from sparseplan.cli.flags import in_flags
from sparseplan.common.console import open_progress, say
from sparseplan.errors import SparseplanError
from sparseplan.hardware.file import builtin_profiles
from sparseplan.laws.draws import Draws
from sparseplan.laws.file import builtin_laws
from sparseplan.laws.law import draw_table, law_block
from sparseplan.runs.job import Job, diverged_record, read_job, to_json
from sparseplan.runs.spec import DataSpec, Split
from sparseplan.runs.trunks import plan_segments
from sparseplan.shapes.base import Images
from sparseplan.shapes.real.file import builtin_models
from sparseplan.sweep.executors.slurm import Slurm, SlurmExecutor
from sparseplan.sweep.folder import Folder
from sparseplan.sweep.progress import ProgressReader
from sparseplan.sweep.state import SweepState
from tests.fuzz import mutate
from tests.fuzz.command_lines import command_line
from tests.fuzz.watch import check, check_call
from tests.helpers.sweeps import RECIPE
from tests.laws.forms.test_forms import EXAMPLES

DATA = DataSpec(
    train=Split(path="train.bin", sha256="0" * 64, tokens=10**9),
    valid=Split(path="valid.bin", sha256="1" * 64, tokens=10**6),
)
MEASURED = {
    "format": "sparseplan-hardware/1",
    "name": "bench",
    "description": "Measured.",
    "kind": "measured",
    "hardware": {"device": "GPU", "accelerator": "cuda"},
    "peak_flops": 1e15,
    "two_to_four": {"backend": "cusparselt"},
    "points": [
        {
            "part": part,
            "phase": phase,
            "width": width,
            "tokens": tokens,
            "context": 1024,
            "dense": {"median": 1e-9 * width**2, "low": 0.9e-9 * width**2, "high": 1.1e-9 * width**2},
            "sparse": {"median": 0.8e-9 * width**2},
        }
        for part, phase in (("block", "training"), ("linear", "inference"))
        for width in (1024, 4096)
        for tokens in (16, 4096)
    ],
}


@cache
def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _dumped(random: Random, data: Any) -> bytes:
    """Plain data as YAML in one of its styles, now and then with bytes changed as well."""
    text = yaml.safe_dump(
        data, sort_keys=False, allow_unicode=True, default_flow_style=random.choice((None, True, False))
    )
    content = text.encode("utf-8", errors="surrogatepass")
    return mutate.raw(random, content) if random.random() < 0.3 else content


@cache
def _laws() -> list[dict[str, Any]]:
    """A law of every form, with a few draws, and the built-in ones without their many."""
    found = [{key: value for key, value in _yaml(path).items() if key != "draws"} for path in builtin_laws()]
    for theta in EXAMPLES:
        own = {
            False: law_block(theta.form, theta, per_family=False),
            True: law_block(theta.form, theta, per_family=True),
        }
        data: dict[str, Any] = {
            "format": "sparseplan-law/1",
            "name": "any",
            "description": "Any.",
            "form": theta.form.name,
        }
        data |= {"data_unit": "token", "tokens_per_unit": 1, "coefficients": own[False]}
        data |= {"sparsity": {"unstructured": own[True], "n:4": own[True]}} if own[True] else {}
        data["range"] = {"sparsity": [0, 0.875], "nonzero_params": [1e6, 1e8], "data_seen": [1e9, 1e11]}
        columns = draw_table(theta.form, theta, "unstructured" if own[True] else None)
        table = np.array([float(np.asarray(value)) for value in columns.values()]) * np.linspace(0.95, 1.05, 5)[:, None]
        data["draws"] = msgspec.to_builtins(Draws.pack(list(columns), table, method="any"))
        found.append(data)
    return found


def law(random: Random, folder: Path) -> int:
    """A law, and a command that reads it."""
    data = dict(random.choice(_laws()))
    if random.random() < 0.5:
        data.pop("draws", None)
    path = folder / "law.yaml"
    path.write_bytes(_dumped(random, mutate.tree(random, data)))
    name = str(path)
    budget = random.choice(("1e15", "1e20", "1e23", "1e40", "1e-300"))
    size = random.choice(([], ["--params", "1B"], ["--dense-params", "1M"]))
    cost = random.choice((["--cost", "dense"], ["--cost", "h100"], [], []))
    pattern = random.choice(([], [], ["--pattern", "2:4"], ["--pattern", "n:8"], ["--max-sparsity", "99%"]))
    as_json = random.choice(([], ["--json"]))
    command = random.choice(
        (
            ["laws", "check", name, *as_json],
            ["laws", "show", name, *as_json],
            ["laws", "diff", name, "frantar2023-t5-c4", *as_json],
            ["predict", "--params", "1B", "--data", "1B", "--sparsity", "0.5", "--law", name, *as_json],
            ["contour", "--points", "3", *cost, "--law", name],
            *([["optimal", "--flops", budget, *size, *cost, *pattern, "--law", name, *as_json]] * 3),
        )
    )
    return check(command, folder)


def _rows(random: Random) -> list[dict[str, Any]]:
    rows = []
    for N in (1e6, 4e6, 16e6):
        for D in (1e8, 1e9):
            for S in random.choice(((0.0,), (0.0, 0.5, 0.75))):
                loss = 1.5 + (1.0 + 0.5 * S) * 3 * N**-0.1 + 5 * D**-0.12
                row = {"sparsity": S, "nonzero_params": N, "data_seen": D, "loss": loss, "run_id": f"{N}-{D}-{S}"}
                rows.append(row | {"pattern": "unstructured", "trunk": str(N), "note": "x"})
    return rows


def _table_bytes(random: Random, suffix: str, rows: list[Any]) -> bytes:
    rows = [row if isinstance(row, dict) else {"loss": row} for row in rows]
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    if suffix == "json" and random.random() < 0.3:
        columns = {name: {str(i): row.get(name) for i, row in enumerate(rows)} for name in names}
        return json.dumps(columns).encode()
    if suffix == "json":
        return json.dumps(rows, default=str).encode()
    if suffix == "jsonl":
        return "\n".join(json.dumps(row, default=str) for row in rows).encode()
    if suffix == "parquet":
        return _parquet(random, rows, names)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=random.choice(",;\t") if suffix == "csv" else "\t")
    writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in rows)
    return out.getvalue().encode("utf-8", errors="surrogatepass")


def _parquet(random: Random, rows: list[dict[str, Any]], names: list[str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = []
    for name in names:
        cells = [row.get(name) for row in rows]
        try:
            array = pa.array(cells)
            if random.random() < 0.1:
                kinds = (pa.timestamp("ns"), pa.date32(), pa.duration("us"), pa.float16(), pa.decimal128(38, 10))
                array = array.cast(pa.int64()).cast(random.choice(kinds))
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            array = pa.array([str(cell) for cell in cells])
        arrays.append(array)
    out = io.BytesIO()
    try:
        pq.write_table(pa.table(arrays, names=names), out, compression=random.choice(("none", "snappy", "zstd")))
    except pa.ArrowException:  # a type that Parquet doesn't have
        return b"PAR1"
    return out.getvalue()


def table(random: Random, folder: Path) -> int:
    """A runs table in any format, fitted."""
    suffix = random.choice(("csv", "tsv", "jsonl", "json", "parquet"))
    rows = mutate.tree(random, _rows(random)) if random.random() < 0.9 else _rows(random)
    content = _table_bytes(random, suffix, rows)
    if random.random() < 0.3:
        content = mutate.raw(random, content)
    path = folder / f"runs.{suffix}"
    path.write_bytes(content)
    options = random.choice(([], ["--json"], ["--group", "note"], ["--loss", "squared"], ["--column", "loss=note"]))
    return check(["fit", str(path), "--bootstrap", "0", "--starts", "1", *options], folder)


def recipe(random: Random, folder: Path) -> int:
    """A recipe, read and spread out into its runs as a calibration does before it trains."""
    known = [_yaml(path) for path in builtin_recipes()] + [yaml.safe_load(RECIPE)]
    path = folder / "recipe.yaml"
    path.write_bytes(_dumped(random, mutate.tree(random, random.choice(known))))
    return check_call(lambda: _boundary(lambda: _spread_out(path)), path.read_bytes()[:2000], folder)


def _spread_out(path: Path) -> None:
    loaded = load_recipe(str(path))
    inputs = Images(side=28, channels=1, classes=10) if loaded.recipe.model.reads is Images else 256
    runs = expand(loaded, DATA, inputs)
    plan_segments(runs, share=loaded.recipe.share_trunks)
    say(open_progress(), f"{loaded.recipe.name} {loaded.recipe.description}: {len(runs)} runs")


def _boundary(work: Callable[[], None]) -> int:
    """The command's boundary around a part of it."""
    from sparseplan.cli import _complain

    try:
        work()
    except SparseplanError as problem:
        return _complain(in_flags(str(problem)))
    return 0


def profile(random: Random, folder: Path) -> int:
    """A hardware profile, and a command that reads it."""
    data = MEASURED if random.random() < 0.7 else _yaml(random.choice(builtin_profiles()))
    path = folder / "profile.yaml"
    path.write_bytes(_dumped(random, mutate.tree(random, data)))
    name = str(path)
    pattern = random.choice(([], ["--pattern", "2:4"], ["--pattern", "n:4"], ["--json"], ["--params", "1B"]))
    budget = random.choice(
        (["--flops", "1e21"], ["--flops", "1e-300"], ["--device-hours", "1e4"], ["--device-hours", "1e295"])
    )
    command = random.choice(
        (
            ["hardware", "show", name],
            ["hardware", "show", name, "--json"],
            ["contour", "--points", "3", "--cost", name, "--law", "frantar2023-t5-c4"],
            ["optimal", *budget, "--cost", name, *pattern, "--law", "frantar2023-t5-c4"],
        )
    )
    return check(command, folder)


def model(random: Random, folder: Path) -> int:
    """The config of a real model, and a command that counts it."""
    config = _yaml(random.choice(builtin_models()))["config"] | random.choice(({}, {"torch_dtype": "bfloat16"}))
    path = folder / "config.json"
    content = json.dumps(mutate.tree(random, config), indent=random.choice((None, 2)), default=str).encode()
    path.write_bytes(mutate.raw(random, content) if random.random() < 0.3 else content)
    name = str(random.choice((path, folder)))
    context = random.choice(([], [], ["--context", "1k"], ["--context", "1e7"], ["--devices", "1e-300"]))
    as_json = random.choice(([], ["--json"]))
    limit = random.choice(([], [], ["--max-memory", "80GB"], ["--max-memory", "1e300"]))
    law = random.choice((["--law", "frantar2023-t5-c4"], ["--law", "frantar2023-vit-jft"]))
    budget = random.choice((["--flops", "1e22"], ["--flops", "1e-300"], ["--loss", "2"]))
    command = random.choice(
        (
            ["models", "show", name, *context, *as_json],
            ["optimal", *budget, "--model", name, *context, *limit, *law, *as_json],
        )
    )
    return check(command, folder)


@cache
def _sweep() -> dict[str, bytes]:
    """The files of a small sweep, by their place in its folder."""
    loaded = parse_recipe(RECIPE, source="small.yaml")
    runs = expand(loaded, DATA, 256)
    root = Folder(Path("sweep"))
    files = {str(root.record(run.run_id)): to_json(diverged_record(run, reason="nan", device="cpu")) for run in runs}
    segment = plan_segments(runs[:1], share=False).segments[0]
    job = Job(segment=segment, checkpoints="c", result="r", progress="p")
    files[str(root.job(segment.id))] = to_json(job)
    files[str(root.progress(segment.id))] = b'{"event":"note","segment":"a","step":1,"steps":2,"note":"n"}\n' * 3
    note = {"number": "7", "name": "a-1", "segments": ["a"], "jobs": ["a.json"], "log": "a.log"}
    files[str(root.work / "slurm" / "a-1.submitted.json")] = json.dumps(note).encode()
    return files


def sweep_file(random: Random, folder: Path) -> int:
    """A sweep's folder of which one file is changed, read as a driver reads it that starts."""
    files = dict(_sweep())
    loaded = parse_recipe(RECIPE, source="small.yaml")
    runs = expand(loaded, DATA, 256)
    sweep = Folder(folder / "sweep")
    claim(sweep, loaded, data_facts(DATA, "data"), tuple(run.run_id for run in runs))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    broken = random.choice([*(folder / name for name in files), sweep.manifest, sweep.manifest, sweep.recipe])
    content = broken.read_bytes()
    if random.random() < 0.6 and broken.suffix == ".json":
        changed = json.dumps(mutate.tree(random, json.loads(content))).encode()
    else:
        changed = mutate.raw(random, content)
    broken.write_bytes(changed)
    job = next((folder / "sweep" / "work" / "jobs").glob("*.json"))

    def start() -> None:
        refuse_strangers(sweep)
        claim(sweep, loaded, data_facts(DATA, "data"), tuple(run.run_id for run in runs))
        state = SweepState(sweep, plan_segments(runs, share=True).segments)
        reader = ProgressReader(sweep)
        reader.begin("a")
        reader._offsets = {path.stem: 0 for path in (sweep.work / "progress").iterdir()}
        executor = SlurmExecutor(Slurm())
        executor._place = sweep.work / "slurm"
        for text in (*(str(note.note) for note in reader.read()), *(str(task) for task in executor.adopt())):
            say(open_progress(), text)
        for record in state.finished.values():
            say(open_progress(), f"{record.run_id} {record.reason}")
        read_job(job)

    for path in list(folder.rglob("*.broken")):
        path.unlink()
    aside = broken.with_name(f"{broken.name}.broken")  # set aside: the one file that may move

    def started() -> int:
        status = _boundary(start)
        if aside.exists():
            aside.replace(broken)
        return status

    return check_call(started, (broken.name, changed[:1500]), folder)


KINDS: dict[str, tuple[Callable[[Random, Path], int], int]] = {
    "laws": (law, 30_000),
    "tables": (table, 20_000),
    "recipes": (recipe, 20_000),
    "profiles": (profile, 20_000),
    "models": (model, 5_000),
    "sweep files": (sweep_file, 5_000),
    "command lines": (command_line, 5_000),
}
"""Each kind's case, and how many of them the whole suite tries."""
