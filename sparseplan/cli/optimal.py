"""`sparseplan optimal`: the best sparsity, size and data for a budget, or the least compute for a loss."""

from pathlib import Path

from sparseplan.cli import device_options as d
from sparseplan.cli import options as o
from sparseplan.common.text import shown
from sparseplan.errors import PlanError
from sparseplan.laws import DEFAULT_LAW

EPILOG = """Examples:

- `sparseplan optimal --flops 1e23`
- `sparseplan optimal --loss 1.8 --params 1B`
- `sparseplan optimal --flops 1e23 --objective mean`
- `sparseplan optimal --flops 1e23 --max-data 300B`
- `sparseplan optimal --loss 1.8 --inference-tokens 1T --inference dense`
- `sparseplan optimal --loss 1.8 --cost h100 --price 2.50 --inference-tokens 1T --inference l40s --inference-price 0.90`
- `sparseplan optimal --flops 1e21..1e24 --cost sparse,dense --plot plans.pdf`
- `sparseplan optimal --flops 1e21 --from-dense 20B --dense-params 1B`
- `sparseplan optimal --flops 5e22 --params 7B --pattern n:4 --cost dense --json`
- `sparseplan optimal --flops 1e23 --model llama-3-8b --devices 8 --max-memory 80GB`
- `sparseplan optimal --device-hours 20k --cost h100 --devices 256 --price 2.50`"""


def optimal(
    flops: o.BudgetsOption = None,
    loss: o.LossOption = None,
    params: o.ParamsOption = None,
    dense_params: o.DenseParamsOption = None,
    model: o.ModelOption = None,
    context: o.ContextOption = None,
    max_memory: o.MaxMemoryOption = None,
    data: o.FixedDataOption = None,
    max_data: o.MaxDataOption = None,
    tokens_per_param: o.TokensPerParamOption = None,
    unique_data: o.UniqueDataOption = None,
    from_dense: o.FromDenseOption = None,
    inference_tokens: d.InferenceTokensOption = None,
    inference: d.InferenceOption = None,
    inference_weight: d.InferenceWeightOption = None,
    inference_price: d.InferencePriceOption = None,
    inference_utilization: d.InferenceUtilizationOption = None,
    inference_batch: d.InferenceBatchOption = None,
    pattern: o.PatternsOption = None,
    law: o.LawsOption = None,
    strategy: o.StrategiesOption = None,
    cost: o.CostsOption = None,
    max_sparsity: o.MaxSparsityOption = None,
    objective: o.ObjectiveOption = "point",
    device_hours: d.DeviceHoursOption = None,
    days: d.DaysOption = None,
    peak: d.PeakOption = None,
    utilization: d.UtilizationOption = None,
    devices: d.DevicesOption = None,
    price: d.PriceOption = None,
    explain: o.ExplainOption = False,
    csv: o.CsvOption = None,
    plot: o.PlotOption = None,
    width: o.PictureWidthOption = None,
    markdown: o.MarkdownOption = False,
    force: o.ForceOption = False,
    json: o.JsonOption = False,
) -> None:
    """Find the sparsity, size and data that reach the lowest loss for a training budget, or a loss for the least one.

    --loss asks for the least compute that reaches a loss, with an interval of that compute. With --flops or --loss
    alone the model size is chosen too; --params, --dense-params, --model, --data or --tokens-per-param fixes it, and
    --max-data limits the data. A --model brings its attention, head and memory too. With --inference-tokens, --flops is
    the total of training and inference. The answer stands beside the best dense plan for the same, with 90%
    intervals where the law carries draws, and says how far it lies outside what the law's runs covered. With a
    hardware profile as --cost it also says, for unstructured sparsity, 2:4 and other n:m, whether it pays on that
    device and how fast 2:4 would have to be; the budget may then be in --device-hours, or in --days of all
    --devices.

    With --from-dense T a dense model of --dense-params exists that has seen T data: for every sparsity, what pruning it
    with --flops reaches, what training from scratch costs for the same, and which share of its data must count for
    pruning to be the better.

    Several --flops, --law, --strategy, --cost or --pattern, each repeated or with commas, give a table of all
    combinations, in which --explain prints the warnings of every plan. --plot draws them, or what every sparsity
    reaches for one plan.
    """
    givens = {
        "loss": loss,
        "params": params,
        "model": model,
        "context": context,
        "max_memory": max_memory,
        "data": data,
        "max_data": max_data,
        "tokens_per_param": tokens_per_param,
        "unique_data": unique_data,
        "inference_tokens": inference_tokens,
        "inference": inference,
        "inference_weight": inference_weight,
        "inference_price": inference_price,
        "inference_utilization": inference_utilization,
        "inference_batch": inference_batch,
        "device_hours": device_hours,
        "days": days,
        "peak": peak,
        "utilization": utilization,
        "devices": devices,
        "price": price,
    }
    if from_dense is not None:
        from sparseplan.cli.from_dense import answer_from_dense

        files = {"csv": csv, "markdown": markdown, "plot": plot, "width": width}
        answer_from_dense(
            from_dense,
            flops=o.flat(flops),
            dense_params=dense_params,
            pattern=o.flat(pattern),
            law=o.flat(law),
            cost=o.flat(cost),
            max_sparsity=max_sparsity,
            explain=explain,
            json=json,
            others=givens | files | {"objective": None if objective == "point" else objective},
        )
        return
    _require_outputs(csv=csv, plot=plot, width=width, force=force, both=markdown and json)
    from sparseplan.api.plans import plans

    found = plans(
        o.flat(flops),
        dense_params=dense_params,
        pattern=o.flat(pattern),
        law=o.flat(law) or DEFAULT_LAW,
        strategy=o.flat(strategy),
        cost=o.flat(cost) or "sparse",
        max_sparsity=max_sparsity,
        objective=objective,
        curve=plot is not None,
        **givens,
    )
    if plot is not None:
        found.plot(plot, width=width or "page")
    if csv is not None:
        found.save(csv)
    if markdown:
        print(shown(found.to_markdown(), lines=True))
    elif json:
        o.print_json((found if len(found) > 1 else found[0]).to_json())
    elif len(found) > 1:
        from sparseplan.report.plans import print_plans

        print_plans(o.open_console(), found.plans, explain=explain)
    else:
        from sparseplan.report.plan import print_answer

        print_answer(o.open_console(), found[0], explain=explain)
    for written in (csv, plot):
        if written is not None:
            o.note(f"wrote {written}")


def _require_outputs(*, csv: Path | None, plot: Path | None, width: str | None, force: bool, both: bool) -> None:
    """Refuse before any work what could not be written after it."""
    if both:
        raise PlanError("expected `markdown` or `json`, found both.")
    if plot is not None:
        from sparseplan.cli.pictures import require_picture

        require_picture("--plot", plot)
    elif width is not None:
        raise PlanError("`width`: expected a picture to be that wide, as `plot`.")
    if csv is not None:
        o.require_new("--csv", csv, force=force)
        o.require_place("--csv", csv)
