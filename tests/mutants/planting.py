"""Which bugs can be planted in a text: every one is a single edit of a span, so that it reads as a short diff."""

import ast
import bisect
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

# Words for people: a bug in them is no bug of the application.
WORDS = {"Comment", "ConstraintDescription", "Description", "DisplayName", "Id", "Sid", "Title"}
NUMBER = re.compile(r"-?\d+(\.\d+)?")
TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,}")
REFERENCE = re.compile(r"\$\{([A-Za-z]\w*)((?:\.\w+)?)\}")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug: its kind, and the span of the text that is replaced."""

    kind: str
    start: int
    end: int
    replacement: str

    def planted(self, text: str) -> str:
        """Return the text with the bug in it."""
        return text[: self.start] + self.replacement + text[self.end :]


class _Loader(yaml.SafeLoader):
    """Composes aliases as leaves: a bug is planted where the text is, once."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            return yaml.ScalarNode("!alias", event.anchor, event.start_mark, event.end_mark)
        return super().compose_node(parent, index)


def compose(text: str) -> yaml.Node:
    """Read YAML, or JSON, into nodes that know where they are.

    Raises yaml.YAMLError.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        assert node is not None
        return node
    finally:
        loader.dispose()


def readable(path: Path, text: str) -> bool:
    """Tell whether a text can be read at all; what cannot is no bug that anybody could deploy."""
    try:
        if path.suffix == ".json":
            json.loads(text)
        elif path.suffix == ".yaml":
            compose(text)
        elif path.suffix == ".toml":
            tomllib.loads(text)
        elif path.suffix == ".py":
            ast.parse(text)
    except (SyntaxError, ValueError, yaml.YAMLError):
        return False
    return True


def mutants(path: Path, text: str) -> list[Mutant]:
    """Return every bug that can be planted in a file, by its kind of text, in the order of the text."""
    makers: dict[str, Callable[[str], Iterator[Mutant]]] = {
        ".yaml": _of_yaml,
        ".json": _of_yaml,
        ".toml": _of_lines,
        ".py": _of_python,
        ".md": _of_docs,
    }
    made = makers.get(path.suffix, _of_lines)(text)
    return sorted({one for one in made if one.planted(text) != text}, key=lambda one: (one.start, one.end, one.kind))


# ---- YAML and JSON ----


def _of_yaml(text: str) -> Iterator[Mutant]:
    root = compose(text)
    others = _references(root)
    yield from _of_node(root, text, others, name="")


def _references(root: yaml.Node) -> dict[str, list[str]]:
    """Group what may be referred to, so that a wrong reference is a likely one: of the same type where there are two."""
    groups: dict[str, list[str]] = {}
    if isinstance(root, yaml.MappingNode):
        for section, body in root.value:
            if section.value not in {"Parameters", "Resources"} or not isinstance(body, yaml.MappingNode):
                continue
            for name, one in body.value:
                kind = next((value.value for key, value in one.value if key.value == "Type"), "")
                groups.setdefault(section.value, []).append(name.value)
                groups.setdefault(kind, []).append(name.value)
    return {
        name: sorted(kind if len(kind) > 1 else groups[section])
        for section in ("Parameters", "Resources")
        for name in groups.get(section, [])
        for kind in [
            next(group for key, group in groups.items() if key not in {"Parameters", "Resources"} and name in group)
        ]
    }


def _other(name: str, others: dict[str, list[str]]) -> str | None:
    group = others.get(name, [])
    return group[(group.index(name) + 1) % len(group)] if len(group) > 1 else None


def _of_node(node: yaml.Node, text: str, others: dict[str, list[str]], name: str) -> Iterator[Mutant]:
    if isinstance(node, yaml.ScalarNode):
        yield from _of_scalar(node, text, others, name)
        return
    assert isinstance(node, yaml.CollectionNode)
    pairs = node.value if isinstance(node, yaml.MappingNode) else [(item, item) for item in node.value]
    what = "drop property" if isinstance(node, yaml.MappingNode) else "drop element"
    yield from _drops(what, [(key.start_mark.index, _end(value, text)) for key, value in pairs])
    if isinstance(node, yaml.SequenceNode) and pairs and node.tag == "tag:yaml.org,2002:seq":
        yield Mutant(
            "empty list",
            pairs[0][0].start_mark.index if node.flow_style else node.start_mark.index,
            *((_end(pairs[-1][1], text), "") if node.flow_style else (_end(node, text), "[]")),
        )
    for key, value in pairs:
        known = key.value if isinstance(node, yaml.MappingNode) else name
        if known in {"Resource", "Action"} and isinstance(value, yaml.ScalarNode | yaml.SequenceNode):
            first = value.value if isinstance(value, yaml.ScalarNode) else getattr(value.value[0], "value", "")
            wide = "*" if known == "Resource" else f"{str(first).partition(':')[0]}:*"
            yield Mutant("widen", value.start_mark.index, _end(value, text), f'"{wide}"')
        if known not in WORDS:
            yield from _of_node(value, text, others, known)


def _drops(kind: str, spans: list[tuple[int, int]]) -> Iterator[Mutant]:
    """Drop each child together with what parts it from the next one, or from the one before."""
    for (start, _), (following, _) in pairwise(spans):
        yield Mutant(kind, start, following, "")
    if len(spans) > 1:
        yield Mutant(kind, spans[-2][1], spans[-1][1], "")


def _end(node: yaml.Node, text: str) -> int:
    """Return where a node's own text ends; the end mark of a block is where the next one begins."""
    if isinstance(node, yaml.ScalarNode):
        return len(text[: node.end_mark.index].rstrip()) if node.style in {"|", ">"} else node.end_mark.index
    assert isinstance(node, yaml.CollectionNode)
    if node.flow_style or not node.value:
        return node.end_mark.index
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last, text)


