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


def in_window(key: str, deployed: Stack) -> bool:
    window = Window("one" if deployed.table else "job:out", BUCKET, key[: key.rfind("/") + 1], 0, 60, None)
    return belongs(File(key, 5, "e", 5), window, deployed)


# The source prefix, the match of a route file if there is one, the key, and the name that hides it, if one does.
HIDDEN = [
    ("raw/", "", "raw/.DS_Store", ".DS_Store"),
    ("raw/", "", "raw/_temporary/0/part-0.csv", "_temporary"),
    ("raw/", "", "raw/x._COPYING_", "x._COPYING_"),
    ("raw/", "", "raw/x._COPYING_/a.csv", "x._COPYING_"),
    ("raw/", "", "raw/..", ".."),
    ("raw/", "", "raw/_\n/a.csv", "_\n"),
    ("", "", ".hidden", ".hidden"),
    ("", "", "_a/b=c.csv", "_a"),
    ("raw/", "", "raw/_year=2026/a.csv", None),
    ("raw/", "", "raw/a_b/a.b._COPYING", None),
    ("raw/", "", "raw/x._COPYING_.csv", None),
    # What the prefix writes out whole is meant, and no more of it.
    ("a/_b/", "", "a/_b/c.csv", None),
    ("a/_b/", "", "a/_b/_c.csv", "_c.csv"),
    ("a/_b", "", "a/_bc/d.csv", "_bc"),
    ("a/_b", "", "a/_b", None),
    # So is what a match writes out; a placeholder takes no such character.
    ("", '"raw/{day...}/_SUCCESS"', "raw/1/_SUCCESS", None),
    ("", '"raw/{day...}/_SUCCESS"', "raw/_temporary/0/_SUCCESS", "_temporary"),
    ("", '"raw/_{name}.csv"', "raw/_a.csv", None),
    ("", '"raw/{name}.csv"', "raw/_a.csv", "_a.csv"),
    ("", '"raw/_{all...}"', "raw/_a/_b", "_b"),
    ("", '"raw/{name}._COPYING_"', "raw/a._COPYING_", None),
    ("", '"raw/{name}_"', "raw/a._COPYING_", None),
    ("", '"raw/a._COPY{rest}"', "raw/a._COPYING_", "a._COPYING_"),
    ("", '"raw/.{name}"', "raw/.a._COPYING_", ".a._COPYING_"),
    # Of several matches the one that fits the key.
    ("", '["raw/{name}.csv", "raw/_{name}.txt"]', "raw/_a.txt", None),
    ("", '["raw/_{name}.txt", "raw/{name}.csv"]', "raw/_a.csv", "_a.csv"),
    ("raw/_in/", '"raw/{all...}"', "raw/_in/.a.csv", ".a.csv"),
]


@pytest.mark.parametrize(("prefix", "match", "key", "name"), HIDDEN)
def test_a_hidden_file_is_no_arrival(prefix: str, match: str, key: str, name: str | None) -> None:
    """Of Spark's rule only what nobody wrote out; a window's listing goes by the same."""
    fields = [f"match = {match}", 'target = "out"'] if match else []
    found = choose(created(key=key), routed(prefix, *fields))

    if name is None:
        assert isinstance(found, Choice), found
    else:
        why = f"{name!a} is the name of a hidden or unfinished file or folder"
        assert isinstance(found, Skip), found
        assert f"hidden_file {why}" == f"{found.reason.value} {found.why}".partition(":")[0]
    assert (name is None) == in_window(key, routed(prefix, *fields, WINDOW) if match else routed(prefix))


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
    skips = [choose(created(key=key), *way) for way in ((open_,), (paused,))]
    skips.append(choose(created(key=key), paused, even_paused=True))

    held_up = "paused" if reason == "hidden_file" else reason
    assert [reason, held_up, reason] == [one.reason.value for one in skips if isinstance(one, Skip)]


