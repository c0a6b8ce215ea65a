"""One question to several laws: how far their answers agree, and which lie outside what was measured."""

import sparseplan as sp

LAWS = ("frantar2023-t5-c4-refit", "frantar2023-t5-c4", "besiroglu2024-chinchilla")

print(f"{'law':26} {'sparsity':>8} {'non-zero':>9} {'data':>9}  warnings")
for law in LAWS:
    answer = sp.optimal(flops="1e21", law=law)
    plan = answer.plan
    codes = ", ".join(sorted({warning.code for warning in answer.warnings}))
    print(f"{law:26} {plan.sparsity:8.1%} {plan.nonzero_params:9.3g} {plan.data_seen:9.3g}  {codes}")