def _of_scalar(node: yaml.ScalarNode, text: str, others: dict[str, list[str]], name: str) -> Iterator[Mutant]:
    start, end = node.start_mark.index, _end(node, text)
    source = text[start:end]
    if node.tag == "!alias":
        return
    if node.tag in {"!Ref", "!GetAtt", "!Condition"} or (name == "Ref" and node.value in others):
        target = node.value.partition(".")[0]
        if other := _other(target, others):
            yield Mutant("wrong reference", start, end, source.replace(target, other, 1))
        return
    if NUMBER.fullmatch(node.value):
        yield Mutant("change number", start, end, source.replace(node.value, _more(node.value)))
        return
    if node.value in {"true", "false"}:
        flipped = "false" if node.value == "true" else "true"
        yield Mutant("flip boolean", start, end, source.replace(node.value, flipped))
        return
    for found in REFERENCE.finditer(source):
        if other := _other(found[1], others):
            yield Mutant("wrong reference", start + found.start(1), start + found.end(1), other)
    if node.style == "|":
        yield from _lines(text, start, end)
    if node.value in {"Allow", "Deny"}:
        yield Mutant(
            "flip effect", start, end, source.replace(node.value, {"Allow": "Deny", "Deny": "Allow"}[node.value])
        )
        return
    yield from _typos(source, start)


def _typos(source: str, offset: int) -> Iterator[Mutant]:
    """Misspell each word of a string; references to something else are another kind of bug."""
    skipped = [found.span() for found in re.finditer(r"\$\{[^}]+\}|![A-Z]\w+", source)]
    for found in TOKEN.finditer(source):
        if not any(begin <= found.start() < finish for begin, finish in skipped):
            yield Mutant("typo", offset + found.start(), offset + found.end(), _misspelt(found[0]))
    for found in NUMBER.finditer(source):
        inside = re.search(r"\w$", source[: found.start()]) or re.match(r"\w", source[found.end() :])
        if not inside and not any(begin <= found.start() < finish for begin, finish in skipped):
            yield Mutant("change number", offset + found.start(), offset + found.end(), _more(found[0]))


def _misspelt(word: str) -> str:
    middle = len(word) // 2
    return word[:middle] + word[middle + 1 :]


def _more(number: str) -> str:
    return str(float(number) + 1) if "." in number else str(int(number) + 1)


# ---- Text without nodes ----


def _lines(text: str, start: int, end: int) -> Iterator[Mutant]:
    """Drop each line of a span."""
    for found in re.finditer(r"^[^\n]*\S[^\n]*\n", text[start:end] + "\n", re.MULTILINE):
        if found.start():
            yield Mutant("drop line", start + found.start(), min(end, start + found.end()), "")