NAMED = ('match = "raw/{all...}"', 'target = "out"', "[parameters]", 'NAME = "{all}"')
OUT = ('match = "raw/x{path...}/{file}"', 'target = "out/{path}"')
# The fields of a route file if there is one, the key, and what fails: an argument that would be an option, or a target
# that leaves its place; None: the key starts.
UNSAFE = [
    ((), "-report.csv", "SRC_PREFIX '-report.csv'"),
    ((), "--TRG_PREFIX=curated/other.csv", "SRC_PREFIX '--TRG"),
    ((), "raw/-report.csv", None),
    (NAMED, "raw/--TRG_PREFIX=curated/other.csv", "NAME '--TRG_PREFIX=curated/other.csv'"),
    (NAMED, "raw/a-b", None),
    (('match = "raw/{a}/{b}"', 'target = "{a}-x"'), "raw/-a/b", "TRG_PREFIX '-a-x'"),
    (('match = "raw/{a}/{b}"', 'target = "out/{a}"'), "raw/-a/-b", None),
    (('match = "raw/{a}/{b}"', 'target = "out"', 'source = "{a}/"'), "raw/-a/b", "SRC_PREFIX '-a/'"),
    (('match = "-{a}"', 'target = "out"'), "-a", "SRC_PREFIX '-a'"),
    (('match = "-{a}"', 'target = "out"', 'source = "{a}"'), "-a", None),
    # A window's folder is the argument, and a file's own key is not.
    (('match = "{day}/{a}"', 'target = "o/u/t"', WINDOW), "-a/b", "SRC_PREFIX '-a/'"),
    (('match = "{a}"', 'target = "out"', WINDOW), "-a", None),
    (OUT, "raw/x../x", "the target 'out/..' of route one: jobs resolve its empty, '.' or '..' segment"),
    (OUT, "raw/xa//x", "the target 'out/a/' of route one"),
    (('match = "raw/x{a}/{b}"', 'target = "out/{a}"', WINDOW), "raw/x../b", "the target 'out/..' of route one"),
    (('match = "raw/x{a}/{b}"', 'target = "out/{a}"', WINDOW), "raw/xy/b", None),
]


@pytest.mark.parametrize(("fields", "key", "said"), UNSAFE)
def test_what_a_key_makes_stays_data(fields: tuple[str, ...], key: str, said: str | None) -> None:
    """Otherwise it fails with the value and what to do, is in no window, and in a backfill is a failure of its own."""
    deployed = routed("", *fields)
    if said is None:
        assert isinstance(choose(created(key=key), deployed), Choice)
        assert WINDOW not in fields or in_window(key, deployed)
        return
    error = UnsafeTargetError if "target" in said else UnsafeArgumentError
    with pytest.raises(error, match=r"Upload the object under another key") as failed:
        choose(created(key=key), deployed)

    assert f"{key!a} makes {said}" in str(failed.value)
    assert ("one" if fields else None) == failed.value.route
    assert not in_window(key, deployed)
    request = Request(bucket=BUCKET, prefix="", since=None, until=None, dry_run=False, reprocess=None)
    items = [Item.model_validate({"Key": one, "LastModified": 5, "request": request}) for one in (key, "x/")]
    results = run_batch(items, deployed, lambda one, _: choose(one, deployed))  # type: ignore[arg-type,return-value]
    assert ([key], {"folder_marker": ["x/"]}) == ([one["key"] for one in results.failed], results.skipped)


# Names that a route may not give, and names that it may; docs/routes.md has them.
REFUSED = ["src-prefix", "b", "tempdir", "Temp", "JOB_BOOKMARK", "conf", "CONF", "scriptlocation", "SCH", "SEP"]
ALLOWED = ["SCHEMA", "SCHEMA_2", "MODE_OF_PAYMENT", "confident", "DATE_FORMAT", "_as-is", "_", "enable_metrics_2"]
KNOWN = [*OWN, *PARSED_BY_GLUE, *JOB_OPTIONS]


def test_a_name_is_refused_where_it_is_read_as_another() -> None:
    """By the job, by `getResolvedOptions` of Glue 5.0, or by Glue."""
    assert REFUSED == [name for name in REFUSED + ALLOWED if why_reserved(name)]


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
