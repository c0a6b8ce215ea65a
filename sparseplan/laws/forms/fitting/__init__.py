"""How forms are fitted, one a file. A form that can be fitted: a file with its `FittedForm`, and a line here."""

from sparseplan.errors import FitError
from sparseplan.laws.forms.fitting.base import FittedForm
from sparseplan.laws.forms.fitting.chinchilla import FittedChinchilla
from sparseplan.laws.forms.fitting.frantar2023 import FittedFrantar2023
from sparseplan.laws.forms.fitting.varying_exponents import FittedVaryingExponents

FITTED: dict[str, FittedForm] = {
    one.form.name: one for one in (FittedFrantar2023(), FittedVaryingExponents(), FittedChinchilla())
}
"""Every form that can be fitted by its name; of those that know sparsity the first is the default."""

SPARSE = tuple(name for name, one in FITTED.items() if one.form.knows_sparsity)
DENSE = next(name for name, one in FITTED.items() if not one.form.knows_sparsity)


def fitted_form(name: str | None, *, sparse: bool) -> FittedForm:
    """The form to fit: the one that is asked for, else the default; of runs that are all dense the dense law.

    Raises:
        FitError: if there is no such form.
    """
    if name is not None and name not in SPARSE:
        raise FitError(
            f"`form` {name}: expected {' or '.join(SPARSE)}; runs that are all dense give {DENSE} without being asked."
        )
    return FITTED[(name or SPARSE[0]) if sparse else DENSE]
