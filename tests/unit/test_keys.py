"""Data stays data: no key makes an option of the job, and no hidden or unfinished file is one to start."""

import argparse

import pytest

from artifact.route_files import JOB_OPTIONS, OWN, PARSED_BY_GLUE, why_reserved
from shared.domain.arrival import Skip
from shared.domain.backfill import Item, Request, run_batch
from shared.domain.choose import choose
from shared.domain.errors import UnsafeArgumentError, UnsafeTargetError
from shared.domain.gather import belongs
from shared.domain.routes import Choice
from shared.domain.stack import Stack
from shared.domain.windows import File, Window
from tests.unit.builders import BUCKET, created, stack, table


def routed(prefix: str, *fields: str) -> Stack:
    """Describe a stack of a source prefix, with one route file of these fields, or without."""
    return stack(source_prefix=prefix, table=table(one="\n".join(fields)) if fields else stack().table)


WINDOW = "window_seconds = 60"
# The source prefix, the fields of a route file if there is one, the key, and whether it is hidden.
HIDDEN = [
    ("raw/", (), "raw/.DS_Store", True),
    ("raw/", (), "raw/_temporary/0/part-0.csv", True),
    ("raw/", (), "raw/x._COPYING_", True),
    ("raw/", (), "raw/x._COPYING_/a.csv", True),
    ("raw/", (), "raw/..", True),
    ("raw/", (), "raw/_\n/a.csv", True),
    ("", (), ".hidden", True),
    ("", (), "_a/b=c.csv", True),
    ("raw/", (), "raw/_year=2026/a.csv", False),
    ("raw/", (), "raw/_a=b", False),
    ("raw/", (), "raw/a_b/a.b._COPYING", False),
    ("raw/", (), "raw/x._COPYING_.csv", False),
    # What the prefix writes out whole is meant, and no more of it.
    ("a/_b/", (), "a/_b/c.csv", False),
    ("a/_b/", (), "a/_b/_c.csv", True),
    ("a/_b", (), "a/_bc/d.csv", True),
    ("a/_b", (), "a/_b", False),
    ("a/.", (), "a/.b", True),
    # So is what a match writes out; a placeholder takes no such character.
    ("", ('match = "raw/{day...}/_SUCCESS"',), "raw/1/_SUCCESS", False),
    ("", ('match = "raw/{day...}/_SUCCESS"',), "raw/_temporary/0/_SUCCESS", True),
    ("", ('match = "raw/_{name}.csv"',), "raw/_a.csv", False),
    ("", ('match = "raw/{name}.csv"',), "raw/_a.csv", True),
    ("", ('match = "raw/{name}.csv"',), "raw/_a=b.csv", False),
    ("", ('match = "raw/_{all...}"',), "raw/_a/_b", True),
    ("", ('match = "raw/{all...}"',), "raw/a/_b/c=d.csv", True),
    ("", ('match = "raw/{name}._COPYING_"',), "raw/a._COPYING_", False),
    ("", ('match = "raw/{name}_"',), "raw/a._COPYING_", False),
    ("", ('match = "raw/{name}"',), "raw/a._COPYING_", True),
    ("", ('match = "raw/a._COPY{rest}"',), "raw/a._COPYING_", True),
    ("", ('match = "raw/.{name}"',), "raw/.a._COPYING_", True),
    # Of several matches the one that fits the key.
    ("", ('match = ["raw/{name}.csv", "raw/_{name}.txt"]',), "raw/_a.txt", False),
    ("", ('match = ["raw/_{name}.txt", "raw/{name}.csv"]',), "raw/_a.csv", True),
    ("raw/_in/", ('match = "raw/{all...}"',), "raw/_in/.a.csv", True),
]


