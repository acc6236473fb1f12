"""`arrivals route` and `arrivals routes`: answers for somebody who has never seen the code."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.unit.builders import REPOSITORY
from tools import checkout
from tools.command import main

EXAMPLES = REPOSITORY / "examples" / "routes"

# The template takes a third of a second to read.
DEFAULTS = cache(checkout.read_defaults)

type Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Return what runs the command, and returns its exit code and what it printed."""
    monkeypatch.setattr(checkout, "read_defaults", DEFAULTS)

    def ask(*words: str, routes: Path = EXAMPLES, **environment: str) -> tuple[int, str]:
        for name in (*checkout.PARAMETERS, "ARRIVALS_STACK"):  # the tests' own stack
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = main([words[0], "--routes", str(routes), *words[1:]])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return ask


def question(key: str, size: str = "") -> list[str]:
    return ["route", *(["--size", size] if size else []), "--", key]


SALES = "raw/sales/dt=1/a.csv"
LADDER = "2 DPUs up to 536,870,912 bytes; 10 DPUs up to"
CLOSE = "Set       one of each: raw/close/1/orders.csv, raw/close/1/lines.csv, raw/close/1/customers.csv"


@pytest.mark.parametrize(
    ("key", "size", "said"),
    [
        (SALES, "1000", ["Route     sales (src/routes/sales.toml)", '"glue_max_capacity_dpus": 2,']),
        # A bound belongs to its own step. What only S3 knows is told in words.
        (SALES, "536870913", ['"glue_max_capacity_dpus": 10,', '"size": 536870913,', '"etag": "(its ETag)"']),
        # Without a size every step is told, and the object is not taken for an empty one.
        (SALES, "", [f"Capacity  {LADDER}", "; 40 DPUs above", f'"glue_max_capacity_dpus": "{LADDER}', '"(its size)"']),
        (SALES, "0", ["Starts    nothing: empty_object"]),
        ("raw/orders/d/_SUCCESS", "0", ["Captures  day = d", '"SRC_PREFIX": "raw/orders/d/"', '"size": 0']),
        ("raw/tenants/acme/invoices/1.xml", "1", ["Route     tenants-acme"]),
        ("raw/tenants/acme/invoices/1.json", "1", ["Route     tenants (", '"TENANT": "acme"', '"KIND": "invoices"']),
        ("curated/sales/x.parquet", "1", ["Starts    sales-scoring"]),
        ("raw/sales/a.csv", "", ["Starts    nothing: no_route", "Near      sales takes raw/sales/dt={dt}/{file}.csv"]),
        ("raw/tenants/acme/-x/1.json", "1", ["Fails     Key 'raw/tenants/acme/-x/1.json' makes KIND '-x'"]),
        ("raw/sales/dt=1/\x1b[2J.csv", "1", ['Key       "raw/sales/dt=1/\\u001b[2J.csv"']),
        # Who belongs to a set, and what starts on all of them.
        ("raw/close/1/lines.csv", "", [CLOSE, '"SRC_PREFIX": "raw/close/1/"', '"set": {', '"files": "(how many)"']),
        (
            "raw/readings/1/a.csv",
            "",
            ["Set       at least 24 under raw/readings/1/", '"SRC_PREFIX": "raw/readings/1/"'],
        ),
        # Where it is not known, the stack's prefix is only a note.
        (SALES, "1", ["Note      the stack's SourcePrefix must cover"]),
    ],
)
def test_a_key_is_explained(ask: Ask, key: str, size: str, said: list[str]) -> None:
    """Which route, what it starts with which input, or why nothing."""
    code, printed = ask(*question(key, size))

    assert [] == [text for text in said if text not in printed]
    assert ("Input\n" in printed) == (code == 0), code
    assert "Set  " not in printed or '"object"' not in printed, printed
    assert printed.replace("\n", "").isprintable()


def test_the_parameters_bound_a_key_and_without_files_are_the_route(ask: Ask, tmp_path: Path) -> None:
    """Of the template's defaults, or the environment's."""
    assert "nothing: wrong_prefix" in ask(*question(SALES), SOURCE_PREFIX="curated/")[1]
    assert "that of the template's parameters" in ask(*question("input/lab2/eventdriven/a.csv"), routes=tmp_path)[1]
    row = ask("routes", routes=tmp_path)[1].splitlines()[1]
    expected = "(parameters) input/lab2/eventdriven/… ny-taxi-transformed-console-jb target/event-transformed -"
    assert expected.split() == row.split()


def test_the_table_names_every_route(ask: Ask, tmp_path: Path) -> None:
    """The highest priority first."""
    head, *rows = ask("routes")[1].splitlines()
    found = {row.split()[0]: row.split()[1:] for row in rows if not row.startswith(" ")}

    assert ["ROUTE", "MATCH", "JOB", "TARGET", "WINDOW"] == head.split()
    assert ["tenants-acme", "daily-close", "orders", "readings", "sales", "scores", "tenants"] == list(found)
    assert ["raw/sales/dt={dt}/{file}.csv", "sales-to-parquet", "curated/sales/dt={dt}", "-"] == found["sales"]
    assert [["set", "of", "3"], ["set", "of", "24"]] == [found[name][-3:] for name in ("daily-close", "readings")]
    assert ["raw/close/{day}/lines.csv"] == rows[2].split()

    window = 'match = "raw/{f}"\njob_name = "j"\ntarget = "out"\nwindow_seconds = 90\n'
    for name, more in (("w", ""), ("p", "paused = true\npriority = 1\n")):
        (tmp_path / f"{name}.toml").write_text(window + more)
    _, *rows = ask("routes", routes=tmp_path)[1].splitlines()
    assert ["paused", "90 s"] == [row.partition("out")[2].strip() for row in rows]


@pytest.mark.parametrize("words", [("route", "raw/x"), ("routes",)])
def test_a_bad_file_is_one_message(ask: Ask, tmp_path: Path, words: tuple[str, ...]) -> None:
    """The build's own, and the exit code says so: `make test` stops there."""
    (tmp_path / "bad.toml").write_text('match = "raw/{f}"')

    code, printed = ask(*words, routes=tmp_path)

    assert (2, 1) == (code, len(printed.splitlines()))
    assert "bad.toml: job_name: it is missing." in printed


@pytest.mark.parametrize(("key", "size"), [("", ""), ("raw/x", "many"), ("raw/x", "-1"), ("raw/\udce9", "")])
def test_a_question_that_is_none_is_refused(ask: Ask, key: str, size: str) -> None:
    """Without an answer, with what to do."""
    code, printed = ask(*question(key, size))

    assert (2, False) == (code, "Key  " in printed), printed
    assert printed.replace("\n", "").isprintable()


def test_without_a_checkout_it_says_so(ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installed command has no route files: to answer that there are none would be wrong."""
    monkeypatch.setattr(checkout, "FOLDER", tmp_path / "src" / "routes")
    monkeypatch.chdir(tmp_path)

    code, printed = ask("routes")

    assert (2, True) == (code, "give --stack NAME" in printed), printed