def _of_lines(text: str) -> Iterator[Mutant]:
    """Read what has a statement a line: TOML, a Makefile, a list of requirements."""
    offset = 0
    for line in text.splitlines(keepends=True):
        if (statement := line.split(" # ", maxsplit=1)[0].strip()) and not statement.startswith("#"):
            yield Mutant("drop line", offset, offset + len(line), "")
            yield from _typos(line.rstrip("\n"), offset)
            for found in re.finditer(r"\b(true|false)\b", line):
                yield Mutant(
                    "flip boolean",
                    offset + found.start(),
                    offset + found.end(),
                    "false" if found[0] == "true" else "true",
                )
        offset += len(line)


def _of_docs(text: str) -> Iterator[Mutant]:
    """Misspell what is code in a page: commands, and names between backticks."""
    fences = [found.span(1) for found in re.finditer(r"^```(?:sh|json)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    for begin, finish in fences:
        offset = begin
        for line in text[begin:finish].splitlines(keepends=True):  # what follows a `#` is for people
            yield from _typos(re.split(r"(?:^|\s)#\s", line)[0], offset)
            offset += len(line)
    for found in re.finditer(r"`([^`\n]+)`", text):
        if not any(begin <= found.start() < finish for begin, finish in fences):
            yield from _typos(found[1], found.start(1))


# ---- Python ----

COMPARISONS = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    " in ": " not in ",
    " not in ": " in ",
}


def _of_python(text: str) -> Iterator[Mutant]:
    """Change constants and tables outside functions, which mutmut leaves alone, and in files it does not run: see __main__."""
    tree = ast.parse(text)
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    span = _spans(text, starts)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    } | {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg in {"description", "help"}
        for part in ast.walk(node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield from _of_constant(node, text, *span(node))
        elif isinstance(node, ast.List | ast.Set | ast.Tuple) and len(node.elts) > 1:
            yield from _drops("drop element", [span(one) for one in node.elts])
        elif isinstance(node, ast.Dict) and len(node.keys) > 1:
            keys = [
                span(key)[0] if key else span(value)[0] - 2 for key, value in zip(node.keys, node.values, strict=True)
            ]
            yield from _drops(
                "drop element", [(key, span(value)[1]) for key, value in zip(keys, node.values, strict=True)]
            )
        elif isinstance(node, ast.Compare):
            yield from _of_comparison(text, span(node.left)[1], span(node.comparators[0])[0])
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield Mutant("drop not", span(node)[0], span(node.operand)[0], "")
        elif isinstance(node, ast.Expr | ast.AugAssign) and id(getattr(node, "value", None)) not in docstrings:
            yield Mutant("drop statement", *span(node), "pass")


def _spans(text: str, starts: list[int]) -> Callable[[ast.AST], tuple[int, int]]:
    def place(line: int, column: int) -> int:
        begin = starts[line - 1]
        return begin + len(text[begin : starts[line]].encode()[:column].decode())

    def span(node: ast.AST) -> tuple[int, int]:
        return (
            place(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            place(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    return span


def _of_constant(node: ast.Constant, text: str, start: int, end: int) -> Iterator[Mutant]:
    source = text[start:end]
    if isinstance(node.value, bool):
        yield Mutant("flip boolean", start, end, str(not node.value))
    elif isinstance(node.value, int | float):
        yield Mutant(
            "change number",
            start,
            end,
            _more(source.replace("_", "")) if NUMBER.fullmatch(source.replace("_", "")) else "1",
        )
    elif isinstance(node.value, str):
        yield from _typos(source, start)


def _of_comparison(text: str, start: int, end: int) -> Iterator[Mutant]:
    source = text[start:end]
    for sign in sorted(COMPARISONS, key=len, reverse=True):
        if sign.strip() == source.strip():
            yield Mutant("other comparison", start, end, source.replace(sign.strip(), COMPARISONS[sign].strip()))
            return


def line_of(text: str, offset: int) -> int:
    """Return the number of the line that an offset is in, from 1."""
    breaks = [found.start() for found in re.finditer("\n", text)]
    return bisect.bisect_left(breaks, offset) + 1