@pytest.mark.parametrize(("prefix", "fields", "key", "hidden"), HIDDEN)
def test_a_hidden_file_is_no_arrival(prefix: str, fields: tuple[str, ...], key: str, *, hidden: bool) -> None:
    """Of Spark's rule only what nobody wrote out; a window's listing goes by the same."""
    shown = 'target = "out"'
    chosen = choose(created(key=key), routed(prefix, *fields, *([shown] if fields else [])))
    assert hidden == (isinstance(chosen, Skip) and chosen.reason.value == "hidden_file"), chosen
    assert hidden or isinstance(chosen, Choice)

    deployed = routed(prefix, *fields, *([shown, WINDOW] if fields else []))
    window = Window("one" if fields else "job:out", BUCKET, key[: key.rfind("/") + 1], 0, 60, None)
    assert hidden != belongs(File(key, 5, "e", 5), window, deployed)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("raw/.hidden/", "folder_marker"),
        ("raw/_temporary_$folder$", "folder_marker"),
        ("raw/.hidden.txt", "no_route"),
        ("elsewhere/.a.csv", "wrong_prefix"),
        # An unsafe target and an unsafe argument would fail.
        ("raw/../x.csv", "hidden_file"),
        ("raw/-x/_.csv", "hidden_file"),
    ],
)
def test_the_first_reason_counts(key: str, reason: str) -> None:
    """Marker, no route, paused, hidden; only then what is unsafe. After a pause the same keys are hidden still."""
    fields = ('match = "raw/{a}/{b}.csv"', 'target = "out/{a}"', "%s", "[parameters]", 'A = "{a}"')
    open_, paused = (routed("raw/", "\n".join(fields) % pause) for pause in ("", "paused = true"))
    found = [choose(created(key=key), open_), choose(created(key=key), paused, even_paused=True)]
    held_up = choose(created(key=key), paused)

    assert [reason] * 2 == [one.reason.value for one in found if isinstance(one, Skip)]
    assert isinstance(held_up, Skip)
    assert ("paused" if reason == "hidden_file" else reason) == held_up.reason.value


def test_a_hidden_file_is_told_by_the_name_that_hides_it() -> None:
    """Which may be a folder's."""
    skip = choose(created(key="raw/_temporary/0/a.csv"), routed("raw/"))

    assert "'_temporary' is the name of a hidden or unfinished file or folder" in getattr(skip, "why", "")


NAMED = ('match = "raw/{all...}"', 'target = "out"', "[parameters]", 'NAME = "{all}"')
OUT = ('match = "raw/x{path...}/{file}"', 'target = "out/{path}"')
# As above, and what fails: an argument that would be an option, or a target that leaves its place; None: the key starts.
UNSAFE = [
    ("", (), "-report.csv", "SRC_PREFIX '-report.csv'"),
    ("", (), "--TRG_PREFIX=curated/other.csv", "SRC_PREFIX '--TRG"),
    ("", (), "raw/-report.csv", None),
    ("", NAMED, "raw/--TRG_PREFIX=curated/other.csv", "NAME '--TRG_PREFIX=curated/other.csv'"),
    ("", NAMED, "raw/-", "NAME '-'"),
    ("", NAMED, "raw/a-b", None),
    ("", ('match = "raw/{a}/{b}"', 'target = "{a}-x"'), "raw/-a/b", "TRG_PREFIX '-a-x'"),
    ("", ('match = "raw/{a}/{b}"', 'target = "out/{a}"'), "raw/-a/-b", None),
    ("", ('match = "raw/{a}/{b}"', 'target = "out"', 'source = "{a}/"'), "raw/-a/b", "SRC_PREFIX '-a/'"),
    ("", ('match = "-{a}"', 'target = "out"'), "-a", "SRC_PREFIX '-a'"),
    ("", ('match = "-{a}"', 'target = "out"', 'source = "{a}"'), "-a", None),
    # A window's folder is the argument, and a file's own key is not.
    ("", ('match = "{day}/{a}"', 'target = "o/u/t"', WINDOW), "-a/b", "SRC_PREFIX '-a/'"),
    ("", ('match = "{a}"', 'target = "out"', WINDOW), "-a", None),
    ("", OUT, "raw/x../x", "the target 'out/..' of route one: jobs resolve its empty, '.' or '..' segment"),
    ("", OUT, "raw/x./x", "the target 'out/.' of route one"),
    ("", OUT, "raw/xa//x", "the target 'out/a/' of route one"),
    ("", ('match = "raw/x{a}/{b}"', 'target = "out/{a}"', WINDOW), "raw/x../b", "the target 'out/..' of route one"),
    ("", ('match = "raw/x{a}/{b}"', 'target = "out/{a}"', WINDOW), "raw/xy/b", None),
]


