"""Windows: every upload is in exactly one manifest, with all that was visible before its window closed."""

import json
from collections import Counter
from functools import cache, partial
from math import inf

from shared.domain import windows
from shared.domain.choose import own_folder
from shared.domain.memory import Upload
from shared.domain.stack import Stack
from shared.domain.windows import GRACE, Generation, parse_manifest, slot_start
from tests.simulation.fakes import FakeExecution
from tests.simulation.steps import Steps
from tests.simulation.world import World
from tests.unit.builders import stack

FOLDERS = ("in/a/", "in/b/")
NAMES = ("0", "1", "2", "deep/3")


@cache
def generation_of(given: str) -> Generation:
    return windows.parse_generation(json.loads(given))


class Windows(World):
    """Uploads of a few folders, in any way that uploads come."""

    def make_stack(self) -> Stack:
        self.s3.versioning = self.dice.choice(["", "Enabled"])
        self.s3_skew = self.dice.choice([0, 0, -1, 1])
        self.crowding = self.dice.choice([0, 1, 3])
        self.sfn.retention = self.dice.choice([inf, inf, 12 * self.seconds])
        return stack(source_prefix="in/", window_seconds=self.seconds)

    def happen(self) -> None:
        span = self.dice.choice([2, self.seconds, 3 * self.seconds])
        keys = [folder + name for folder in FOLDERS for name in NAMES][: self.dice.choice([2, 4, 8])]
        for _ in range(self.dice.randint(1, 7)):
            self.spawn(self.upload, self.dice.choice(keys), after=self.dice.random() * span)
        look_again = partial(self.backfill, self.dice.choice([None, "again"]))
        for act, most in ((self.deploy, 6), (self.replay, 12), (look_again, 6)):
            if self.dice.random() < 0.2:
                self.spawn(act, after=self.soon(most))

    def settle(self) -> None:
        self.wire.now += self.soon(5 if self.sfn.retention == inf else 30)
        for run in self.runs:
            if run.status != "SUCCEEDED" and self.dice.random() < 0.5:
                self.spawn(self.redrive, run, after=self.soon(3))
        self.spawn(self.backfill)
        self.run()
        for run in self.runs:
            # What has collected and not run needs somebody; what has not collected is taken over by a later generation.
            if run.status != "SUCCEEDED" and generation_of(run.input).manifest_key in self.s3.manifests:
                self.spawn(self.redrive, run)

    # ---- What happens ----

    def put(self, key: str, second: float) -> None:
        version = self.s3.put(key, self.dice.choice([b"x", b"yy", b"zzz"]), second)
        self.seen["uploads"] += 1
        for _ in range(self.dice.choice([0, 1, 1, 2, 3])):
            luck = self.dice.random()
            wait = self.dice.random() if luck < 0.5 else self.soon(2.5 if luck < 0.8 else 8)
            self.announce(version, wait * (1 if self.sfn.retention == inf else self.dice.choice([1, 1, 6])))

    def upload(self, key: str) -> Steps:
        second = self.wire.now + self.s3_skew
        if self.dice.random() < 0.25:
            self.seen["multipart uploads"] += 1
            yield self.soon(4)
        self.put(key, second)
        if self.dice.random() < 0.15:
            yield self.soon(2)
            self.s3.delete(key)
            if self.dice.random() < 0.3:
                yield self.soon(2)
                self.s3.restore(key)

    def opened(self, run: FakeExecution) -> None:
        if generation_of(run.input).number == 0:
            for _ in range(self.dice.randint(0, self.crowding)):
                self.spawn(self.upload_at_the_last_minute, run)

    def upload_at_the_last_minute(self, run: FakeExecution) -> Steps:
        """End an upload in parts about when a window closes; its event, or one of its key, comes about then."""
        window, deadline = generation_of(run.input).group, run.started + self.seconds
        known = [one.key for one in self.s3.all_current(window.folder) if own_folder(one.key) == window.folder]
        key = self.dice.choice(known or [f"{window.folder}0"])
        second = window.start + self.dice.randrange(self.seconds)
        moment = deadline + self.dice.uniform(-0.5, self.dice.choice([1, 4, 4]) * GRACE)
        if moment <= max(self.wire.now, second):
            return
        self.seen["uploads at the last minute"] += 1
        for version in [self.s3.current(key)] * self.dice.randint(0, 3):
            if version:
                self.announce(version, max(0.0, min(moment, deadline) - self.wire.now + self.dice.uniform(-1, 1.5)))
        yield moment - self.wire.now
        version = self.s3.put(key, self.dice.choice([b"x", b"yy", b"zzz"]), second)
        if self.dice.random() < 0.7:
            self.announce(version, self.dice.random() * 0.2)

    # ---- The promise ----

    def verdict(self) -> list[str]:
        self.stored = []
        for put in self.s3.puts:
            by, number = generation_of(put.asked_by.input), int(put.key.rsplit("/", 1)[-1].removesuffix(".json"))
            uploads = frozenset(file.upload for file in parse_manifest(put.body))
            self.stored.append((Generation(by.group, number), uploads, by))
        self.existing = {version.file.upload for version in self.s3.all_current()}
        # S3 tells what was gone and is back from the first time in nothing, and nobody announces it.
        self.restored = {upload for upload, lives in self.s3.lives.items() if len(lives) > 1}
        ends = self._missing() if self.calm else [*self._not_where_it_joined(), *self._in_no_run(), *self.scattered()]
        return [*self._changed(), *self._twice(), *self._strangers(), *ends]

    def _changed(self) -> list[str]:
        keys = Counter(put.key for put in self.s3.puts)
        return [f"changed: {key}" for key, count in keys.items() if count > 1]

    def _twice(self) -> list[str]:
        manifests = [(one.group.reprocess, uploads) for one, uploads, _ in self.stored]
        runs = [(target.label, target.files) for target in self.started]
        return [
            f"twice: {found} is in {count} {what}"
            for what, groups in (("manifests", manifests), ("runs", runs))
            for found, count in Counter((label, upload) for label, uploads in groups for upload in uploads).items()
            if count > 1
        ]

    def _strangers(self) -> list[str]:
        return [
            f"stranger: {upload} in {generation.name}"
            for generation, uploads, _ in self.stored
            for upload in uploads
            if own_folder(upload[0]) != generation.group.folder
            or slot_start(upload[2], generation.group.seconds) != generation.group.start
        ]

    def _missing(self) -> list[str]:
        held = {upload for one, uploads, _ in self.stored if one.group.reprocess is None for upload in uploads}
        bad = {run.name for run in self.runs if run.status in {"FAILED", "ABORTED"}}
        unfinished = {upload for one, uploads, _ in self.stored if one.name in bad for upload in uploads}
        return [
            *(f"lost: {upload} is in no manifest" for upload in self.existing - held),
            *(f"lost: {upload} is in no run" for upload in self.existing - self._ran() - unfinished),
        ]

    def _ran(self) -> set[Upload]:
        return {upload for target in self.started if target.label is None for upload in target.files}

    def _joined(self) -> list[tuple[Upload, Generation]]:
        """Return which generation an answer told of, for what was current then, and is, and was never away."""
        inputs = {run.name: run.input for run in self.runs}
        return [
            (word.current.file.upload, generation_of(inputs[word.name]))
            for word in self.words
            if word.name in inputs and word.current and word.current.file.upload in self.existing - self.restored
        ]

    def _not_where_it_joined(self) -> list[str]:
        """Return what joined a generation and is neither in its manifest nor in that of the one which closed it."""
        stored_by = {generation: by for generation, _, by in self.stored}
        wrong = []
        for upload, joined in self._joined():
            generation = joined
            while stored_by.get(generation, generation) != generation:
                generation = stored_by[generation]
            ours = joined.group.folder, joined.group.start
            if generation in stored_by and (own_folder(upload[0]), slot_start(upload[2], self.seconds)) == ours:
                held = [kept for one, kept, _ in self.stored if one.group == joined.group and one <= generation]
                if upload not in set().union(*held):
                    wrong.append(f"lost: {upload} joined {joined.name} and is not in its manifest")
        return wrong

    def _in_no_run(self) -> list[str]:
        if any(run.status != "SUCCEEDED" for run in self.runs):
            return []
        words = {upload for upload, joined in self._joined() if joined.group.reprocess is None}
        return [f"lost: {upload} was acknowledged and is in no run" for upload in words - self._ran()]

    def scattered(self) -> list[str]:
        """Return what was visible before a window closed that found something, and is in a later generation's manifest.

        A window that found nothing may have been closed by a later one, because it failed, or because it was slow.
        """
        found = {generation.name for generation, uploads, _ in self.stored if uploads}
        closes = {run.name: run.started + self.seconds for run in self.runs}
        return [
            f"scattered: {upload} was visible before {former.name} closed, and is in generation {generation.number}"
            for generation, uploads, _ in self.stored
            for upload in uploads & self.existing - self.restored
            for former in generation.former
            if former.name in found and self.s3.lives[upload][-1][0] < closes[former.name]
        ]
