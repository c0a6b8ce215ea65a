"""What a calibration of several strategies leaves beside its law: a law for each, their comparison, and its page."""

from collections.abc import Callable

from sparseplan.calibration.fit_runs import Fitted
from sparseplan.calibration.setup import Setup
from sparseplan.common.files import write_text
from sparseplan.common.units import format_count, format_scientific, format_sparsity
from sparseplan.figures.strategies import draw_strategies
from sparseplan.fit.strategy_answer import AtSparsity, Difference, StrategyTable, Valued, to_json
from sparseplan.laws.file import write_law
from sparseplan.laws.forms import FORMS
from sparseplan.laws.law import Law
from sparseplan.runs.table import set_name
from sparseplan.sweep.folder import Folder


def write_strategies(folder: Folder, setup: Setup, fitted: Fitted, laws: dict[str, Law]) -> None:
    """Write the laws by strategy, the comparison and the figure."""
    table = fitted.result.answer.strategies
    assert fitted.strategies is not None
    assert table is not None
    folder.law_of("any").parent.mkdir(exist_ok=True)
    for name, law in laws.items():
        write_law(law, folder.law_of(name))
    write_text(folder.comparison, to_json(table) + "\n")
    draw_strategies(fitted.strategies, table, folder.figure, setup.loaded.recipe.description)


def strategy_lines(table: StrategyTable, unit: str, calibration: str) -> list[str]:
    """The section of the page that compares strategies."""
    form = FORMS[table.form]
    names = [one.name for one in form.per_family]
    base = ", ".join(f"{name} {_cell(one)}" for name, one in table.base.items())
    lines = [
        "## Strategies, on one dense base",
        "",
        f"{form.formula}, in nats per {unit}. In common: {base}. In brackets {100 * table.level:.0f}% intervals, from "
        "draws that all strategies share.",
        "",
        f"| strategy | {' | '.join(names)} | runs stray by |",
        f"| --- |{' --- |' * (len(names) + 1)}",
    ]
    for row in table.sets:
        cells = [_cell(row.coefficients[name]) if row.determined else "open" for name in names]
        lines.append(f"| {set_name(row.strategy, row.pattern)} | {' | '.join(cells)} | {100 * row.error:.2g}% |")
    levels = sorted({at.sparsity for row in table.sets for at in row.at})
    if not all(row.determined for row in table.sets):
        lines += [
            "",
            "open: these runs do not determine them, only what follows at the sparsities that were run. Such a law "
            "carries no draws.",
        ]
    lines += [
        "",
        "Size multiplier m(S): on equal data a sparse model does as well as a dense one with m times its non-zero "
        "weights.",
        "",
        f"| strategy | {' | '.join(f'm at {format_sparsity(S)}' for S in levels)} |",
        f"| --- |{' --- |' * len(levels)}",
        *_level_rows(table, levels, lambda at: _cell(at.multiplier)),
        "",
        f"Training costs differ. With {format_count(table.nonzero_params)} non-zero weights left and "
        f"{format_scientific(table.train_flops)} training FLOPs (zeros free), loss above that of a dense model of as "
        f"many weights and FLOPs, nats per {unit}, and how much dearer each {table.data_unit} is (c_mul):",
        "",
        f"| strategy | {' | '.join(f'loss at {format_sparsity(S)} | c_mul' for S in levels)} |",
        f"| --- |{' --- | --- |' * len(levels)}",
        *_level_rows(table, levels, _loss_cells),
        "",
        *_differences(table),
        "",
        "`strategies.json` has every number and every pair; `laws/` a law for each strategy, which `--strategy` plans "
        "with:",
        "",
        "```sh",
        f"sparseplan optimal --flops {format_scientific(table.train_flops)} --law {calibration} --strategy "
        f"{table.sets[-1].strategy}",
        "```",
    ]
    return lines


def _loss_cells(at: AtSparsity) -> str:
    return "- | -" if at.above_dense is None else f"{_cell(at.above_dense, signed=True)} | {at.cost:.3g}"


def _level_rows(table: StrategyTable, levels: list[float], cell: Callable[[AtSparsity], str]) -> list[str]:
    rows = []
    for row in table.sets:
        at = {one.sparsity: one for one in row.at}
        cells = [cell(at[S]) if S in at else "-" for S in levels]
        rows.append(f"| {set_name(row.strategy, row.pattern)} | {' | '.join(cells)} |")
    return rows


def _differences(table: StrategyTable) -> list[str]:
    """Which differences are real, sentence by sentence."""
    if table.stretch is None:
        return ["Without draws nobody can say which differences are real."]
    lines = [
        "### Which differences are real",
        "",
        f"Intervals of log ratios, draw by draw, stretched so that all of a kind hold together in "
        f"{100 * table.level:.0f}% of the draws: the correction for many comparisons. Of them exclude 0:",
        "",
    ]
    for kind, words in (("multiplier", "size multipliers"), ("loss", "losses at equal training FLOPs")):
        some = [one for one in table.differences if one.of == kind]
        for S in sorted({one.sparsity for one in some}):
            here = [one for one in some if one.sparsity == S]
            real = [one for one in here if one.real]
            said = f"{len(real)} of {len(here)} {words} at S = {format_sparsity(S)}"
            lines.append(f"- {said}{': ' if real else ''}{'; '.join(_beats(real, kind))}.")
    return lines


def _beats(real: list[Difference], kind: str) -> list[str]:
    """The real differences, gathered by the better strategy: the one of the larger m, or of the lower loss."""
    better: dict[str, list[str]] = {}
    for one in real:
        first_wins = (one.log_ratio > 0) == (kind == "multiplier")
        winner, loser = (one.first, one.second) if first_wins else (one.second, one.first)
        better.setdefault(winner, []).append(loser)
    ordered = sorted(better.items(), key=lambda pair: -len(pair[1]))
    return [f"{winner} better than {_listed(losers)}" for winner, losers in ordered]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _cell(one: Valued, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    value = f"{one.value:{sign}.3g}"
    if one.interval is None:
        return value
    return f"{value} ({one.interval[0]:{sign}.3g} .. {one.interval[1]:{sign}.3g})"
