"""The promise, checked on a world in which nothing is left to happen."""

from collections import defaultdict

from shared.domain.choose import own_folder
from shared.domain.memory import Upload
from shared.domain.windows import Window, parse_manifest, slot_start
from tests.simulation.windows.world import RESULTS, World


def contradictions(world: World) -> list[str]:
    """Return how the world contradicts the promise; empty when it holds."""
    return [
        *_manifests_that_changed(world),
        *_uploads_twice(world),
        *_strangers(world),
        *_runs_that_differ(world),
    ]


def losses(world: World) -> list[str]:
    """Return what is lost, once a backfill without faults has looked at everything that exists."""
    held = {
        upload for generation, uploads, _ in world.stored if generation.group.reprocess is None for upload in uploads
    }
    ran = {upload for target in world.started if target.generation.group.reprocess is None for upload in target.files}
    unfinished = {
        upload
        for generation, uploads, _ in world.stored
        if world.runs[generation.name].status in {"FAILED", "ABORTED"}
        for upload in uploads
    }
    existing = _existing(world)
    return [
        *(f"lost: {upload} is in no manifest" for upload in existing - held),
        *(f"lost: {upload} is in no run" for upload in existing - ran - unfinished),
    ]


def broken_words(world: World) -> list[str]:
    """Return what was acknowledged and yet is not where it was said to be, before any backfill has looked again."""
    return [*_not_where_it_joined(world), *_in_no_run(world)]


def _not_where_it_joined(world: World) -> list[str]:
    """Return what joined a generation whose manifest, or the one of the generation that closed it, doesn't hold it."""
    existing = _existing(world) - world.restored
    wrong = []
    for upload, joined in world.acknowledged:
        generation = joined
        while world.stored_by.get(generation, generation) != generation:
            generation = world.stored_by[generation]
        decided = generation in world.stored_by and upload in existing and joined.group.folder == own_folder(upload[0])
        if decided and slot_start(upload[2], joined.group.seconds) == joined.group.start:
            held = set().union(
                *(
                    uploads
                    for one, uploads, _ in world.stored
                    if one.group == joined.group and one.number <= generation.number
                )
            )
            if upload not in held:
                wrong.append(f"lost: {upload} joined {joined.name} and is not in its manifest")
    return wrong


def _in_no_run(world: World) -> list[str]:
    if any(run.status != "SUCCEEDED" for run in world.runs.values()):
        return []
    ran = {upload for target in world.started for upload in target.files}
    # What was deleted while its window closed and restored later is like new, but nobody announces it.
    words = {upload for upload, joined in world.acknowledged if joined.group.reprocess is None} - world.restored
    return [f"lost: {upload} was acknowledged and is in no run" for upload in (words & _existing(world)) - ran]


def scattered(world: World) -> list[str]:
    """Return what was visible before a window closed that found something, and yet is in the manifest of a later generation.

    A window that found nothing may have been closed by a later one, because it failed, or because it was slow.
    """
    existing = _existing(world) - world.restored
    found = {generation.name for generation, uploads, _ in world.stored if uploads}
    closes = {name: run.start + run.generation.group.seconds for name, run in world.runs.items()}
    return [
        f"scattered: {upload} was visible before {former.name} closed, and is in generation {generation.number}"
        for generation, uploads, _ in world.stored
        for upload in uploads & existing
        for former in generation.former
        if former.name in found and world.visible[upload] < closes[former.name]
    ]


def _existing(world: World) -> set[Upload]:
    return {file.upload for key in world.versions if (file := world.current(key))}


def _manifests_that_changed(world: World) -> list[str]:
    seen: set[tuple[Window, int]] = set()
    wrong = []
    for generation, _, _ in world.stored:
        if (generation.group, generation.number) in seen:
            wrong.append(f"changed: the manifest of {generation.name}")
        seen.add((generation.group, generation.number))
    return wrong


def _uploads_twice(world: World) -> list[str]:
    wrong = []
    for what, found in (
        ("manifests", [(generation.group.reprocess, uploads) for generation, uploads, _ in world.stored]),
        ("runs", [(target.generation.group.reprocess, target.files) for target in world.started]),
    ):
        count: dict[tuple[str | None, Upload], int] = defaultdict(int)
        for label, uploads in found:
            for upload in uploads:
                count[label, upload] += 1
        wrong += [f"twice: {upload} is in {number} {what}" for (_, upload), number in count.items() if number > 1]
    return wrong


def _strangers(world: World) -> list[str]:
    return [
        f"stranger: {upload} in {generation.name}"
        for generation, uploads, _ in world.stored
        for upload in uploads
        if own_folder(upload[0]) != generation.group.folder
        or slot_start(upload[2], generation.group.seconds) != generation.group.start
    ]


def _runs_that_differ(world: World) -> list[str]:
    wrong = []
    for target in world.started:
        key = target.generation.manifest_key
        files = parse_manifest(world.manifests[key])
        said = {"manifest": f"s3://{RESULTS}/{key}", "files": len(files), "bytes": sum(file.size for file in files)}
        if {file.upload for file in files} != target.files or {name: target.input[name] for name in said} != said:
            wrong.append(f"differs: the run of {target.generation.name} and its manifest")
    return wrong
