"""Coverage of the 90 % intervals of `sparseplan fit`: how often they hold the truth, in simulation.

Known laws, grids like the paper's, noise as large as its residuals: fit, bootstrap, and count how often the percentile
interval of optimal sparsity (fixed N at two budgets and two sizes, both FLOPs costs; N free) and of the loss (corners
of the grid and beyond it) holds the true value. The alternatives that we did not choose are measured beside ours.

    python benchmarks/fit_coverage.py --simulations 400 --draws 300

With --shared the errors of a size, a trunk or a seed are shared, in few groups, given to the fit or not, and truths are
of another form than the one that is fitted; the best size is asked as well. Ours stands beside random weights alone.

    python benchmarks/fit_coverage.py --shared --simulations 100 --draws 200
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sparseplan.fit.bootstrap import bootstrap, refit, unit_weights
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.fit.objective import Objective
from sparseplan.fit.penalties import Huber, Squared
from sparseplan.laws.file import load_law
from sparseplan.laws.forms import frantar2023_optimum as optimum
from sparseplan.laws.forms import varying_exponents
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.budget import flops_budget
from sparseplan.laws.forms.frantar2023 import Coefficients, loss
from sparseplan.laws.law import coefficients
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule

Array = NDArray[np.float64]
LEVEL = 0.9


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A true law, a grid of runs, the noise on their losses and the objective that fits them.

    `shared` is the noise that all runs of one size have in common, as those of one trunk do; above 0 sizes are groups.
    """

    name: str
    truth: Coefficients
    sizes: tuple[float, ...]
    sparsities: tuple[float, ...]
    lengths: tuple[float, ...]
    objective: Objective
    noise: str
    spread: float
    shared: float = 0.0

    def runs(self, rng: np.random.Generator) -> Runs:
        """One simulated table."""
        N, S, D = (axis.ravel() for axis in np.meshgrid(self.sizes, self.sparsities, self.lengths, indexing="ij"))
        clean = loss(self.truth, S, N, D)
        error = rng.standard_normal(len(N))
        if self.noise == "heavy":
            error = rng.standard_t(4, size=len(N)) / np.sqrt(2)
        elif self.noise == "uneven":
            error = error * np.where(np.median(D) > D, 1.6, 0.6)
        group = np.unique(N, return_inverse=True)[1].astype(np.int64) if self.shared else None
        error = self.spread * error
        if group is not None:
            error = error + self.shared * rng.standard_normal(len(self.sizes))[group]
        return Runs(
            sparsity=S,
            nonzero_params=N,
            data_seen=D,
            loss=self.objective.apply(clean, error),
            family=("unstructured",) * len(N),
            run_id=tuple(str(i) for i in range(len(N))),
            group=group,
        )

    def questions(self) -> dict[str, Callable[[Coefficients], Array]]:
        """What is asked of each law: functions of the coefficients."""
        N, D = max(self.sizes), max(self.lengths)
        asked: dict[str, Callable[[Coefficients], Array]] = {}
        for cost, saving in (("sparse", Schedule().saving), ("dense", 0.0)):
            for times in (1, 4):
                for target in (0.4, 0.75):
                    budget = _budget_for(self.truth, saving, N * times, target)
                    asked[f"S_opt={target:g} at {times}N, {cost}"] = lambda t, k=saving, n=N * times, b=budget: (
                        optimum.sparsity_at_size(t, k, n, b)
                    )
        asked["S_opt, N free"] = lambda t: optimum.sparsity_at_free_size(t, Schedule().saving)
        for S, n, d in ((0.0, 1, 1), (0.75, 1, 1), (0.5, 0.1, 0.5), (0.5, 4, 4), (0.75, 8, 1)):
            asked[f"loss at S={S:g}, {n:g}N, {d:g}D"] = lambda t, S=S, n=n, d=d: loss(t, S, N * n, D * d)
        return asked


def _budget_for(truth: Coefficients, saving: float, N: float, target: float) -> float:
    """The token budget at which the true optimal sparsity is `target`, by bisection."""
    low, high = 0.0, 60.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        S = float(optimum.sparsity_at_size(truth, saving, N, N * np.exp(middle)))
        low, high = (middle, high) if target > S else (low, middle)
    return float(N * np.exp(low))


