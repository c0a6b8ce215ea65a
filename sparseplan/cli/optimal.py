"""`sparseplan optimal`: the best sparsity, size and data for a budget."""

from sparseplan.cli import options as o
from sparseplan.sparsity.pattern import UNSTRUCTURED

EPILOG = """Examples:

- `sparseplan optimal --flops 1e23`
- `sparseplan optimal --flops 5e22 --params 7B --pattern n:4 --cost dense --json`
- `sparseplan optimal --device-hours 20k --cost h100 --devices 256 --price 2.50`"""


def optimal(
    flops: o.OptionalFlopsOption = None,
    params: o.ParamsOption = None,
    dense_params: o.DenseParamsOption = None,
    pattern: o.PatternOption = str(UNSTRUCTURED),
    law: o.LawOption = "frantar2023-t5-c4",
    cost: o.CostOption = "sparse",
    max_sparsity: o.MaxSparsityOption = None,
    device_hours: o.DeviceHoursOption = None,
    peak: o.PeakOption = None,
    utilization: o.UtilizationOption = None,
    devices: o.DevicesOption = None,
    price: o.PriceOption = None,
    json: o.JsonOption = False,
) -> None:
    """Find the sparsity, size and data that reach the lowest loss for a training budget.

    With --flops alone the model size is chosen too; --params or --dense-params fixes it. The answer stands beside the
    best dense plan for the same budget, with 90% intervals where the law carries draws, and says how far it lies
    outside what the law's runs covered. With a hardware profile as --cost it also says, for unstructured sparsity, 2:4
    and other n:m, whether it pays on that device and how fast 2:4 would have to be; the budget may then be in
    --device-hours.
    """
    from sparseplan.laws.file import load_law
    from sparseplan.plan.answer import answer, to_json
    from sparseplan.plan.caveats import sparsity_cap
    from sparseplan.plan.question import Question

    o.require_one_budget(flops, device_hours)
    chosen = load_law(law)
    profile = o.load_cost_profile(cost)
    device = o.describe_device(profile, device_hours, peak, utilization, devices, price)
    question = Question(
        train_flops=1.0 if flops is None else flops,
        nonzero_params=params,
        dense_params=dense_params,
        pattern=pattern,
        cost=o.load_cost(cost, chosen, pattern, profile),
        max_sparsity=sparsity_cap(chosen) if max_sparsity is None else max_sparsity,
        pattern_cap=1.0 if max_sparsity is None else max_sparsity,
    )
    result = answer(chosen, question, device=device, device_hours=device_hours)
    if json:
        print(to_json(result))
        return
    from sparseplan.common.console import open_console
    from sparseplan.report.plan import print_answer

    print_answer(open_console(), result)
