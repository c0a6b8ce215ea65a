"""Replay of `sparseplan next`: real tables of finished runs as pools, in which it chooses what to look at next.

    OMP_NUM_THREADS=1 python benchmarks/next_replay.py [--repeats 20]

Pools: the 48 T5 and 112 ViT runs of Frantar et al. 2023, and the dense runs of Muennighoff et al. 2023
(arXiv:2305.16264) that see their data at most four times, all fitted by the additive law. The dearest eighth of a pool
is held out. A repeat keeps a random four fifths of the rest, begins with the cheapest of them that identify the law,
and spends 10, 25 and 50 % of their FLOPs, start included, as each strategy says; runs are looked at one by one, and the
law is fitted again after each. The figure is the rms relative error at the held-out runs.

Writes next_replay.json and next_replay.png beside this file.
"""

import argparse
import csv
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseplan.cost.flops import flops_cost
from sparseplan.errors import FitError
from sparseplan.fit.bootstrap import bootstrap
from sparseplan.fit.derivatives import residual_jacobian
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.laws.forms.fitting.coordinates import make_design
from sparseplan.plan.choose_runs import FormError, choose_runs
from sparseplan.plan.form_error import form_errors, places
from sparseplan.runs.published import published_folder, t5_runs, vit_runs
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule

Array = NDArray[np.float64]
HERE = Path(__file__).resolve().parent
SHARES = (0.1, 0.25, 0.5)
HELD, KEPT = 8, 0.8
STARTS, DRAWS, FEWEST = 16, 200, 8
LEAST_NOISE = 1e-3
MOST_EPOCHS = 4.0
FORM = "frantar2023"


def few_epochs() -> Runs:
    """The runs of Muennighoff et al. 2023 that see their data at most `MOST_EPOCHS` times."""
    path = published_folder().parent / "muennighoff2023" / "runs.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    U, N, D, L = (np.array([float(row[key]) for row in rows]) for key in ("unique_tokens", "params", "tokens", "loss"))
    kept = D <= MOST_EPOCHS * U
    count = int(kept.sum())
    return Runs(
        sparsity=np.zeros(count),
        nonzero_params=N[kept],
        data_seen=D[kept],
        loss=L[kept],
        family=("unstructured",) * count,
        run_id=tuple(str(row) for row in np.flatnonzero(kept)),
        source=path.name,
    )


