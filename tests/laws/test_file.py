"""Law files: what is read, what is refused and how, and that nothing gets lost on the way."""

import json
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparseplan.common.yaml_struct import read_document
from sparseplan.errors import LawError
from sparseplan.laws.draws import Draws
from sparseplan.laws.file import (
    builtin_laws,
    law_files,
    law_schema,
    law_text,
    load_law,
    parse_law,
    read_law,
    shadowing,
    write_law,
)
from sparseplan.laws.law import Law, coefficient_draws
from tests.helpers.schemas import needs_whole_schemas

MINIMAL = """\
format: sparseplan-law/1
name: team-gpt
description: Our decoders on our data.
form: frantar2023
data_unit: token
tokens_per_unit: 1
coefficients: {b_N: 0.245, a_D: 6.9e8, b_D: 0.203, c: 0.651}
sparsity:
  unstructured: {a_S: 16.8, b_S: 0.722, c_S: 45.0}
  n:4: {a_S: 15, b_S: 0.7, c_S: 46.8}
schedule: {kind: cubic, start: 0.25, end: 0.75}
"""


def refusal(text: str) -> str:
    with pytest.raises(LawError) as caught:
        parse_law(text, source="law.yaml")
    return str(caught.value)


def test_the_first_nine_keys_make_a_valid_law() -> None:
    law = parse_law(MINIMAL, source="law.yaml")
    assert law.sparsity
    assert law.coefficients["a_D"] == 6.9e8
    assert law.sparsity["n:4"]["b_S"] == 0.7
    assert law.draws is None


def test_a_law_needs_no_description() -> None:
    law = parse_law(MINIMAL.replace("description: Our decoders on our data.\n", ""), source="law.yaml")
    assert law.description == ""
    assert parse_law(law_text(law), source="again.yaml") == law


def test_the_documented_example_is_a_valid_law() -> None:
    page = (Path(__file__).parents[2] / "docs" / "laws.md").read_text(encoding="utf-8")
    parse_law(page.split("```yaml\n")[1].split("```")[0], source="docs/laws.md")


@pytest.mark.parametrize("number", ["1e23", "1E23", "+1.e+23", "100_000_000_000e12", "1.0e23"])
def test_numbers_in_powers_of_ten_are_numbers(number: str) -> None:
    law = parse_law(MINIMAL.replace("6.9e8", number), source="law.yaml")
    assert law.coefficients["a_D"] == pytest.approx(1e23)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "b_N: 0.245",
            "b_N: -0.24",
            "law.yaml:7: coefficients.b_N: expected a number > 0.0, found -0.24. A negative exponent",
        ),
        ("b_N: 0.245", "b_N: big", "law.yaml:7: coefficients.b_N: expected a number, found 'big'."),
        ("b_N: 0.245", "b_N: true", "law.yaml:7: coefficients.b_N: expected a number, found True."),
        ("b_N: 0.245", "b_N: .nan", "law.yaml:7: coefficients.b_N: expected a finite number, found .nan"),
        ("b_N: 0.245", "b_N: 1e999", "law.yaml:7: coefficients.b_N: expected a finite number, found 1e999"),
        ("b_N:", "bN:", "law.yaml:7: coefficients.bN: unknown key (did you mean 'b_N'?)."),
        ("b_N: 0.245, ", "", "law.yaml:7: coefficients: the key 'b_N' is missing; add it."),
        ("data_unit: token\n", "", "law.yaml:1: the key 'data_unit' is missing; add it."),
        ("a_S: 15", "a_S: -15", "law.yaml:10: sparsity.n:4.a_S: expected a number >= 0.0, found -15."),
        ("n:4:", "n:1:", "law.yaml:10: sparsity.n:1: expected a key of the form"),
        ("form: frantar2023", "form: frantar", "did you mean 'frantar2023'?"),
        ("sparseplan-law/1", "sparseplan-law/2", "law.yaml:1: format: expected one of sparseplan-law/1"),
        (
            "kind: cubic",
            "kind: cubik",
            "law.yaml:11: schedule.kind: expected one of cubic, geometric, linear, rewinding, straight-through, "
            "found 'cubik'",
        ),
        ("start: 0.25", "start: 0.9", "law.yaml:11: schedule: expected start <= end"),
        ("name: team-gpt", "name: team gpt", "law.yaml:2: name: expected text matching"),
        ("tokens_per_unit: 1", "tokens_per_unit: 0", "law.yaml:6: tokens_per_unit: expected a number > 0.0, found 0."),
        ("schedule:", "range: {sparsity: [0.9, 0.1]}\nschedule:", "law.yaml:11: range: sparsity: expected [smallest"),
        ("schedule:", '"a\\nb": 1\nschedule:', "unknown key"),
        ("schedule:", "name: again\nschedule:", "law.yaml:11: name: expected each key once, found it twice"),
    ],
)
def test_a_mistake_is_named_by_line_and_key(old: str, new: str, expected: str) -> None:
    assert old in MINIMAL
    assert expected in refusal(MINIMAL.replace(old, new))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "found an empty file"),
        ("just words", "expected a mapping, found 'just words'"),
        ("[1, 2]", "expected a mapping, found a list of 2"),
        ("a: [1, 2", "syntax error"),
        ("a: &x 1\nb: *x", "found an anchor or alias"),
        ("a: &x 1", "found an anchor or alias"),
        ("{a: " + "9" * 5000 + "}", "at most 300 digits"),
        ("[" + "1," * 120_000 + "]", "at most 100000 values"),
        ("a: !!python/object/apply:os.system ['true']", "found the tag"),
        ("a: !!binary aGk=", "found the tag"),
        ("[" * 50_000, "nested at most"),
        ("- " * 50_000, "nested at most"),
        ("{a: " * 200, "nested at most"),
        ("{" * 50_000, "nested at most"),
        ("- a: " + "[\n" * 2_000, "nested at most"),
        ("? {a: 1}\n: 2", "plain words"),
        ("a: 1\n---\nb: 2", "another document"),
    ],
)
def test_what_is_no_law_is_refused(text: str, expected: str) -> None:
    assert expected in refusal(text)


