"""Single uploads: one start for each upload and route, and every event accounted for."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from hashlib import md5

from shared.domain.stack import Stack
from tests.simulation.fakes import Version
from tests.simulation.world import Word, World
from tests.unit.builders import PREFIX, stack, table

NAMES = ("a.csv", "b.csv", "folder/c + 1%20.csv", "folder/")
BODIES = (b"", b"one", b"two")
EMPTY = md5(b"", usedforsecurity=False).hexdigest()
# With routes: what each takes, by the simulation's own names; nothing takes b.csv, and the folder's files may be empty.
ROUTED = {f"{PREFIX}a.csv": "one", f"{PREFIX}folder/c + 1%20.csv": "folder"}
TABLE = table(
    one=f'match = "{PREFIX}a.csv"',
    folder=f'match = "{PREFIX}folder/{{file}}.csv"\naccept_empty = true\nstate_machine_arn = "others"',
    elsewhere='match = "elsewhere/{file}"',
)


class Arrivals(World):
    """A bucket of any versioning, with route files or without, and a bad day."""

    lengths = (1,)

    def make_stack(self) -> Stack:
        self.s3.versioning = self.dice.choice(["", "Enabled", "Suspended"])
        self.routed = self.dice.random() < 0.5
        return stack(table=TABLE) if self.routed else stack()

    def happen(self) -> None:
        moment = 0.0
        for _ in range(self.dice.randint(2, 12)):
            moment += self.dice.choice([0, 0.1, 1, 5])
            self.spawn(self.work, PREFIX + self.dice.choice(NAMES), after=moment)
        for _ in range(self.dice.choice([0, 1, 2])):
            how = self.dice.choice([(None, False), ("again", False), (None, True)])
            self.spawn(self.backfill, *how, after=self.dice.random() * moment)
        if self.dice.random() < 0.3:
            self.spawn(self.replay, after=self.dice.random() * 2 * moment)

    def settle(self) -> None:
        self.spawn(self.backfill)

    def work(self, key: str) -> None:
        if self.dice.random() < 0.15:
            self.s3.delete(key)
            return
        body = b"" if key.endswith("/") else self.dice.choice(BODIES)
        twice = self.s3.versioning == "Enabled" and self.dice.random() < 0.3
        for _ in range(1 + twice):
            version = self.s3.put(key, body)
            self.seen["uploads"] += 1
            for _ in range(self.dice.randint(0, 3)):
                self.announce(version, self.dice.choice([0, 0, 1, 10]) * self.dice.random())

    # ---- The promise ----

    def check(self, word: Word) -> None:
        self.wrong += [f"{wrong}: {word}" for wrong in self._untrue(word)]

    def _untrue(self, word: Word) -> Iterator[str]:
        there = self._there(word)
        if word.answer["outcome"] == "skipped":
            announced = self.s3.find(word.key, word.version_id)
            marker = word.key.endswith("/")
            reasons = {
                "object_gone": not _is_covered(there, word),
                "empty_object": EMPTY in {announced and announced.etag, *(etag for _, _, etag in there)},
                "folder_marker": marker,
                "no_route": self.routed and not marker and word.key not in ROUTED,
            }
            if not reasons.get(str(word.answer["reason"])):
                yield f"not {word.answer['reason']}"
            return
        if not there:
            yield "nothing there to read"
        execution = self.sfn.by_arn.get(str(word.answer["execution_arn"]))
        if not execution:
            if word.label != "dry":
                yield "not there"
            return
        said, others = json.loads(execution.input), ":others:" in execution.arn
        if self.routed and (said["route"], others) != (ROUTED[word.key], ROUTED[word.key] == "folder"):
            yield "the wrong route or machine"
        if word.version_id not in {None, said["object"]["version_id"]}:
            yield "the wrong version"

    def _there(self, word: Word) -> list[tuple[float, float, str]]:
        """Return since when and until when which ETags were current while an arrival was handled."""
        return sorted(
            (since, until, etag)
            for (key, etag, _), lives in self.s3.lives.items()
            for since, until in lives
            if key == word.key and since <= word.ended and until >= word.began
        )

    def verdict(self) -> list[str]:
        started = [(_identity(one.input), one.asked_by) for one in self.sfn.executions]
        ever = {identity for identity, _ in started}
        return [
            *(f"started twice: {one}" for one, count in Counter(started).items() if count > 1),
            *(f"started by a dry run: {one}" for one, asked_by in started if asked_by == "dry"),
            *(f"two inputs: {arn}" for arn, inputs in self.sfn.inputs.items() if len(inputs) > 1),
            *(
                f"never started: {version}"
                for version in self.s3.all_current()
                if self.calm and self._is_file(version) and not any(_is_of(one, version) for one in ever)
            ),
        ]

    def _is_file(self, version: Version) -> bool:
        """Return whether an object is one to start, by the simulation's own account."""
        if self.routed:
            return version.key in ROUTED and bool(version.size or ROUTED[version.key] == "folder")
        return bool(version.size) and not version.key.endswith("/")


def _is_covered(there: list[tuple[float, float, str]], word: Word) -> bool:
    """Return whether something was there all the time."""
    covered = word.began
    for since, until, _ in there:
        covered = max(covered, until) if since <= covered else covered
    return covered >= word.ended


def _identity(given: str) -> tuple[str, str | None, str, str]:
    stored = json.loads(given)["object"]
    return stored["key"], stored["version_id"], stored["etag"], stored["last_modified"]


def _is_of(identity: tuple[str, str | None, str, str], version: Version) -> bool:
    key, version_id, etag, second = identity
    same = (etag, int(datetime.fromisoformat(second).timestamp())) == (version.etag, version.second)
    return key == version.key and (version_id == version.version_id if version_id else same)
