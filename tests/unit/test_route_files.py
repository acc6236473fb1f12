"""Route files: what a good one means, and what is wrong with a bad one, in one message."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from artifact.route_files import RouteFileError, packed_module, read_routes
from shared.domain.pattern import Capture, Pattern
from shared.domain.routes import Expectation, Route, RouteTable, Rung, SetCondition

PLAIN = {"match": '"raw/{day}/{file}.csv"', "job_name": '"j"', "target": '"out/{day}"'}
EACH = 'match = ["a/{day}", "b/{day}"]\n[set]\neach = true\n'
COUNTED = 'source = "raw/{day}/"\n[set]\nat_least = 24\nsettle_seconds = 3600\n'
EXPECT = '[expect]\ncaptures = { day = "%Y-%m-%d" }\nby = "30 6 * * MON-FRI"\n'
SIZES = '[{ up_to = "0 B", dpus = 2 }, { up_to = "512 MiB", dpus = 5 }, { up_to = "2 GB", dpus = 7 }, { dpus = 299 }]'
ARN = "arn:aws:states:us-east-2:123456789012:stateMachine:orders:live"


def folder(tmp_path: Path, **files: str) -> Path:
    """Write route files, with the fields that every route has unless a text gives them; `_` in a name is a dash."""
    for name, text in files.items():
        whole = "".join(f"{field} = {value}\n" for field, value in PLAIN.items() if f"{field} =" not in text) + text
        (tmp_path / f"{name.replace('_', '-')}.toml").write_bytes(whole.encode(errors="surrogateescape"))
    return tmp_path


DAY = Capture("day")
EXPECTED = Expectation((("day", "%Y-%m-%d"),), "30 6 * * MON-FRI")
READ: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ('match = ["in/{day...}/x"]', {"match": (Pattern(("in/", Capture("day", deep=True), "/x")),)}),
    ('source = "raw/{day}/"', {"source": ("raw/", DAY, "/")}),
    ('state_machine_arn = "orders-v2"', {"state_machine_arn": "orders-v2"}),
    (f'state_machine_arn = "{ARN}"', {"state_machine_arn": ARN}),
    (f"capacity = {SIZES}", {"capacity": (Rung(0, 2), Rung(512 * 1024**2, 5), Rung(2 * 1000**3, 7), Rung(None, 299))}),
    ("accept_empty = true", {"accept_empty": True}),
    ("priority = -3", {"priority": -3}),
    ("window_seconds = 3600", {"window_seconds": 3600}),
    ("paused = true", {"paused": True}),
    ('[parameters]\nDAY = "{day}"', {"parameters": (("DAY", (DAY,)),)}),
    ('[parameters]\n_as-is = "{{}}"\nnone = ""', {"parameters": (("_as-is", ("{}",)), ("none", ()))}),
    (EACH, {"match": (Pattern(("a/", DAY)), Pattern(("b/", DAY))), "set": SetCondition(None, 30)}),
    (COUNTED, {"source": ("raw/", DAY, "/"), "set": SetCondition(24, 3600)}),
    (EXPECT, {"expect": EXPECTED}),
    (EXPECT + 'zone = "Europe/Zurich"', {"expect": EXPECTED._replace(zone="Europe/Zurich")}),
    (EXPECT + 'lag = "P1D"\nat_least = 24', {"expect": EXPECTED._replace(lag_hours=24, at_least=24)}),
    (EXPECT + 'lag = "P2DT6H"', {"expect": EXPECTED._replace(lag_hours=54)}),
    (EXPECT + 'lag = "PT36H"\nsince = 2026-12-01', {"expect": EXPECTED._replace(lag_hours=36, since="2026-12-01")}),
]


@pytest.mark.parametrize(("text", "changed"), READ)
def test_a_field_is_read(tmp_path: Path, text: str, changed: dict[str, Any]) -> None:
    """All others have their defaults; the module in the artifact holds the same."""
    match = Pattern(("raw/", DAY, "/", Capture("file"), ".csv"))
    plain = Route("sales", (match,), job_name="j", target=("out/", DAY))
    routes = read_routes(folder(tmp_path, sales=text))
    module: dict[str, Any] = {}
    exec(compile(packed_module(routes), "packed.py", "exec"), module)  # noqa: S102 - what the artifact imports

    unpacked = RouteTable(module["ROUTES"]).routes
    # A named tuple equals any tuple of its values: their names make the difference.
    assert repr([plain._replace(**changed)]) == repr(list(routes)) == repr(unpacked)


def test_no_folder_and_no_file_are_no_routes(tmp_path: Path) -> None:
    """A README may explain the empty folder."""
    (tmp_path / "README.md").write_text("Routes go here.")

    assert () == read_routes(tmp_path) == read_routes(tmp_path / "missing")


def capacity(*steps: str) -> str:
    return f"capacity = [{', '.join(f'{{ {step} }}' for step in steps)}]"


# What is added to a plain route, or changed in it, and what the message says after the file's name.
REFUSED = [
    ('match = "\udce9"', "the file: byte 45 is not UTF-8"),
    ("a = raw/", "the file: it is not TOML"),
    ('jobname = "x"', "jobname: there is no such field"),
    *(
        (f"{field} = true", f"{field}: True must be {kind}")
        for field, kind in {
            **dict.fromkeys(("match", "job_name", "target", "source", "state_machine_arn"), "text in quotes"),
            **dict.fromkeys(("priority", "window_seconds"), "a whole number"),
            **dict.fromkeys(("parameters", "set", "expect"), "a table"),
            "capacity": "a list",
        }.items()
    ),
    *((f"{field} = 1", f"{field}: 1 must be true or false") for field in ("accept_empty", "paused")),
    # The template language.
    ('match = ""', "match: it is empty"),
    ('match = "a{b"', "match: character 2, {, begins no placeholder"),
    ('match = "ab}"', "match: character 3, }"),
    ('match = "{Day}"', "match: character 1, {, begins no placeholder"),
    ('match = "{a....}"', "match: character 1"),
    ('match = "{a}/{a...}"', "match: {a} is there twice"),
    ('target = "y/{day...}"', "target: write {day} here"),
    ('target = "y/{b}"', "target: {b} is not captured: match captures {day}, {file}"),
    ('source = "raw/{b}"', "source: {b} is not captured"),
    ('[parameters]\nDAY = "{b}"', "parameters.DAY: {b} is not captured"),
    # Several matches.
    *(
        (f"match = {['{a}'] * number}", f"match: a list has 1 to 20 templates, and this one {number}")
        for number in (0, 21)
    ),
    ('match = ["a/{day}", 5]', "match, template 2: 5 must be text"),
    ('match = ["a/{day}", ""]', "match, template 2: it is empty"),
    ('match = ["a/{day}", "c", "a/{day}"]', "match, template 3: 'a/{day}' is there twice"),
    ('match = ["a/{day}/{c}", "d/{c}/{e}"]', "target: {day} is not captured: all templates of match capture {c}"),
    # What a job would take for an option, or would resolve to another place.
    ('[parameters]\n"a b" = "x"', "parameters.a b: a name has"),
    ('[parameters]\nSRC_PREFIX = "x"', "parameters.SRC_PREFIX: the input has its own"),
    ('[parameters]\nsrc = "x"', "parameters.src: Glue takes the beginning of a name for the name, here for SRC_PREFIX"),
    ('[parameters]\nENABLE_METRICS = ""', "parameters.ENABLE_METRICS: Glue takes enable-metrics for itself"),
    ("[parameters]\nDAYS = 3", "parameters.DAYS: 3 must be text"),
    ('[parameters]\nDAY = "-1"', "parameters.DAY: '-1' begins with '-': a job would take it for an option"),
    ('target = "-y/{day}"', "target: '-y/{day}' begins with '-'"),
    ('source = "-raw/{day}/"', "source: '-raw/{day}/' begins with '-'"),
    ('job_name = "-j"', "job_name: '-j' is not the name of one job"),
    ('job_name = "j-{day}"', "job_name: 'j-{day}' is not the name of one job"),
    (f'job_name = "{"é" * 128}"', "job_name: 'ééé"),
    ('target = ""', "target: it is empty"),
    ('target = "/y"', "target: it must not begin with a slash"),
    ('target = "y/../z"', "target: 'y/../z' has an empty, '.' or '..' segment"),
    ('match = "data/{path...}"\ntarget = "data/out"', "target: the job's output can start bad again"),
    ('state_machine_arn = "a b"', "state_machine_arn: 'a b' is not the ARN"),
    ('state_machine_arn = "arn:aws:sqs:us-east-2:123456789012:q"', "state_machine_arn: 'arn:aws:sqs"),
    # The ladder.
    ("capacity = []", "capacity: it is empty"),
    (capacity('up_to = "1 KB", dpus = 2'), "capacity, step 1: the last step must have no up_to"),
    (capacity("dpus = 2", "dpus = 3"), "capacity, step 1: up_to is missing"),
    (capacity('up_to = "1 KiB", dpus = 2', 'up_to = "1024 B", dpus = 3', "dpus = 4"), "capacity, step 2: up_to must"),
    *((capacity(f"dpus = {dpus}"), f"capacity, step 1, dpus: {dpus} is outside 2 to 299") for dpus in (1, 300)),
    (capacity(""), "capacity, step 1: dpus is missing"),
    (capacity("dpus = 2, size = 1"), "capacity, step 1: there is no size in a step"),
    (capacity('up_to = "1KB", dpus = 2', "dpus = 3"), "capacity, step 1, up_to: '1KB' is not a size"),
    (capacity('up_to = "1.5 GB", dpus = 2', "dpus = 3"), "capacity, step 1, up_to: '1.5 GB' is not"),
    # Windows.
    ("window_seconds = 3601", "window_seconds: 3601 is outside 0 to 3600"),
    ('target = "{file}"\nwindow_seconds = 60', "target: {file} differs from file to file, and a window is one"),
    ('window_seconds = 60\n[parameters]\nF = "{file}"', "parameters.F: {file} differs from file to file"),
    ('match = ["i/{day}/x/{f}", "i/{day}-y/{b}/{f}"]\nwindow_seconds = 60', "target: {day} differs from file to file"),
    *(
        (f"{fields}\nwindow_seconds = 60", "source: with window_seconds it must be a folder")
        for fields in (
            'source = "raw/2026-"\nmatch = "raw/2026-{day}/{file}"',
            'source = "raw/{day}/{file}.csv"',
            'match = ["in/{day}/{f}", "on/{day}/{f}"]\nsource = "in/{day}/"',
        )
    ),
    # Sets.
    (EACH.replace("each = true", ""), "set: it has exactly one of each = true and"),
    (EACH.replace("true", "false"), "set: it has exactly one of"),
    (COUNTED + "each = true", "set: it has exactly one of"),
    (COUNTED + "atleast = 3", "set.atleast: there is no such field. A set has"),
    (EACH.replace("true", "1"), "set.each: 1 must be true or false"),
    (COUNTED.replace("24", '"24"'), "set.at_least: '24' must be a whole number"),
    *((COUNTED.replace("24", n), f"set.at_least: {n} is outside 2 to 1000") for n in ("1", "1001")),
    *((COUNTED.replace("3600", n), f"set.settle_seconds: {n} is outside 1 to 3600") for n in ("0", "3601")),
    ("window_seconds = 60\n" + COUNTED, "window_seconds: a set waits for its members, not for a time"),
    ("[set]\neach = true", "match: with set.each it is a list of 2 to 20 templates"),
    (EACH.replace("b/{day}", "b/{day}/{h}"), "match, template 2: it captures {day}, {h}, and template 1 {day}. With"),
    ('match = ["raw/{day}/{f}", "raw/{day}/{g}.x"]\n' + COUNTED, "match, template 2: template 1 takes the key 'raw/"),
    ('source = "a/"\n' + EACH, "source: with set.each the members are read"),
    (COUNTED.replace('source = "raw/{day}/"', ""), "source: with set.at_least it must be a folder"),
    ('match = ["raw/{day}/{f}", "on/{day}/{f}"]\n' + COUNTED, "source: with set.at_least it must be"),
    ('target = "out/{file}"\n' + COUNTED, "target: {file} differs from member to member"),
    (COUNTED + '[parameters]\nF = "{file}"', "parameters.F: {file} differs from member to member"),
    (
        'match = ["a/{day}-{r}", "b/{day}_{r}"]\n[set]\neach = true',
        "match, template 2: the captures of template 1 from 'a/x_-x' make 'b/x__x', from which this template captures",
    ),
    (EACH.replace("a/{day}", "a/{day...}"), "match, template 2: the captures of template 1 from 'a//' make"),
    # What is expected.
    (EXPECT + "until = 1", "expect.until: there is no such field. Fields are captures, by, zone, lag, at_least, since"),
    ("[expect]\n", "expect.by: it is missing"),
    (EXPECT.replace("30 6", "0 30 6"), "expect.by: '0 30 6 * * MON-FRI' is no cron: it has 6 fields"),
    (EXPECT.replace("30 6", "60 6"), "expect.by: '60 6 * * MON-FRI' is no cron: Bad minute"),
    (EXPECT.replace("* * MON", "L/2-1 * MON"), "expect.by: '30 6 L/2-1 * MON-FRI' is no cron"),
    (EXPECT.replace("* * MON-FRI", "*/31 * SUN#2"), "expect.by: '30 6 */31 * SUN#2' is never due"),
    (EXPECT + 'zone = "Asia/Tokio"', "expect.zone: 'Asia/Tokio' is no IANA time zone. Did you mean 'Asia/Tokyo'?"),
    (EXPECT + 'zone = "localtime"', "expect.zone: 'localtime' is no IANA time zone"),
    *((EXPECT + f'lag = "{lag}"', f"expect.lag: '{lag}' is no lag.") for lag in ("P1M", "-P1D", "P1DT", "P")),
    (EXPECT + "at_least = 0", "expect.at_least: 0 is outside 1 to 1,000,000"),
    (EXPECT + 'since = "2026-12-01"', "expect.since: '2026-12-01' must be a date without quotes"),
    (EXPECT + "since = 2026-12-01T00:00:00Z", "expect.since: datetime.datetime(2026, 12, 1"),
    (EXPECT.replace("{ day", "{ dt"), "expect.captures.dt: {dt} is not captured: match captures {day}, {file}"),
    (
        'match = ["raw/{day}/{f}", "old/{day}"]\n' + EXPECT.replace("{ day", "{ f"),
        "expect.captures.f: {f} is not captured: ",
    ),
    *((EXPECT.replace("%Y-%m-%d", one), f"expect.captures.day: '{one}' is no format of") for one in ("%Q", "%Y-%")),
    (EXPECT.replace("%Y-%m-%d", ""), "expect.captures.day: it is empty"),
    (EXPECT.replace("%Y-%m-%d", "%Y/%m"), "expect.captures.day: '%Y/%m' has a slash, which {day} never captures"),
    (EACH + EXPECT + "at_least = 2", "expect.at_least: [set] says already when a set is complete"),
    (
        EACH.replace("{day}", "{day}/{r}") + EXPECT,
        "expect.captures: they must be exactly those that identify the set: day, ",
    ),
    (
        COUNTED + EXPECT.replace("{ day", '{ file = "x", day'),
        "expect.captures: they must be exactly those that identify the set: day.",
    ),
    (
        'match = "raw/{day}-{file}.csv"\n' + EXPECT,
        "expect.captures.day: no key can have it: from 'raw/2026-12-31-x.csv', match captures '2026' as {day}, not",
    ),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_bad_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """The message begins with the file and the field, and is one line."""
    with pytest.raises(RouteFileError) as refused:
        read_routes(folder(tmp_path, bad=text))

    assert str(refused.value).startswith(f"{tmp_path / 'bad.toml'}: {said}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("names", "text", "said"),
    [
        # The file's name is the route's, and part of the executions' names.
        (["Sales.toml", "-sales.toml", "sa_les.toml", "a" * 65 + ".toml", "ü.toml"], "", "the file's name: .* can't"),
        # 63 characters, a dash and 16 of a deadline are what Step Functions takes.
        (["a" * 64 + ".toml"], EXPECT, r"the file's name: with \[expect\] it has at most 63 characters"),
        (["a" * 63 + ".toml"], EXPECT, None),
        # A route with a typo in its ending must not be silently left out.
        (["sales.tml", ".toml", ".DS_Store", "readme.md", "old/x.toml"], "", "only route files"),
    ],
)
def test_a_name_that_is_none_is_refused(tmp_path: Path, names: list[str], text: str, said: str | None) -> None:
    for number, name in enumerate(names):
        path = folder(tmp_path, plain=text) / str(number) / name
        path.parent.mkdir(parents=True)
        (tmp_path / "plain.toml").rename(path)
        with pytest.raises(RouteFileError, match=said) if said else nullcontext():
            read_routes(tmp_path / str(number))


ONE, TWO = ('match = "{}/{{f}}"\ntarget = "{}"\n'.format(*way) for way in ("ab", "ba"))
LIST = 'match = ["c/{f}", "a/{f}.csv"]\ntarget = "d"\n'


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        (ONE, ONE.replace("{f}", "{g}+.csv"), r"one.toml and .*two.toml: match: both take the key 'a/x\+\.csv'"),
        (ONE, LIST, r"one.toml and .*two.toml: match: both take the key 'a/x\.csv'"),
        (ONE, LIST + "priority = 1", None),
        # No key is as long.
        (ONE, f'match = "a/{{f}}{"é" * 511}"\ntarget = "d"', None),
        # Every step of a loop is named with its keys.
        (ONE, TWO, "one.toml: target: .*'a/x' is one's, whose job may write 'b/x', which is two's; 'b/x' is two's"),
    ],
)
def test_what_two_routes_make_together_is_refused(tmp_path: Path, one: str, two: str, said: str | None) -> None:
    """One key for both, unless a priority settles it, or a loop over both."""
    routes = folder(tmp_path, one=one, two=two)

    if said is None:
        assert ["one", "two"] == [route.name for route in read_routes(routes)]
        return
    with pytest.raises(RouteFileError, match=said):
        read_routes(routes)
