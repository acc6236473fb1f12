"""`arrivals route` and `arrivals routes`: answers for somebody who has never seen the code."""

import json
from pathlib import Path

import pytest

from tests.unit.builders import REPOSITORY
from tools import checkout
from tools.command import main

EXAMPLES = str(REPOSITORY / "examples" / "routes")


def answer(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
    routes: str = EXAMPLES,
    **environment: str,
) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed."""
    for name in (*checkout.PARAMETERS, "ARRIVALS_STACK"):  # the tests' own stack
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = main([arguments[0], "--routes", routes, *arguments[1:]])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def question(key: str, size: str = "") -> list[str]:
    """Return the words that ask for a key."""
    return ["route", *(["--size", size] if size else []), "--", key]


@pytest.mark.parametrize(
    ("key", "size", "said"),
    [
        ("raw/sales/dt=1/a.csv", "1000", ["Route     sales (src/routes/sales.toml)", '"glue_max_capacity_dpus": 2,']),
        ("raw/sales/dt=1/a.csv", "", ["Capacity  2 DPUs up to 536,870,912 bytes; 10 DPUs up to", "; 40 DPUs above"]),
        ("raw/sales/dt=1/a.csv", "0", ["Starts    nothing: empty_object"]),
        ("raw/orders/d/_SUCCESS", "0", ["Captures  day = d", '"SRC_PREFIX": "raw/orders/d/"']),
        ("raw/tenants/acme/invoices/1.xml", "1", ["Route     tenants-acme"]),
        ("raw/tenants/acme/invoices/1.json", "1", ["Route     tenants (", '"TENANT": "acme"', '"KIND": "invoices"']),
        ("curated/sales/x.parquet", "1", ["Starts    sales-scoring"]),
        ("raw/sales/", "", ["Starts    nothing: folder_marker"]),
        ("raw/sales/a.csv", "", ["Starts    nothing: no_route", "Near      sales takes raw/sales/dt={dt}/{file}.csv"]),
        ("raw/tenants/../x/y", "1", ["Starts    nothing: hidden_file"]),
        ("raw/tenants/acme/-x/1.json", "1", ["Fails     Key 'raw/tenants/acme/-x/1.json' makes KIND '-x'"]),
        ("raw/sales/dt=1/\x1b[2J.csv", "1", ['Key       "raw/sales/dt=1/\\u001b[2J.csv"']),
    ],
)
def test_a_key_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str, size: str, said: list[str]
) -> None:
    """Which route, what it starts with which input, or why nothing."""
    code, printed = answer(monkeypatch, capsys, *question(key, size))

    assert (0 if "Input\n" in printed else 1) == code
    assert [] == [text for text in said if text not in printed]
    assert printed.replace("\n", "").isprintable()


def test_the_input_is_the_functions(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Made by the same code, with words for what only S3 knows."""
    _, printed = answer(monkeypatch, capsys, *question("raw/sales/dt=1/a.csv", str(512 * 1024**2 + 1)))
    given = json.loads(printed.partition("Input\n")[2])

    assert (10, "sales", {"dt": "1", "file": "a"}) == tuple(
        given[name] for name in ("glue_max_capacity_dpus", "route", "captures")
    )


def test_the_stacks_prefix_bounds_a_key(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is known; the default is only a note."""
    key = "raw/sales/dt=1/a.csv"

    assert "Note      the stack's SourcePrefix must cover" in answer(monkeypatch, capsys, *question(key))[1]
    assert "nothing: wrong_prefix" in answer(monkeypatch, capsys, *question(key), SOURCE_PREFIX="curated/")[1]


def test_without_files_the_parameters_are_the_route(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of the template's defaults."""
    key, nothing = "input/lab2/eventdriven/a.csv", str(tmp_path)

    assert "the template's parameters make" in answer(monkeypatch, capsys, *question(key), routes=nothing)[1]
    row = answer(monkeypatch, capsys, "routes", routes=nothing)[1].splitlines()[1]
    expected = "(parameters) input/lab2/eventdriven/… ny-taxi-transformed-console-jb target/event-transformed -"
    assert expected.split() == row.split()


def test_the_table_names_every_route(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Route, match, job, target and window; the highest priority first."""
    _, printed = answer(monkeypatch, capsys, "routes")
    head, *rows = printed.splitlines()

    assert ["ROUTE", "MATCH", "JOB", "TARGET", "WINDOW"] == head.split()
    names = ["tenants-acme", "daily-close", "orders", "readings", "sales", "scores", "tenants"]
    found = {row.split()[0]: row.split()[1:] for row in rows if not row.startswith(" ")}
    assert names == list(found)
    assert ["raw/sales/dt={dt}/{file}.csv", "sales-to-parquet", "curated/sales/dt={dt}", "-"] == found["sales"]
    assert ["set", "of", "3"] == found["daily-close"][-3:]
    assert ["set", "of", "24"] == found["readings"][-3:]
    assert ["raw/close/{day}/lines.csv"] == rows[2].split()


def test_the_input_of_a_set_is_its_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Who belongs to it, and what starts on all of them."""
    _, printed = answer(monkeypatch, capsys, *question("raw/close/1/lines.csv"))

    assert "Set       one of each: raw/close/1/orders.csv, raw/close/1/lines.csv, raw/close/1/customers.csv" in printed
    given = json.loads(printed.partition("Input\n")[2])
    assert ("raw/close/1/", "curated/close/1", {"day": "1"}) == (
        given["SRC_PREFIX"],
        given["TRG_PREFIX"],
        given["set"]["captures"],
    )
    assert "object" not in given


def test_a_window_is_in_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In seconds."""
    (tmp_path / "w.toml").write_text('match = "raw/{f}"\njob_name = "j"\ntarget = "out"\nwindow_seconds = 90\n')

    _, printed = answer(monkeypatch, capsys, "routes", routes=str(tmp_path))

    assert printed.splitlines()[1].endswith("out     90 s")


def test_without_a_size_every_step_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And the input, whose size is not known: no object is taken for an empty one."""
    _, printed = answer(monkeypatch, capsys, *question("raw/sales/dt=1/a.csv"))
    given = json.loads(printed.partition("Input\n")[2])

    assert "(its size)" == given["object"]["size"]
    assert given["glue_max_capacity_dpus"].startswith("2 DPUs up to 536,870,912 bytes; 10 DPUs up to ")
    assert "Starts    nothing" not in printed


@pytest.mark.parametrize("arguments", [("route", "raw/x"), ("routes",)])
def test_a_bad_file_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """The build's own, and the exit code says so: `make test` stops there."""
    (tmp_path / "bad.toml").write_text('match = "raw/{f}"')

    code, printed = answer(monkeypatch, capsys, *arguments, routes=str(tmp_path))

    assert 2 == code
    assert "bad.toml: job_name: it is missing." in printed
    assert 1 == len(printed.splitlines())


@pytest.mark.parametrize(("key", "size"), [("", ""), ("raw/x", "many"), ("raw/x", "-1"), ("raw/\udce9", "")])
def test_a_question_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str, size: str
) -> None:
    """Without an answer, with what to do."""
    code, printed = answer(monkeypatch, capsys, *question(key, size))

    assert 2 == code
    assert "Key  " not in printed
    assert printed.replace("\n", "").isprintable()


def test_without_a_checkout_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An installed command has no route files: to answer that there are none would be wrong."""
    monkeypatch.setattr(checkout, "FOLDER", tmp_path / "src" / "routes")
    monkeypatch.chdir(tmp_path)

    code, printed = answer(monkeypatch, capsys, "routes")

    assert 2 == code
    assert "say --stack NAME" in printed