T5_TRUTH = Coefficients(a_S=10.71, b_S=1.345, c_S=41.62, b_N=0.2317, a_D=6.769e8, b_D=0.3846, c=0.8304)
VIT_TRUTH = Coefficients(a_S=294.3, b_S=0.821, c_S=468.1, b_N=0.3922, a_D=2.374e8, b_D=0.8898, c=4.5166)
T5_SIZES = tuple(1.327104e6 * 4.0**k for k in range(4))
VIT_SIZES = tuple(6.63552e5 * 2.0**k for k in range(7))
SPARSITIES = (0.0, 0.5, 0.75, 0.875)
T5_LENGTHS = (1.6384e10, 3.2768e10, 6.5536e10)
VIT_LENGTHS = (2.25e8, 4.5e8, 9.0e8, 1.8e9)


def setups() -> list[Setup]:
    """The grids of the paper under normal, heavy-tailed and uneven noise, two objectives, and a small grid."""
    log, squared = Objective(), Objective(penalty=Squared())
    plain = Objective(residual="plain", penalty=Huber(0.01))
    t5 = partial(Setup, truth=T5_TRUTH, sizes=T5_SIZES, lengths=T5_LENGTHS, sparsities=SPARSITIES, spread=0.0077)
    vit = partial(Setup, truth=VIT_TRUTH, sizes=VIT_SIZES, lengths=VIT_LENGTHS, sparsities=SPARSITIES, spread=0.06)
    small = partial(t5, sizes=T5_SIZES[:3], sparsities=SPARSITIES[:3])
    trunks = partial(t5, sparsities=(*SPARSITIES, 0.9375), objective=Objective(penalty=Huber(0.01)), noise="normal")
    noises = ("normal", "heavy", "uneven")
    return [
        *(t5(name="T5 grid, 48 runs", objective=log, noise=noise) for noise in noises),
        *(vit(name="ViT grid, 112 runs", objective=plain, noise=noise) for noise in noises),
        t5(name="T5 grid, a fifth of the noise", objective=log, noise="normal", spread=0.0015),
        t5(name="T5 grid, squared error", objective=squared, noise="normal"),
        small(name="27 runs", objective=log, noise="normal"),
        small(name="27 runs, squared error", objective=squared, noise="normal"),
        trunks(name="four trunks, a shared and an own error", spread=0.005, shared=0.005),
        trunks(name="four trunks, little in common", spread=0.007, shared=1e-9),
        trunks(name="four trunks, nearly all in common", spread=0.001, shared=0.007),
    ]


@dataclass(frozen=True, kw_only=True)
class SharedSetup:
    """Runs of a T5-like law whose errors have a part in common with others', or whose truth is of another form.

    `by` is what runs share an error by, in words; `counted` of sizes before pruning, else non-zero ones.
    """

    name: str
    truth: Theta = T5_TRUTH
    sizes: tuple[float, ...] = T5_SIZES
    sparsities: tuple[float, ...] = SPARSITIES
    by: str | None = None
    seeds: int = 1
    own: float = 0.0077
    shared: float = 0.0
    delta: float = 1e-3

    def runs(self, rng: np.random.Generator, *, given: bool) -> Runs:
        """One simulated table; `given`, it says by which groups errors are shared, and it always says the seeds."""
        size, S, D, seed = (
            axis.ravel()
            for axis in np.meshgrid(self.sizes, self.sparsities, T5_LENGTHS, np.arange(self.seeds), indexing="ij")
        )
        N = size * (1.0 - S) if self.by == "trunk" else size
        group = seed if self.by == "seed" else np.unique(size, return_inverse=True)[1].reshape(-1)
        error = self.own * rng.standard_normal(len(N))
        if self.by is not None:
            error += self.shared * rng.standard_normal(int(group.max()) + 1)[group]
        return Runs(
            sparsity=S,
            nonzero_params=N,
            data_seen=D,
            loss=self.truth.loss(S, N, D) * np.exp(error),
            family=("unstructured",) * len(N),
            run_id=tuple(str(i) for i in range(len(N))),
            group=group.astype(np.int64) if given and self.by is not None else None,
            labels=(("seed", seed.astype(np.int64)),) if self.seeds > 1 else (),
        )

    def questions(self) -> dict[str, Callable[[Theta], Array]]:
        """What is asked of each law; names begin with what: S, L or N."""
        N, D = T5_SIZES[-1], T5_LENGTHS[-1]
        saving = Schedule().saving
        asked: dict[str, Callable[[Theta], Array]] = {}
        for times in (1, 4):
            for target in (0.4, 0.75):
                budget = flops_budget(_budget_for(T5_TRUTH, saving, N * times, target), saving)
                asked[f"S_opt={target:g} at {times}N"] = lambda t, b=budget, n=N * times: t.best_sparsity(b, N=n)
        for S, n, d in ((0.0, 1, 1), (0.75, 1, 1), (0.5, 0.1, 0.5), (0.5, 4, 4), (0.75, 8, 1)):
            asked[f"L at S={S:g}, {n:g}N, {d:g}D"] = lambda t, S=S, n=n, d=d: t.loss(S, N * n, D * d)
        for S in (0.0, 0.75):
            for flops in (1e20, 1e22):
                budget = flops_budget(flops / 6.0, saving)
                asked[f"N_opt at S={S:g}, {flops:g}"] = lambda t, S=S, b=budget: t.best_size(S, b)
        asked["S free"] = lambda t: t.best_sparsity(flops_budget(1e22 / 6.0, saving))
        return asked


