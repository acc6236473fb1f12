"""Route files: what a good one means, and what is wrong with a bad one, in one message."""

from pathlib import Path
from typing import Any

import pytest

from artifact.route_files import RouteFileError, packed_module, read_routes
from shared.domain.pattern import Capture, Pattern
from shared.domain.routes import Expectation, Route, RouteTable, Rung, SetCondition

GOOD = 'match = "raw/sales/dt={dt}/{file}.csv"\njob_name = "sales-to-parquet"\ntarget = "curated/sales/dt={dt}"\n'
EXPECTED = '\n[expect]\ncaptures = { day = "%Y-%m-%d" }\nby = "30 6 * * *"\n'
EXPECT = GOOD + '[expect]\ncaptures = { dt = "%Y-%m-%d" }\nby = "30 6 * * MON-FRI"\n'
FULL = """
match = ["raw/{day...}/_SUCCESS", "raw/{day...}/{file}.done"]
job_name = "orders"
target = "curated/orders/{day}"
source = "raw/{day}/"
state_machine_arn = "orders-v2"
capacity = [{ up_to = "0 B", dpus = 2 }, { up_to = "512 MiB", dpus = 5 }, { up_to = "2 GB", dpus = 7 }, { dpus = 10 }]
accept_empty = true
priority = -3
window_seconds = 60
paused = true
[parameters]
DAY = "{day}"
_as-is = "{{}}"
none = ""
"""
SETS = """
job_name = "j"
target = "out/{day}"
[set]
each = true
"""
COUNTED = """
match = ["in/{day}/{file}.csv", "in/{day}/{file}.txt"]
source = "in/{day}/"
job_name = "j"
target = "out/{day}"
[set]
at_least = 24
settle_seconds = 3600
"""


def folder(tmp_path: Path, **files: str) -> Path:
    """Write route files; `_` in a name is a dash."""
    for name, text in files.items():
        (tmp_path / f"{name.replace('_', '-')}.toml").write_text(text)
    return tmp_path


def test_three_fields_are_a_route(tmp_path: Path) -> None:
    """All others have defaults."""
    match = Pattern(("raw/sales/dt=", Capture("dt"), "/", Capture("file"), ".csv"))
    expected = Route("sales", (match,), "sales-to-parquet", ("curated/sales/dt=", Capture("dt")))

    assert (expected,) == read_routes(folder(tmp_path, sales=GOOD))


def test_every_field_is_read(tmp_path: Path) -> None:
    """With its units."""
    expected = Route(
        "orders",
        (
            Pattern(("raw/", Capture("day", deep=True), "/_SUCCESS")),
            Pattern(("raw/", Capture("day", deep=True), "/", Capture("file"), ".done")),
        ),
        "orders",
        ("curated/orders/", Capture("day")),
        source=("raw/", Capture("day"), "/"),
        state_machine_arn="orders-v2",
        capacity=(Rung(0, 2), Rung(512 * 1024**2, 5), Rung(2 * 1000**3, 7), Rung(None, 10)),
        accept_empty=True,
        priority=-3,
        window_seconds=60,
        parameters=(("DAY", (Capture("day"),)), ("_as-is", ("{}",)), ("none", ())),
        paused=True,
    )

    assert (expected,) == read_routes(folder(tmp_path, orders=FULL))


def test_a_set_is_read(tmp_path: Path) -> None:
    """One of each, with the default, and at least so many."""
    routes = read_routes(
        folder(tmp_path, close='match = ["a/{day}/{r}.x", "b/{day}/{r}.y", "c/{r}/{day}"]' + SETS, readings=COUNTED)
    )

    assert [SetCondition(None, 30), SetCondition(24, 3600)] == [route.set for route in routes]