@pytest.mark.parametrize(("prefix", "fields", "key", "said"), UNSAFE)
def test_what_a_key_makes_stays_data(prefix: str, fields: tuple[str, ...], key: str, said: str | None) -> None:
    """Otherwise it fails with the value and what to do, is in no window, and in a backfill is a failure of its own."""
    deployed = routed(prefix, *fields)
    window = Window("one", BUCKET, key[: key.rfind("/") + 1], 0, 60, None)
    if said is None:
        assert isinstance(choose(created(key=key), deployed), Choice)
        assert WINDOW not in fields or belongs(File(key, 5, "e", 5), window, deployed)
        return
    error = UnsafeTargetError if "target" in said else UnsafeArgumentError
    with pytest.raises(error, match=r"Upload the object under another key") as failed:
        choose(created(key=key), deployed)

    assert f"{key!a} makes {said}" in str(failed.value)
    assert ("one" if fields else None) == failed.value.route
    assert not belongs(File(key, 5, "e", 5), window, deployed)
    request = Request(bucket=BUCKET, prefix="", since=None, until=None, dry_run=False, reprocess=None)
    items = [Item.model_validate({"Key": one, "LastModified": 5, "request": request}) for one in (key, "x/")]
    results = run_batch(items, deployed, lambda one, _: choose(one, deployed))  # type: ignore[arg-type,return-value]
    assert ([key], {"folder_marker": ["x/"]}) == ([one["key"] for one in results.failed], results.skipped)


# The names that a route may not give, and those that it may.
REFUSED = [
    "SRC_PREFIX", "src-prefix", "SRC", "S", "s", "TRG_", "BUCKET", "b", "J", "JOB", "job_name", "JOB-NAME",
    "MANIFEST", "MAN", "glue", "g", "GLUE-MAX", "TempDir", "tempdir", "Temp", "T", "RedshiftTempDir", "r", "red",
    "job-bookmark-option", "JOB_BOOKMARK", "job_bookmark_from", "Job-Bookmark-To", "continuation-option", "cont",
    "JOB_ID", "JOB_RUN_ID", "job_r", "SECURITY_CONFIGURATION", "sec", "encryption-type", "ENCRYPT",
    "enable-data-lineage", "ENABLE", "E", "conf", "CONF", "debug", "mode", "endpoint", "class", "enable-metrics",
    "ENABLE_METRICS", "additional_python_modules", "scriptLocation", "scriptlocation", "extra-jars", "EXTRA_FILES",
    "datalake_formats", "job-language", "user_jars_first", "SCH", "SCHEM", "SEP", "separat", "ENC", "encodin",
]  # fmt: skip
ALLOWED = [
    "SCHEMA", "SEPARATOR", "ENCODING", "SCHEMA_2", "SRC_PREFIX_2", "DAY", "TENANT", "KIND", "MODE_OF_PAYMENT",
    "confident", "debugging", "DATE", "DATE_FORMAT", "_as-is", "_", "X", "enable_metrics_2", "JOB_NAMES",
    "MANIFESTS", "TEMPDIRS", "_SRC",
]  # fmt: skip


def test_a_name_is_refused_where_it_is_read_as_another() -> None:
    """By the job, by `getResolvedOptions` of Glue 5.0, or by Glue."""
    assert REFUSED == [name for name in REFUSED + ALLOWED if why_reserved(name)]


KNOWN = [*OWN, *PARSED_BY_GLUE, *JOB_OPTIONS]


@pytest.mark.parametrize("name", KNOWN)
def test_no_name_that_is_allowed_changes_another(name: str) -> None:
    """Argparse, as Glue 5.0 uses it, is the judge of every beginning of a name, and of longer ones."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    for known in KNOWN:
        parser.add_argument(f"--{known}", default="untouched")
    given = [name[:length] for length in range(1, len(name))] + [f"{name}_2", f"{name}S"]
    allowed = [one for one in given if why_reserved(one) is None]

    parsed, _ = parser.parse_known_args([word for one in allowed for word in (f"--{one}", "changed")])

    assert {"untouched"} == set(vars(parsed).values())
    assert allowed == given[-2:]