def shared_setups() -> list[SharedSetup]:
    """Independent errors; those of a size, a trunk (a dense size) or a seed; truths of other forms."""
    tilt = 0.05 * T5_TRUTH.b_N / np.log(8.0)  # b_N 5 % lower at S = 0.875
    middle = float(np.exp(np.mean(np.log(T5_SIZES))))
    varying = varying_exponents.Coefficients(*T5_TRUTH, eta=tilt, zeta=0.0, N_0=middle, D_0=T5_LENGTHS[1])
    coupled = coefficients(load_law("frantar2023-t5-c4-coupled"), "unstructured")
    dense = tuple(2.0 * size for size in (*T5_SIZES, 4.0 * T5_SIZES[-1]))
    small = partial(SharedSetup, sizes=T5_SIZES[:3], sparsities=SPARSITIES[:3], by="seed", own=0.005, shared=0.005)
    wide = partial(SharedSetup, sparsities=(*SPARSITIES, 0.9375), by="size", delta=0.01)
    return [
        SharedSetup(name="independent, 48 runs"),
        SharedSetup(name="independent, 27 runs", sizes=T5_SIZES[:3], sparsities=SPARSITIES[:3]),
        wide(name="4 sizes, .7 % alone", own=0.007, shared=0.0),
        wide(name="4 sizes, .5 % and .5 %", own=0.005, shared=0.005),
        wide(name="4 sizes, .7 % shared, .1 % alone", own=0.001, shared=0.007),
        SharedSetup(name="5 trunks, .5 % and .5 %", sizes=dense, by="trunk", own=0.005, shared=0.005),
        SharedSetup(name="5 trunks, .8 % shared, .2 % alone", sizes=dense, by="trunk", own=0.002, shared=0.008),
        *(small(name=f"{count} seeds, .5 % and .5 %", seeds=count) for count in (3, 5, 8)),
        SharedSetup(name="truth: b_N 5 % lower at S = .875", truth=varying),
        SharedSetup(name="truth: coupled", truth=coupled),
    ]


def shared_coverage(setup: SharedSetup, simulations: int, draws: int) -> dict[str, dict[str, Array]]:
    """Share of simulations whose interval holds the truth, by method and by the first letter of the question."""
    asked = setup.questions()
    truth = np.array([float(ask(setup.truth)) for ask in asked.values()])
    objective = Objective(penalty=Huber(setup.delta))
    hits: dict[str, Array] = {}
    for number in range(simulations):
        runs = setup.runs(np.random.default_rng([7, number]), given=True)
        fit = fit_law(runs, objective=objective, starts=8, seed=0)
        blind = replace(fit, runs=replace(runs, group=None))
        plain = replace(fit, runs=replace(runs, group=None, independent=True))
        methods = {"weights": plain, "groups not given": blind}
        if runs.group is not None:
            methods["groups given"] = fit
        for name, one in methods.items():
            theta = one.coefficients("unstructured", bootstrap(one, draws, np.random.default_rng(number)).theta)
            answers = np.stack([np.asarray(ask(theta)) for ask in asked.values()])
            low, high = np.quantile(answers, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
            hits.setdefault(name, np.zeros(len(truth)))
            hits[name] += (low <= truth) & (truth <= high)
    return {
        name: {
            letter: np.array([count[i] / simulations for i, question in enumerate(asked) if question[0] == letter])
            for letter in "SNL"
        }
        for name, count in hits.items()
    }


def print_shared(simulations: int, draws: int, only: str) -> None:
    """One row of a Markdown table per setup and method: lowest and highest coverage over the questions."""
    print("| errors, truth | intervals | S_opt | N_opt | loss |\n| --- | --- | --- | --- | --- |")
    for setup in shared_setups():
        if only not in setup.name:
            continue
        for name, shares in shared_coverage(setup, simulations, draws).items():
            cells = [
                f"{100 * one.min():.0f} .. {100 * one.max():.0f} ({100 * one.mean():.0f})" for one in shares.values()
            ]
            print(f"| {setup.name} | {name} | {' | '.join(cells)} |", flush=True)


def resampled_runs(fit: Fit, count: int, rng: np.random.Generator) -> Array:
    """Pairs bootstrap: runs drawn with replacement."""
    n = len(fit.runs)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=count) / n
    return refit(replace(fit.problem, weights=weights), np.tile(fit.theta, (count, 1))).theta