def test_no_folder_and_no_file_are_no_routes(tmp_path: Path) -> None:
    """A README may explain the empty folder."""
    (tmp_path / "README.md").write_text("Routes go here.")

    assert () == read_routes(tmp_path) == read_routes(tmp_path / "missing")


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    """The module in the artifact holds the same routes."""
    routes = read_routes(folder(tmp_path, orders=FULL, sales=EXPECT, readings=COUNTED))
    module: dict[str, object] = {}

    exec(compile(packed_module(routes), "packed.py", "exec"), module)  # noqa: S102 - what the artifact imports

    assert set(routes) == set(RouteTable(module["ROUTES"]).routes)  # type: ignore[arg-type]


REST = '\njob_name = "j"\ntarget = "out"\n'
REFUSED = {
    "no match in a list": ("match = []" + REST, "match: a list has 1 to 20 templates, and this one 0"),
    "many matches": (f"match = {[f'{n}/{{a}}' for n in range(21)]}" + REST, "match: a list has 1 to 20 templates, and this one 21"),
    "number in a list": ('match = ["a/{b}", 5]' + REST, "match, template 2: 5 must be text"),
    "one match empty": ('match = ["a/{b}", ""]' + REST, "match, template 2: it is empty"),
    "match twice": ('match = ["a/{b}", "c", "a/{b}"]' + REST, "match, template 3: 'a/{b}' is there twice"),
    "captured by one match": ('match = ["a/{b}/{c}", "d/{c}/{e}"]\njob_name = "j"\ntarget = "y/{b}"', "target: {b} is not captured: all templates of match capture {c}"),
    "source captured by one match": ('match = ["a/{b}/{c}", "d/{c}"]\nsource = "a/{b}/"' + REST, "source: {b} is not captured: all templates of match capture {c}"),
    "set, neither": ('match = ["a/{day}", "b/{day}"]' + SETS.replace("each = true", ""), "set: it has exactly one of each = true and"),
    "set, each is false": ('match = ["a/{day}", "b/{day}"]' + SETS.replace("true", "false"), "set: it has exactly one of"),
    "set, both": (COUNTED + "each = true", "set: it has exactly one of"),
    "set, no table": ("set = true\n" + GOOD, "set: True must be a table"),
    "set, unknown": (COUNTED + "atleast = 3", "set.atleast: there is no such field. A set has"),
    "set, each no truth": ('match = ["a/{day}", "b/{day}"]' + SETS.replace("true", "1"), "set.each: 1 must be true or false"),
    "set, many no number": (COUNTED.replace("24", '"24"'), "set.at_least: '24' must be a whole number"),
    "set, few": (COUNTED.replace("24", "1"), "set.at_least: 1 is outside 2 to 1000"),
    "set, many": (COUNTED.replace("24", "1001"), "set.at_least: 1001 is outside 2 to 1000"),
    "set, at once": (COUNTED.replace("3600", "0"), "set.settle_seconds: 0 is outside 1 to 3600"),
    "set, slowly": (COUNTED.replace("3600", "3601"), "set.settle_seconds: 3601 is outside 1 to 3600"),
    "set, window": ("window_seconds = 60\n" + COUNTED, "window_seconds: a set waits for its members, not for a time"),
    "set, one template": ('match = "a/{day}"' + SETS, "match: with set.each it is a list of 2 to 20 templates"),
    "set, other captures": ('match = ["a/{day}", "b/{day}/{hour}"]' + SETS, "match, template 2: it captures {day}, {hour}, and template 1 {day}. With set.each all capture the same"),
    "set, counted twice": (COUNTED.replace("{file}.txt", "{f...}"), "match, template 2: template 1 takes the key 'in/"),
    "set, each with a source": ('source = "a/"\nmatch = ["a/{day}", "b/{day}"]' + SETS, "source: with set.each the members are read"),
    "set, counted nowhere": (COUNTED.replace('source = "in/{day}/"', ""), "source: with set.at_least it must be a folder"),
    "set, source of one match": (COUNTED.replace('"in/{day}/{file}.txt"', '"on/{day}/{file}.txt"'), "source: with set.at_least it must be"),
    "set, file in the target": (COUNTED.replace("out/{day}", "out/{file}"), "target: {file} differs from member to member"),
    "set, file in a parameter": (COUNTED + '[parameters]\nF = "{file}"', "parameters.F: {file} differs from member to member"),
    "set, read otherwise": (
        'match = ["a/{day}-{r}", "b/{day}_{r}"]' + SETS,
        "match, template 2: the captures of template 1 from 'a/x_-x' make 'b/x__x', from which this template captures other text",
    ),
    "set, deep and not": ('match = ["a/{day...}", "b/{day}"]' + SETS, "match, template 2: the captures of template 1 from 'a//' make"),
    "window, folders alike": (
        'match = ["in/{a}/x/{f}", "in/{a}-y/{b}/{f}"]\njob_name = "j"\ntarget = "y/{a}"\nwindow_seconds = 60',
        "target: {a} differs from file to file, and a window is one execution for all files of a folder. They share no",
    ),
    "window, source of one match": ('match = ["in/{a}/{f}", "on/{a}/{f}"]\nsource = "in/{a}/"\nwindow_seconds = 60' + REST, "source: with window_seconds it must be a folder"),
    "no TOML": ("match = raw/", "the file: it is not TOML"),
    "unknown field": (GOOD + 'jobname = "x"', "jobname: there is no such field"),
    "missing field": ('match = "x/{a}"\ntarget = "y"', "job_name: it is missing"),
    "true for number": (GOOD + "priority = true", "priority: True must be a whole number"),
    "text for table": (GOOD + 'parameters = "x"', "parameters: 'x' must be a table"),
    "empty match": ('match = ""\njob_name = "j"\ntarget = "y"', "match: it is empty"),
    "open brace": ('match = "a{b"\njob_name = "j"\ntarget = "y"', "match: character 2, {, begins no placeholder"),
    "close brace": ('match = "ab}"\njob_name = "j"\ntarget = "y"', "match: character 3, }"),
    "capital": ('match = "{Day}"\njob_name = "j"\ntarget = "y"', "match: character 1, {, begins no placeholder"),
    "four dots": ('match = "{a....}"\njob_name = "j"\ntarget = "y"', "match: character 1"),
    "name twice": ('match = "{a}/{a...}"\njob_name = "j"\ntarget = "y"', "match: {a} is there twice"),
    "dots elsewhere": ('match = "{a...}"\njob_name = "j"\ntarget = "y/{a...}"', "target: write {a} here"),
    "not captured": ('match = "x/{a}"\njob_name = "j"\ntarget = "y/{b}"', "target: {b} is not captured: match captures {a}"),
    "not captured, source": (GOOD + 'source = "raw/{day}"', "source: {day} is not captured"),
    "not captured, parameter": (GOOD + '[parameters]\nDAY = "{day}"', "parameters.DAY: {day} is not captured"),
    "parameter's name": (GOOD + '[parameters]\n"a b" = "x"', "parameters.a b: a name has"),
    "one of the five": (GOOD + '[parameters]\nSRC_PREFIX = "x"', "parameters.SRC_PREFIX: the input has its own"),
    "beginning of a name": (GOOD + '[parameters]\nsrc = "x"', "parameters.src: Glue takes the beginning of a name for the name, here for SRC_PREFIX"),
    "Glue's name": (GOOD + '[parameters]\nENABLE_METRICS = ""', "parameters.ENABLE_METRICS: Glue takes enable-metrics for itself"),
    "dash in a parameter": (GOOD + '[parameters]\nDAY = "-1"', "parameters.DAY: '-1' begins with '-': a job would take it for an option"),
    "dash in the target": ('match = "raw/{a}"\njob_name = "j"\ntarget = "-y/{a}"', "target: '-y/{a}' begins with '-'"),
    "dash in the source": (GOOD + 'source = "-raw/{dt}/"', "source: '-raw/{dt}/' begins with '-'"),
    "dash in the job": ('match = "raw/{a}"\njob_name = "-j"\ntarget = "y"', "job_name: '-j' is not the name of one job"),
    "manifest": (GOOD + '[parameters]\nMANIFEST = "x"', "parameters.MANIFEST: the input has its own"),
    "parameter's type": (GOOD + "[parameters]\nDAYS = 3", "parameters.DAYS: 3 must be text"),
    "empty target": ('match = "{a}"\njob_name = "j"\ntarget = ""', "target: it is empty"),
    "slash first": ('match = "{a}"\njob_name = "j"\ntarget = "/y"', "target: it must not begin with a slash"),
    "dots in target": ('match = "{a}"\njob_name = "j"\ntarget = "y/../z"', "target: 'y/../z' has an empty, '.' or '..' segment"),
    "job with braces": ('match = "{a}"\njob_name = "j-{a}"\ntarget = "y"', "job_name: 'j-{a}' is not the name of one job"),
    "long job in bytes": (f'match = "{{a}}"\njob_name = "{"é" * 128}"\ntarget = "y"', "job_name: 'ééé"),
    "no machine": (GOOD + 'state_machine_arn = "a b"', "state_machine_arn: 'a b' is not the ARN"),
    "no machine's ARN": (GOOD + 'state_machine_arn = "arn:aws:sqs:us-east-2:123456789012:q"', "state_machine_arn: 'arn:aws:sqs"),
    "window, file in the target": (
        'match = "raw/{day}/{file}.csv"\njob_name = "j"\ntarget = "y/{day}/{file}"\nwindow_seconds = 60',
        "target: {file} differs from file to file, and a window is one execution for all files of a folder. They share {day}",
    ),
    "window, file in a parameter": (
        GOOD + 'window_seconds = 60\n[parameters]\nF = "{file}"',
        "parameters.F: {file} differs from file to file, and a window is one execution for all files of a folder. They share {dt}",
    ),
    "window, deep file": (
        'match = "raw/{path...}.csv"\njob_name = "j"\ntarget = "y/{path}"\nwindow_seconds = 60',
        "target: {path} differs from file to file, and a window is one execution for all files of a folder. They share no placeholder",
    ),
    "window, source elsewhere": (GOOD + 'source = "other/{dt}/"\nwindow_seconds = 60', "source: with window_seconds it must be a folder"),
    "window, half a source": (GOOD + 'source = "raw/sales/dt="\nwindow_seconds = 60', "source: with window_seconds it must be a folder"),
    "window, file as source": (GOOD + 'source = "raw/sales/dt={dt}/{file}.csv"\nwindow_seconds = 60', "source: with window_seconds it must be a folder"),
    "long window": (GOOD + "window_seconds = 3601", "window_seconds: 3601 is outside 0 to 3600"),
    "empty ladder": (GOOD + "capacity = []", "capacity: it is empty"),
    "no open end": (GOOD + 'capacity = [{ up_to = "1 KB", dpus = 2 }]', "capacity, step 1: the last step must have no up_to"),
    "open middle": (GOOD + "capacity = [{ dpus = 2 }, { dpus = 3 }]", "capacity, step 1: up_to is missing"),
    "not ascending": (GOOD + 'capacity = [{ up_to = "1 KiB", dpus = 2 }, { up_to = "1024 B", dpus = 3 }, { dpus = 4 }]', "capacity, step 2: up_to must be greater"),
    "few DPUs": (GOOD + "capacity = [{ dpus = 1 }]", "capacity, step 1, dpus: 1 is outside 2 to 299"),
    "many DPUs": (GOOD + "capacity = [{ dpus = 300 }]", "capacity, step 1, dpus: 300 is outside 2 to 299"),
    "no DPUs": (GOOD + "capacity = [{}]", "capacity, step 1: dpus is missing"),
    "unknown in a step": (GOOD + "capacity = [{ dpus = 2, size = 1 }]", "capacity, step 1: there is no size in a step"),
    "size without a space": (GOOD + 'capacity = [{ up_to = "1KB", dpus = 2 }, { dpus = 3 }]', "capacity, step 1, up_to: '1KB' is not a size"),
    "size with a point": (GOOD + 'capacity = [{ up_to = "1.5 GB", dpus = 2 }, { dpus = 3 }]', "capacity, step 1, up_to: '1.5 GB' is not"),
    "expect, no table": (GOOD + "expect = 1", "expect: 1 must be a table"),
    "expect, unknown": (EXPECT + "until = 1", "expect.until: there is no such field. Fields are captures, by, zone, lag, at_least, since"),
    "expect, no deadline": (GOOD + "[expect]\n", "expect.by: it is missing"),
    "expect, six fields": (EXPECT.replace("30 6", "0 30 6"), "expect.by: '0 30 6 * * MON-FRI' is no cron: it has 6 fields"),
    "expect, bad minute": (EXPECT.replace("30 6", "60 6"), "expect.by: '60 6 * * MON-FRI' is no cron: Bad minute"),
    "expect, bad L": (EXPECT.replace("* * MON", "L/2-1 * MON"), "expect.by: '30 6 L/2-1 * MON-FRI' is no cron"),
    "expect, no such day": (EXPECT.replace("* * MON-FRI", "30 2 *"), "expect.by: '30 6 30 2 *' is no cron: Bad day-of-month"),
    "expect, not in 50 years": (EXPECT.replace("* * MON-FRI", "*/31 * SUN#2"), "expect.by: '30 6 */31 * SUN#2' is never due"),
    "expect, zone": (EXPECT + 'zone = "Europe/Zürich"', "expect.zone: 'Europe/Zürich' is no IANA time zone. Did you mean 'Europe/Zurich'?"),
    "expect, this machine's zone": (EXPECT + 'zone = "localtime"', "expect.zone: 'localtime' is no IANA time zone"),
    "expect, lag of months": (EXPECT + 'lag = "P1M"', "expect.lag: 'P1M' is no lag. Write days and hours"),
    "expect, negative lag": (EXPECT + 'lag = "-P1D"', "expect.lag: '-P1D' is no lag"),
    "expect, lag without a number": (EXPECT + 'lag = "P1DT"', "expect.lag: 'P1DT' is no lag"),
    "expect, no lag": (EXPECT + 'lag = "P"', "expect.lag: 'P' is no lag"),
    "expect, none": (EXPECT + "at_least = 0", "expect.at_least: 0 is outside 1 to 1,000,000"),
    "expect, since in quotes": (EXPECT + 'since = "2026-12-01"', "expect.since: '2026-12-01' must be a date without quotes"),
    "expect, since a time": (EXPECT + "since = 2026-12-01T00:00:00Z", "expect.since: datetime.datetime(2026, 12, 1"),
    "expect, not captured": (EXPECT.replace("{ dt", "{ day"), "expect.captures.day: {day} is not captured: match captures {dt}, {file}"),
    "expect, not in all": (
        EXPECT.replace('"raw/sales/dt={dt}/{file}.csv"', '["raw/{dt}/{file}", "old/{dt}"]').replace("{ dt", "{ file"),
        "expect.captures.file: {file} is not captured: all templates of match capture {dt}",
    ),
    "expect, format": (EXPECT.replace("%Y-%m-%d", "%Q"), "expect.captures.dt: '%Q' is no format of a date"),
    "expect, half a format": (EXPECT.replace("%Y-%m-%d", "%Y-%"), "expect.captures.dt: '%Y-%' is no format of a date"),
    "expect, no text": (EXPECT.replace("%Y-%m-%d", ""), "expect.captures.dt: it is empty"),
    "expect, slash": (EXPECT.replace("%Y-%m-%d", "%Y/%m"), "expect.captures.dt: '%Y/%m' has a slash, which {dt} never captures"),
    "expect, a set's number": ('match = ["a/{day}", "b/{day}"]' + SETS + EXPECTED + "at_least = 2", "expect.at_least: [set] says already when a set is complete"),
    "expect, part of a set": ('match = ["a/{day}_{shop}", "b/{day}_{shop}"]' + SETS + EXPECTED, "expect.captures: they must be exactly those that identify the set: day, shop"),
    "expect, more than a set": (COUNTED + EXPECTED.replace("{ day", '{ file = "x", day'), "expect.captures: they must be exactly those that identify the set: day."),
    "expect, never read so": (
        EXPECT.replace("dt={dt}/{file}", "{dt}-{file}"),
        "expect.captures.dt: no key can have it: from 'raw/sales/2026-12-31-x.csv', match captures '2026' as {dt}, not '2026-12-31'",
    ),
    "loop": ('match = "data/{path...}"\njob_name = "j"\ntarget = "data/out"', "target: the job's output can start bad again"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """The message begins with the file and the field, and is one line."""
    with pytest.raises(RouteFileError) as refused:
        read_routes(folder(tmp_path, bad=text))

    assert str(refused.value).startswith(f"{tmp_path / 'bad.toml'}: {said}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ("", {}),
        ('lag = "P1D"\nzone = "Europe/Zurich"', {"lag_hours": 24, "zone": "Europe/Zurich"}),
        ('lag = "P2DT6H"\nat_least = 24', {"lag_hours": 54, "at_least": 24}),
        ('lag = "PT36H"\nsince = 2026-12-01', {"lag_hours": 36, "since": "2026-12-01"}),
    ],
)
def test_an_expectation_is_read(tmp_path: Path, more: str, changed: dict[str, Any]) -> None:
    """With its defaults."""
    [route] = read_routes(folder(tmp_path, sales=EXPECT + more))

    assert Expectation((("dt", "%Y-%m-%d"),), "30 6 * * MON-FRI")._replace(**changed) == route.expect


def test_the_name_of_an_expecting_route_leaves_room_for_its_deadline(tmp_path: Path) -> None:
    """63 characters, a dash and 16: what Step Functions takes."""
    read_routes(folder(tmp_path, **{"a" * 63: EXPECT}))

    with pytest.raises(RouteFileError, match=r"the file's name: with \[expect\] it has at most 63 characters"):
        read_routes(folder(tmp_path, **{"b" * 64: EXPECT}))


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    """TOML is UTF-8."""
    (tmp_path / "bad.toml").write_bytes(b'match = "\xe9"')

    with pytest.raises(RouteFileError, match=r"bad.toml: the file: byte 9 is not UTF-8"):
        read_routes(tmp_path)


@pytest.mark.parametrize("name", ["Sales.toml", "-sales.toml", "sa_les.toml", "a" * 65 + ".toml", ".toml", "ü.toml"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    """The file's name is the route's, and part of the executions' names."""
    (tmp_path / name).write_text(GOOD)

    with pytest.raises(RouteFileError, match=r"the file's name|only route files"):
        read_routes(tmp_path)


@pytest.mark.parametrize("name", ["sales.tml", ".DS_Store", "readme.md", "old"])
def test_anything_else_in_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """A route with a typo in its ending must not be silently left out."""
    (tmp_path / name).mkdir() if name == "old" else (tmp_path / name).write_text("")

    with pytest.raises(RouteFileError, match="only route files"):
        read_routes(tmp_path)


ONE, TWO = ('match = "{}/{{f}}"\njob_name = "j"\ntarget = "{}"\n'.format(*way) for way in ("ab", "ba"))


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        (ONE, ONE.replace("{f}", "{g}+.csv"), r"one.toml and .*two.toml: match: both take the key 'a/x\+\.csv'"),
        (ONE, ONE.replace("{f}", "{g}.csv") + "priority = 1", None),
        # Every step of a loop is named with its keys.
        (ONE, TWO, "one.toml: target: .*'a/x' is one's, whose job may write 'b/x', which is two's; 'b/x' is two's"),
    ],
)
def test_what_two_routes_make_together_is_refused(tmp_path: Path, one: str, two: str, said: str | None) -> None:
    """One key for both, unless a priority settles it, or a loop over both."""
    routes = folder(tmp_path, one=one, two=two)

    if said is None:
        assert 2 == len(read_routes(routes))
        return
    with pytest.raises(RouteFileError, match=said):
        read_routes(routes)
