"""The page as a file: whole, small, alone, and proof against what a law's file says; and the command that writes it."""

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path

import msgspec
import pytest

import sparseplan as sp
from sparseplan.cli import run
from sparseplan.errors import LawError, PlanError
from sparseplan.explore.kept import MOST_DRAWS
from sparseplan.explore.pack_law import pack_law
from sparseplan.explore.page import json_block, page_html
from sparseplan.laws.file import builtin_laws, load_law
from sparseplan.laws.law import Law, coefficient_draws, form_of
from tests.helpers.page_core import ROOT

WEB = ROOT / "sparseplan" / "explore" / "web"
BUILT = ROOT / "sparseplan" / "explore" / "built"
T5 = "frantar2023-t5-c4"
EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><!--"


class Elements(html.parser.HTMLParser):
    """The elements of a page with their attributes, and the text of its data block."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.data, self._inside = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag == "script" and dict(attrs).get("id") == "data"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data += data
            self._inside = False


def evil_law() -> Law:
    return msgspec.structs.replace(
        load_law(T5), loss=EVIL, data_unit=f"token{EVIL}\u202e\x1b[31m", provenance={"date": EVIL}, description=EVIL
    )


def test_a_page_is_small_and_loads_nothing() -> None:
    text = sp.explore().html()
    assert len(text.encode()) < 3_000_000
    for tag, attributes in Elements(text).found:
        assert tag not in ("link", "iframe", "img", "object", "embed", "base"), tag
        assert not {"src", "href", "action", "srcset"} & attributes.keys(), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
    policy = next(one["content"] for _, one in Elements(text).found if "http-equiv" in one)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_the_policy_names_the_script_that_is_in_the_page_and_no_other() -> None:
    text = sp.explore(T5).html()
    script = text[text.index("<script>") + len("<script>") : text.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert text.count("script-src ") == 1
    assert f"script-src 'sha256-{digest}';" in text
    assert "</script" not in script.lower()
    assert "<!--" not in script


def test_what_a_law_says_cannot_become_markup() -> None:
    plain, evil = sp.explore(load_law(T5)).html(), sp.explore(evil_law()).html()
    assert [tag for tag, _ in Elements(plain).found] == [tag for tag, _ in Elements(evil).found]
    held = json.loads(Elements(evil).data)["laws"][0]
    assert held["loss"] == EVIL  # as text it is all there
    assert "\u202e" not in held["data_unit"]
    assert "\x1b" not in held["data_unit"]
    assert EVIL not in evil


def test_a_block_of_json_has_no_character_that_markup_begins_with() -> None:
    block = json_block({"a": EVIL, "b": ["\u2028\u2029&"]})
    assert not set(block) & set("<>&\u2028\u2029")
    assert json.loads(block) == {"a": EVIL, "b": ["\u2028\u2029&"]}


def test_a_path_is_quoted_for_the_shell_of_the_command() -> None:
    assert pack_law(load_law(T5), "my laws/$(rm x).yaml", ["2:4"]).argument == "'my laws/$(rm x).yaml'"


def test_by_default_a_page_has_every_built_in_law_that_knows_sparsity_and_every_cost() -> None:
    data = sp.explore().data
    names = {path.stem for path in builtin_laws() if form_of(load_law(path.stem)).knows_sparsity}
    assert {law.name for law in data.laws} == names
    assert data.laws[0].name == "frantar2023-t5-c4-refit"
    assert [cost.name for cost in data.costs][:2] == ["sparse", "dense"]
    assert "h100" in {cost.name for cost in data.costs}


def test_draws_travel_bit_for_bit_and_of_many_only_as_many_as_a_page_holds() -> None:
    law = load_law("frantar2023-t5-c4-refit")
    draws = coefficient_draws(law, "unstructured")
    assert draws is not None
    assert law.draws is not None
    (rows,) = pack_law(law, law.name, ["unstructured"]).sets["unstructured"].draws
    table = law.draws.table()
    assert rows.count == len(table) == MOST_DRAWS
    packed = type(law.draws)(count=rows.count, columns=rows.columns, data=rows.data, encoding=rows.encoding).table()  # type: ignore[arg-type]
    for i, value in enumerate(draws):
        assert (packed[:, i] == value).all()
    many = msgspec.structs.replace(
        law, draws=type(law.draws).pack(law.draws.columns, table.repeat(3, axis=0), method="three times each")
    )
    packed_many = pack_law(many, law.name, ["unstructured"])
    assert packed_many.drawn == 3 * MOST_DRAWS
    assert packed_many.sets["unstructured"].draws[0].count == MOST_DRAWS


def test_the_bundle_is_built_from_the_sources_that_are_here() -> None:
    paths = sorted([*(path for path in (WEB / "src").rglob("*") if path.is_file()), WEB / "package-lock.json"], key=str)
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path.relative_to(WEB)}\n".encode())
        found.update(path.read_bytes())
    first = (BUILT / "explore.js").read_text(encoding="utf-8").split("\n", 1)[0]
    assert first == f"/* sources {found.hexdigest()} */", "run `npm ci && npm run build` in sparseplan/explore/web"


def test_licences_of_what_is_bundled_travel_with_the_page() -> None:
    licences = (BUILT / "LICENSES.txt").read_text(encoding="utf-8")
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    named = re.findall(r"^(@?[\w/-]+) ([\d.]+) \((.+)\)$", licences, flags=re.MULTILINE)
    assert {"@observablehq/plot", "d3-array", "d3-scale", "internmap"} <= {name for name, _, _ in named}
    for name, version, licence in named:
        assert lock[f"node_modules/{name}"]["version"] == version
        assert licence in ("ISC", "MIT", "Unlicense"), name
    assert "Copyright 2020-2025 Observable, Inc." in licences
    assert "Permission to use, copy, modify, and/or distribute this software" in sp.explore(T5).html()


def test_dense_laws_and_two_of_one_name_are_refused() -> None:
    with pytest.raises(LawError, match="dense only"):
        sp.explore("hoffmann2022-chinchilla")
    with pytest.raises(PlanError, match="`law`: expected different ones, found two named frantar2023-t5-c4"):
        sp.explore([T5, T5])
    with pytest.raises(PlanError, match="`cost`: expected at least one"):
        sp.explore(T5, cost=[])


def test_the_command_says_what_it_wrote_and_writes_over_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["explore", "--law", T5, "--cost", "sparse"]) == 0
    assert capsys.readouterr() == ("", "wrote sparseplan-explore.html\n")
    written = Path("sparseplan-explore.html").read_text(encoding="utf-8")
    assert "`laws.check`" not in written
    assert [path.name for path in tmp_path.iterdir()] == ["sparseplan-explore.html"]
    assert run(["explore", "--law", T5]) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert run(["explore", "--law", T5, "--force"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "page.png"], "expected a file ending in .html"),
        (["--out", "nowhere/page.html"], "there is no folder nowhere"),
        (["--law", "no-such-law"], "no-such-law"),
        (["--law", "hoffmann2022-chinchilla"], "dense only"),
        (["--cost", "h10"], "h100"),
    ],
)
def test_bad_input_is_one_error_and_leaves_no_file(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["explore", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_messages_name_options_in_the_page_of_the_command_and_arguments_in_python() -> None:
    page = sp.explore(T5)
    assert (
        "`law` frantar2023-t5-c4-refit has it"
        in json.loads(Elements(page.html()).data)["laws"][0]["caveats"]["unstructured"][0]["message"]
    )
    from sparseplan.cli.flags import in_flags

    assert "--law frantar2023-t5-c4-refit has it" in page_html(page.data, in_flags)