POOLS: dict[str, Callable[[], Runs]] = {
    "T5 (Frantar et al. 2023)": t5_runs,
    "ViT (Frantar et al. 2023)": vit_runs,
    "dense, at most 4 epochs (Muennighoff et al. 2023)": few_epochs,
}


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A pool in one repeat: what may be looked at, what it costs, what is to be predicted."""

    pool: Runs
    cost: Array
    held: Runs

    def fit(self, seen: list[int]) -> Fit:
        """The law of what has been looked at."""
        sparse = bool(np.any(self.pool.sparsity[seen] > 0))
        return fit_law(self.pool.take(np.array(seen)), form=FORM if sparse else None, starts=STARTS)

    def error(self, seen: list[int]) -> float:
        """Rms relative error at the held-out runs."""
        return float(np.sqrt(np.mean(np.log(self.fit(seen).predict(self.held) / self.held.loss) ** 2)))

    def start(self) -> list[int]:
        """The cheapest runs that identify the law."""
        order = np.argsort(self.cost, kind="stable")
        for count in range(FEWEST, len(order) + 1):
            seen = order[:count].tolist()
            if np.any(self.held.sparsity > 0) and len(np.unique(self.pool.sparsity[seen])) < 3:
                continue
            try:
                if self.fit(seen).certificate.identified:
                    return seen
            except FitError:
                continue
        raise AssertionError("a whole pool identifies its law")


def replay(runs: Runs, rng: np.random.Generator) -> Replay:
    """One repeat's pool."""
    cost = flops_cost("sparse", Schedule()).flops_for(runs.data_seen, runs.sparsity, runs.nonzero_params)
    order = np.argsort(cost, kind="stable")
    held = max(3, len(order) // HELD)
    rest = order[:-held]
    kept = rest[np.sort(rng.permutation(len(rest))[: int(KEPT * len(rest))])]
    return Replay(pool=runs.take(kept), cost=cost[kept], held=runs.take(order[-held:]))


Strategy = Callable[[Replay, list[int], NDArray[np.intp], float, np.random.Generator], int]
"""Which of the affordable runs comes next."""


def at_random(_r: Replay, _seen: list[int], allowed: NDArray[np.intp], _left: float, rng: np.random.Generator) -> int:
    """Any."""
    return int(rng.choice(allowed))


def cheapest(r: Replay, _seen: list[int], allowed: NDArray[np.intp], _left: float, _rng: np.random.Generator) -> int:
    """The cheapest."""
    return int(allowed[np.argmin(r.cost[allowed])])


def d_optimal(r: Replay, seen: list[int], allowed: NDArray[np.intp], _left: float, _rng: np.random.Generator) -> int:
    """The largest growth of the determinant of the coefficients' information."""
    return int(allowed[np.argmax(_information(r, seen, allowed))])


def d_optimal_per_cost(
    r: Replay, seen: list[int], allowed: NDArray[np.intp], _left: float, _rng: np.random.Generator
) -> int:
    """The same over cost^0.4."""
    return int(allowed[np.argmax(_information(r, seen, allowed) / r.cost[allowed] ** 0.4)])


def _information(r: Replay, seen: list[int], allowed: NDArray[np.intp]) -> Array:
    fit, candidates = r.fit(seen), r.pool.take(allowed)
    design = make_design(
        candidates.sparsity, candidates.nonzero_params, candidates.data_seen, candidates.family, like=fit.design
    )
    weights = np.full(len(candidates), 1.0 / len(candidates))
    asked = replace(fit.problem, design=design, measured=candidates.loss, weights=weights)
    have, new = residual_jacobian(fit.problem, fit.theta), residual_jacobian(asked, fit.theta)
    scale = np.linalg.norm(have, axis=0) + 1e-300
    have, new = have / scale, new / scale
    inverse = np.linalg.inv(have.T @ have + 1e-8 * np.eye(have.shape[1]))
    return np.log1p(np.einsum("ip,pq,iq->i", new, inverse, new))


def ours(*, with_form_error: bool, exponent: float = 0.4) -> Strategy:
    """What `sparseplan next` does, for the held-out runs' losses as targets."""

    def strategy(r: Replay, seen: list[int], allowed: NDArray[np.intp], left: float, rng: np.random.Generator) -> int:
        fit, candidates = r.fit(seen), r.pool.take(allowed)
        drawn = bootstrap(fit, DRAWS, rng).theta
        if len(drawn) < 20:
            return at_random(r, seen, allowed, left, rng)
        slack = np.sqrt(len(seen) / max(len(seen) - len(fit.free), 1))
        noise = max(float(np.sqrt(np.pi / 2) * np.abs(fit.residuals).mean() * slack), LEAST_NOISE)
        beyond = None
        if with_form_error:
            where, known = (places(x.sparsity, x.nonzero_params, x.data_seen) for x in (candidates, fit.runs))
            held = places(r.held.sparsity, r.held.nonzero_params, r.held.data_seen)
            errors = form_errors(np.concatenate([held, where]), known, noise)
            beyond = FormError(targets=errors[:, : len(held)], losses=errors[:, len(held) :])
        choice = choose_runs(
            np.log(fit.predict(r.held, drawn)),
            np.log(fit.predict(candidates, drawn)),
            noise=np.full(len(allowed), noise),
            cost=r.cost[allowed],
            budget=left,
            most=1,
            exponent=exponent,
            form_error=beyond,
        )
        return int(allowed[choice.index[0]]) if len(choice.index) else at_random(r, seen, allowed, left, rng)

    return strategy


STRATEGIES: dict[str, Strategy] = {
    "next": ours(with_form_error=True),
    "next, without form error": ours(with_form_error=False),
    "random": at_random,
    "cheapest first": cheapest,
    "D-optimal": d_optimal,
    "D-optimal per cost": d_optimal_per_cost,
}


def spend(r: Replay, begin: list[int], strategy: Strategy, rng: np.random.Generator) -> list[float]:
    """Errors after each share of the pool's FLOPs."""
    seen, errors = list(begin), []
    for share in SHARES:
        while True:
            left = share * float(r.cost.sum()) - float(r.cost[seen].sum())
            allowed = np.setdiff1d(np.flatnonzero(r.cost <= left), seen)
            if not len(allowed):
                break
            seen.append(strategy(r, seen, allowed, left, rng))
        errors.append(r.error(seen))
    return errors


def measure(repeats: int) -> dict[str, Any]:
    """Errors of all strategies, shape (repeats, shares) each, by pool."""
    found: dict[str, Any] = {}
    for number, (name, read) in enumerate(POOLS.items()):
        runs, began = read(), time.perf_counter()
        errors: dict[str, list[list[float]]] = {strategy: [] for strategy in STRATEGIES}
        starts, whole, share = [], [], []
        for repeat in range(repeats):
            r = replay(runs, np.random.default_rng([number, repeat]))
            begin = r.start()
            starts.append(r.error(begin))
            share.append(float(r.cost[begin].sum() / r.cost.sum()))
            whole.append(r.error(list(range(len(r.cost)))))
            for strategy, choose in STRATEGIES.items():
                errors[strategy].append(spend(r, begin, choose, np.random.default_rng([number, repeat, 1])))
        found[name] = {
            "pool": len(r.pool),
            "held_out": len(r.held),
            "start_share": float(np.mean(share)),
            "start": starts,
            "whole_pool": whole,
            "errors": errors,
        }
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return found


def summary(found: dict[str, Any]) -> str:
    """A Markdown table: mean error in percent; in how many repeats `next` is better, ties halved."""
    lines = ["| pool | strategy | 10 % | 25 % | 50 % |", "| --- | --- | --- | --- | --- |"]
    for name, pool in found.items():
        mine = np.array(pool["errors"]["next"])
        for strategy, errors in pool["errors"].items():
            theirs = np.array(errors)
            won = np.sum(mine < theirs - 1e-12, axis=0) + 0.5 * np.sum(np.abs(mine - theirs) <= 1e-12, axis=0)
            cells = [
                f"{100 * mean:.2f}" + ("" if strategy == "next" else f" ({wins:g} of {len(mine)})")
                for mean, wins in zip(theirs.mean(axis=0), won, strict=True)
            ]
            lines.append(f"| {name} | {strategy} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(found: dict[str, Any], path: Path) -> None:
    """One panel a pool: mean error and its standard error over the share that is spent."""
    from sparseplan.figures import palette
    from sparseplan.figures.base import WIDTHS, in_style, new_figure, save_figure
    from sparseplan.figures.ticks import log_axis

    @in_style
    def drawn() -> None:
        figure = new_figure(WIDTHS["page"], 2.9)
        axes = figure.subplots(1, len(found))
        for axis, (name, pool) in zip(axes, found.items(), strict=True):
            for index, (strategy, errors) in enumerate(pool["errors"].items()):
                table = 100 * np.array(errors)
                axis.errorbar(
                    [100 * share for share in SHARES],
                    table.mean(axis=0),
                    table.std(axis=0, ddof=1) / np.sqrt(len(table)),
                    label=strategy,
                    marker=palette.MARKERS[index],
                    markersize=3,
                    linewidth=1.8 if strategy == "next" else 0.9,
                    linestyle=palette.LINES[index],
                    color=palette.SERIES[index],
                )
            axis.axhline(
                100 * np.mean(pool["whole_pool"]), color="grey", linestyle=":", linewidth=1, label="the whole pool"
            )
            axis.set_title(name.replace(" (", "\n("))
            axis.set_xlabel("share of the pool's FLOPs, %")
            log_axis(axis, "y", most=7)
        axes[0].set_ylabel("rms error at the dearest runs, %")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        save_figure(figure, path)

    drawn()


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    arguments = parser.parse_args()
    os.nice(10)
    found = measure(arguments.repeats)
    rounded = json.loads(json.dumps(found), parse_float=lambda text: float(f"{float(text):.6g}"))
    (arguments.out / "next_replay.json").write_text(json.dumps(rounded) + "\n", encoding="utf-8")
    draw(found, arguments.out / "next_replay.png")
    print(summary(found))


if __name__ == "__main__":
    main()