def test_an_alias_bomb_is_refused_before_it_unfolds() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    assert "found an anchor or alias" in refusal(bomb)


def test_binary_and_huge_and_missing_files_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(bytes(range(256)))
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(64 * 2**20)
    for path, expected in ((binary, "UTF-8"), (huge, "at most 16 MiB"), (tmp_path / "no.yaml", "No such file")):
        with pytest.raises(LawError, match=expected):
            read_law(path)
    for special in (tmp_path, Path("/dev/zero")):
        with pytest.raises(LawError, match="expected a regular file"):
            read_law(special)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_any_text_is_a_law_or_one_clear_error(text: str) -> None:
    message = refusal(text)
    assert message.startswith("law.yaml")


plain_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=6), children, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(yaml.safe_load(MINIMAL))), plain_values)
def test_any_value_at_any_key_is_accepted_or_one_clear_error(key: str, value: object) -> None:
    text = yaml.safe_dump(yaml.safe_load(MINIMAL) | {key: value}, allow_unicode=True)
    try:
        law = parse_law(text, source="law.yaml")
    except LawError as problem:
        message = str(problem)
    else:
        message = f"law.yaml: {law.name}"
    assert message.startswith("law.yaml")


@pytest.mark.parametrize("path", builtin_laws(), ids=lambda path: path.stem)
def test_every_built_in_law_survives_writing_and_reading(path: Path, tmp_path: Path) -> None:
    law = read_law(path)
    assert law.name == path.stem
    write_law(law, tmp_path / "copy.yaml")
    assert read_law(tmp_path / "copy.yaml") == law


@pytest.mark.parametrize("path", builtin_laws(), ids=lambda path: path.stem)
def test_the_shipped_schema_accepts_every_built_in_law(path: Path) -> None:
    schema = json.loads((resources.files("sparseplan") / "builtin/schemas/law.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(read_document(path, kind="law file", error=LawError).data, schema)


@needs_whole_schemas
def test_the_shipped_schema_is_the_one_that_the_code_checks() -> None:
    shipped = (resources.files("sparseplan") / "builtin/schemas/law.schema.json").read_text("utf-8")
    assert shipped == json.dumps(law_schema(), indent=2) + "\n"


def test_draws_travel_with_the_file(t5_with_draws: Law, tmp_path: Path) -> None:
    write_law(t5_with_draws, tmp_path / "law.yaml")
    before = coefficient_draws(t5_with_draws, "unstructured")
    after = coefficient_draws(read_law(tmp_path / "law.yaml"), "unstructured")
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(np.stack(list(before)), np.stack(list(after)))
    assert (tmp_path / "law.yaml").stat().st_size < 20_000


def test_a_coefficient_that_was_not_drawn_keeps_its_value(t5: Law) -> None:
    draws = Draws.pack(["b_N"], np.array([[0.2], [0.3]]), method="two")
    law = Law(**{name: getattr(t5, name) for name in t5.__struct_fields__} | {"draws": draws})
    drawn = coefficient_draws(law, "unstructured")
    assert drawn is not None
    assert np.asarray(drawn.as_dict()["b_N"]) == pytest.approx([0.2, 0.3])
    assert np.asarray(drawn.as_dict()["c"]).tolist() == [0.651, 0.651]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"columns": ["b_N", "b_N"]}, "each once, found 'b_N'"),
        ({"columns": ["b_N", "b_X"]}, "found 'b_X'"),
        ({"count": 3}, "expected 24 bytes for 3 draws of 2 columns, found 16"),
        ({"data": "!!"}, "expected base64"),
        ({"data": "AACAfwAAgD8AAIA/AACAPw=="}, "expected finite numbers"),
        ({"data": "AACAvwAAgD8AAIA/AACAPw=="}, "expected draws of b_N above 0, found -1"),
    ],
)
def test_broken_draws_are_refused(change: dict[str, object], expected: str) -> None:
    good = {"count": 2, "columns": ["b_N", "b_D"], "data": "AACAPwAAgD8AAIA/AACAPw==", "encoding": "float32-base64"}
    parse_law(MINIMAL + yaml.safe_dump({"draws": good}), source="law.yaml")
    assert expected in refusal(MINIMAL + yaml.safe_dump({"draws": good | change}))


