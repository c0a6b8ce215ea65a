"""The functional forms of laws, one a file. A new one: a file with its `Theta` and its `FORM`, and a line here."""

from sparseplan.laws.forms import chinchilla, coupled, coupled_dense, frantar2023, varying_exponents, wu2026
from sparseplan.laws.forms.base import Form

FORMS: dict[str, Form] = {
    module.FORM.name: module.FORM
    for module in (frantar2023, chinchilla, varying_exponents, coupled, coupled_dense, wu2026)
}
"""Every form by its name in law files."""
