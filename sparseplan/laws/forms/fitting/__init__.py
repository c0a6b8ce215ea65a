"""How forms are fitted, one a file. A form that can be fitted: a file with its `FittedForm`, and a line here."""

from sparseplan.errors import FitError
from sparseplan.laws.forms.fitting.base import FittedForm
from sparseplan.laws.forms.fitting.chinchilla import FittedChinchilla
from sparseplan.laws.forms.fitting.coupled import FittedCoupled, FittedCoupledDense
from sparseplan.laws.forms.fitting.frantar2023 import FittedFrantar2023
from sparseplan.laws.forms.fitting.varying_exponents import FittedVaryingExponents

FITTED: dict[str, FittedForm] = {
    one.form.name: one
    for one in (
        FittedFrantar2023(),
        FittedVaryingExponents(),
        FittedCoupled(),
        FittedChinchilla(),
        FittedCoupledDense(),
    )
}
"""Every form that can be fitted by its name; of those that know sparsity the first is the default."""

SPARSE = tuple(name for name, one in FITTED.items() if one.form.knows_sparsity)
DENSE = tuple(name for name in FITTED if name not in SPARSE)


def fitted_form(name: str | None, *, sparse: bool) -> FittedForm:
    """The form to fit: the one that is asked for, else the default; of runs that are all dense its dense counterpart.

    Raises:
        FitError: if there is no such form, or it is a dense one and the runs are sparse.
    """
    allowed = SPARSE if sparse else (*SPARSE, *DENSE)
    if name is not None and name not in allowed:
        dense = f", whose dense runs give {' or '.join(DENSE)}" if sparse else ""
        raise FitError(f"`form` {name}: expected auto, average, {' or '.join(allowed)}{dense}.")
    chosen = FITTED[name or SPARSE[0]]
    return chosen if sparse or not chosen.form.knows_sparsity else FITTED[chosen.form.dense_form]
