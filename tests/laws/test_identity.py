"""Claims about a law's hash: it names what a file says, whatever the file looks like."""

import random

import numpy as np
import yaml
from msgspec.structs import replace

from sparseplan.laws.draws import Draws
from sparseplan.laws.file import builtin_laws, law_text, parse_law, read_law
from sparseplan.laws.identity import law_hash
from sparseplan.laws.law import Law


def test_layout_comments_and_spelling_of_numbers_do_not_change_the_hash(t5: Law) -> None:
    data = yaml.safe_load(law_text(t5))
    keys = list(data)
    random.Random(1).shuffle(keys)
    text = yaml.safe_dump({key: data[key] for key in keys}, sort_keys=False, default_flow_style=False, width=40)
    text = "# a comment\n" + text.replace("690000000.0", "6.9e8 # per cent")
    text = text.replace("tokens_per_unit: 1\n", "tokens_per_unit: 1.0\n")
    assert "6.9e8" in text
    other = parse_law(text, source="team.yaml")
    assert other == t5
    assert law_hash(other) == law_hash(t5)


def test_whatever_a_file_says_changes_the_hash(t5_with_draws: Law) -> None:
    assert t5_with_draws.draws is not None
    table = t5_with_draws.draws.table()
    table[3, 2] = np.nextafter(np.float32(table[3, 2]), np.float32(1.0))
    moved = Draws.pack(t5_with_draws.draws.columns, table, method=t5_with_draws.draws.method)
    own = t5_with_draws.sparsity["unstructured"]
    others = [
        replace(t5_with_draws, name="other"),
        replace(t5_with_draws, description="Other words."),
        replace(t5_with_draws, coefficients=t5_with_draws.coefficients | {"c": 0.6510000000000001}),
        replace(t5_with_draws, sparsity={"unstructured": own, "n:4": own}),
        replace(t5_with_draws, draws=None),
        replace(t5_with_draws, draws=moved),
        replace(t5_with_draws, provenance=t5_with_draws.provenance | {"date": "2026-11-24"}),
    ]
    assert len({law_hash(law) for law in (t5_with_draws, *others)}) == 1 + len(others)


def test_the_built_in_laws_have_hashes_of_their_own_that_survive_a_copy() -> None:
    laws = [read_law(path) for path in builtin_laws()]
    assert len({law_hash(law) for law in laws}) == len(laws)
    for law in laws:
        assert law_hash(parse_law(law_text(law), source="copy.yaml")) == law_hash(law)
    assert law_hash(read_law(next(path for path in builtin_laws() if path.stem == "frantar2023-t5-c4"))) == "57799687"