def test_nothing_is_written_when_a_law_is_not_valid(t5: Law, tmp_path: Path) -> None:
    law = Law(**{name: getattr(t5, name) for name in t5.__struct_fields__} | {"name": "two words"})
    with pytest.raises(LawError, match="name"):
        write_law(law, tmp_path / "law.yaml")
    assert list(tmp_path.iterdir()) == []


def test_names_are_looked_up_in_repository_variable_user_folder_and_built_ins_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, t5: Law
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = law_text(t5).replace("c: 0.651", "c: 0.1")
    theirs = law_text(t5).replace("c: 0.651", "c: 0.2")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "some.yaml").write_text(theirs, encoding="utf-8")
    assert load_law("frantar2023-t5-c4").coefficients["c"] == 0.651
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "sparseplan" / "laws" / "t5").mkdir(parents=True)
    ours = law_text(t5).replace("c: 0.651", "c: 0.3")
    (tmp_path / "config" / "sparseplan" / "laws" / "t5" / "law.yaml").write_text(ours, encoding="utf-8")
    assert load_law("frantar2023-t5-c4").coefficients["c"] == 0.3
    assert shadowing("frantar2023-t5-c4") == tmp_path / "config" / "sparseplan" / "laws" / "t5" / "law.yaml"
    monkeypatch.setenv("SPARSEPLAN_LAWS", f"/nonexistent:{tmp_path / 'theirs'}")
    assert load_law("frantar2023-t5-c4").coefficients["c"] == 0.2
    (tmp_path / "calibration" / "t5").mkdir(parents=True)
    (tmp_path / "calibration" / "t5" / "law.yaml").write_text(mine, encoding="utf-8")
    assert load_law("frantar2023-t5-c4").coefficients["c"] == 0.1


def test_a_broken_neighbour_does_not_stop_a_lookup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calibration" / "broken").mkdir(parents=True)
    (tmp_path / "calibration" / "broken" / "law.yaml").write_bytes(b"\xff\xfe name: : [")
    assert load_law("frantar2023-vit-jft").name == "frantar2023-vit-jft"
    assert "broken" in {name for name, _ in law_files()}


@pytest.mark.parametrize(
    "value", ["!!bool maybe", '!!int ""', "!!float x", "!!null x", "!!str 1", "! x", "!!timestamp x"]
)
def test_a_tag_that_is_written_out_is_refused_by_its_line(value: str) -> None:
    message = refusal(MINIMAL.replace("data_unit: token", f"data_unit: {value}"))
    assert message.startswith("law.yaml:5: expected plain values, found the tag ")


@pytest.mark.parametrize("value", ["1__0", "1_", "1__0e3", "1_.5"])
def test_a_number_with_odd_underscores_is_no_number(value: str) -> None:
    message = refusal(MINIMAL.replace("tokens_per_unit: 1", f"tokens_per_unit: {value}"))
    assert f"law.yaml:6: tokens_per_unit: expected a number, found '{value}'" in message
    assert parse_law(MINIMAL.replace("tokens_per_unit: 1", "tokens_per_unit: 1_000"), source="law.yaml")


def test_levels_out_of_order_are_refused_with_their_key() -> None:
    text = law_text(load_law("frantar2023-t5-c4"))
    assert "levels:" in text
    with pytest.raises(LawError, match=r"levels\.sparsity: expected every sparsity once, in ascending order"):
        parse_law(text.replace("0.75, 0.875]", "0.875, 0.75]"), source="team.yaml")
