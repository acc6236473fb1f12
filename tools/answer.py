"""How answers are written: for a terminal, for a pipe, or as JSON. Nothing reaches a terminal that it would act on."""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Whatever reads a pipe breaks lines by itself, if at all.
PIPE_WIDTH = 10_000


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows under headings: a table where it is wide enough, otherwise a paragraph a row."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command says: to a person, to a script, and by its exit code (1 where there is something to do)."""

    told: Sequence[str | Listing]
    data: Any
    to_do: bool = False


def shown(text: str) -> str:
    """Return text as it is, or as JSON where it has characters that a terminal would act on."""
    return text if text.isprintable() else json.dumps(text)


def quoted(text: str) -> str:
    """Return text as one word of a shell; bash and zsh read what is not printable in $'…'."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_escaped(one) for one in text) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def harmless(text: str) -> str:
    """Return a line without control characters, which are written as Python writes them."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def moment(when: datetime) -> str:
    """Return a time in UTC, as a person reads it and `--since` takes it."""
    return f"{when:%Y-%m-%d %H:%M:%S}"


def written(answer: Answer, *, as_json: bool, width: int | None, colour: bool) -> str:
    """Return the whole answer as text; a width of None is that of a pipe."""
    if as_json:
        # All ASCII: jq shows it as it was, and no terminal acts on it.
        return json.dumps(answer.data, indent=2, default=str) + "\n"
    out = StringIO()
    console = Console(
        file=out,
        width=width or PIPE_WIDTH,
        force_terminal=colour,
        no_color=not colour,
        markup=False,
        highlight=False,
        emoji=False,
    )
    for part in answer.told:
        if isinstance(part, Listing):
            _write_listing(console, part)
        else:
            out.write(harmless(part) + "\n")
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _write_listing(console: Console, listing: Listing) -> None:
    rows = [tuple(map(harmless, row)) for row in listing.rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in listing.headings:
        table.add_column(heading, no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*map(Text, row))
    if table.__rich_measure__(Console(width=PIPE_WIDTH), Console(width=PIPE_WIDTH).options).maximum <= console.width:
        console.print(table)
        return
    label = max(map(len, listing.headings))
    for row in rows:
        for heading, cell in zip(listing.headings, row, strict=True):
            if cell:
                console.print(Text(f"{heading:<{label}}  {cell}"), soft_wrap=True)
        console.print()


def put(text: str) -> None:
    """Write to the standard output; whoever reads it may stop reading, which is no error."""
    try:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # What Python flushes at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