def resampled_residuals(fit: Fit, count: int, rng: np.random.Generator) -> Array:
    """Residual bootstrap: residuals drawn with replacement, widened for the coefficients that were fitted."""
    n, p = len(fit.runs), len(fit.free)
    errors = rng.choice(fit.residuals, size=(count, n)) * np.sqrt(n / (n - p))
    losses = fit.objective.apply(fit.predicted, errors)
    return refit(replace(fit.problem, measured=losses), np.tile(fit.theta, (count, 1))).theta


def exponential_weights(fit: Fit, count: int, rng: np.random.Generator) -> Array:
    """Bayesian bootstrap without the adjustment for leverage."""
    weights = rng.dirichlet(np.ones(len(fit.runs)), size=count)
    return refit(replace(fit.problem, weights=weights), np.tile(fit.theta, (count, 1))).theta


def group_weights(fit: Fit, count: int, rng: np.random.Generator) -> Array:
    """One weight a group, and nothing else."""
    group = np.arange(len(fit.runs)) if fit.runs.group is None else fit.runs.group
    weights = unit_weights(fit, group, count, rng)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return refit(replace(fit.problem, weights=weights), np.tile(fit.theta, (count, 1))).theta


def ours(fit: Fit, count: int, rng: np.random.Generator) -> Array:
    """What `sparseplan fit` does."""
    return bootstrap(fit, count, rng).theta


METHODS: dict[str, Callable[[Fit, int, np.random.Generator], Array]] = {
    "ours": ours,
    "exponential weights": exponential_weights,
    "group weights": group_weights,
    "pairs": resampled_runs,
    "residuals": resampled_residuals,
}


def coverage(
    setup: Setup, methods: dict[str, Callable[[Fit, int, np.random.Generator], Array]], simulations: int, draws: int
) -> dict[str, Array]:
    """Share of simulations whose interval holds the truth, per method and question."""
    rng = np.random.default_rng(7)
    asked = setup.questions()
    truth = np.array([float(ask(setup.truth)) for ask in asked.values()])
    hits = {name: np.zeros(len(truth)) for name in methods}
    for _ in range(simulations):
        fit = fit_law(setup.runs(rng), objective=setup.objective, starts=8, seed=0)
        for name, method in methods.items():
            theta = fit.coefficients("unstructured", method(fit, draws, rng))
            answers = np.stack([ask(theta) for ask in asked.values()])
            low, high = np.quantile(answers, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
            hits[name] += (low <= truth) & (truth <= high)
    return {name: count / simulations for name, count in hits.items()}


def main() -> None:
    """Print one block a setup: lowest, mean and highest coverage over the questions, per method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--only", default="", help="only setups whose name holds this")
    parser.add_argument("--all", action="store_true", help="print every question")
    parser.add_argument("--shared", action="store_true", help="shared errors and other truths instead")
    arguments = parser.parse_args()
    if arguments.shared:
        print_shared(arguments.simulations, arguments.draws, arguments.only)
        return
    for setup in setups():
        if arguments.only not in setup.name:
            continue
        began = time.perf_counter()
        covered = coverage(setup, METHODS, arguments.simulations, arguments.draws)
        print(f"{setup.name}, {setup.noise} noise ({time.perf_counter() - began:.0f} s)")
        for name, share in covered.items():
            words = f"  {name:20s} S_opt {100 * share[:9].min():.1f} .. {100 * share[:9].max():.1f} %"
            words += f"   loss {100 * share[9:].min():.1f} .. {100 * share[9:].max():.1f} %"
            print(f"{words}   mean {100 * share.mean():.1f} %", flush=True)
            if arguments.all:
                print("   ", dict(zip(setup.questions(), (100 * share).round(1).tolist(), strict=True)), flush=True)


if __name__ == "__main__":
    main()
