"""Write answers for a terminal, for a pipe, or as JSON. No control character reaches a terminal."""

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

# The reader of a pipe breaks lines itself.
PIPE_WIDTH = 10_000


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows under headings: a table if the terminal is wide enough, otherwise one paragraph for each row."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a command for a person and for a script, and its exit code (1: there is something to do)."""

    told: Sequence[str | Listing]
    data: Any
    to_do: bool = False


def shown(text: str) -> str:
    """Return text unchanged, or as JSON if it has control characters for a terminal."""
    return text if text.isprintable() else json.dumps(text)


def quoted(text: str) -> str:
    """Return text as one word of a shell; unprintable characters are in $'…', which bash and zsh read."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_escaped(one) for one in text) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def harmless(text: str) -> str:
    """Return a line with its control characters escaped as in Python."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def moment(when: datetime) -> str:
    """Return a time in UTC, for people and for `--since`."""
    return f"{when:%Y-%m-%d %H:%M:%S}"


def written(answer: Answer, *, as_json: bool, width: int | None, colour: bool) -> str:
    """Return the whole answer as text; a width of None is that of a pipe."""
    if as_json:
        # All ASCII: jq decodes it, and it has no control character for a terminal.
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
    """Write to the standard output; if its reader stops reading, that is no error."""
    try:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # What Python flushes at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
