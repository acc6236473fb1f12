"""A stack with windows, and what is asked of it."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.integration.conftest import Arrivals, until

# Seconds of a window.
SECONDS = 2
# Seconds from the last upload to the last run: a window, a second generation, collecting, and a slow machine.
PATIENCE = 60


@dataclass(frozen=True)
class Windows(Arrivals):
    """A stack that gathers its arrivals."""

    def manifests(self, folder: str) -> list[dict[str, Any]]:
        """Read the manifests of a folder that a run was started on."""
        return [self.read(one["manifest"]) for one in self.runs(folder)]

    def read(self, address: str) -> dict[str, Any]:
        """Read a manifest."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        found: dict[str, Any] = json.loads(self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
        return found

    def runs(self, folder: str) -> list[dict[str, Any]]:
        """Return the inputs of a folder's runs."""
        return [json.loads(one["input"]) for one in self.executions(folder)]

    def windows(self, folder: str) -> list[dict[str, Any]]:
        """Describe the executions of the window machine for a folder."""
        return self.described(self.stack.physical_id("WindowStateMachine"), "folder", folder)

    def settled(self, *folders: str) -> None:
        """Wait until every window and every run of some folders has ended."""

        def all_ended() -> bool:
            found = [one for folder in folders for one in (*self.windows(folder), *self.executions(folder))]
            return bool(found) and all(one["status"] != "RUNNING" for one in found)

        until(all_ended, PATIENCE)

    def gathered(self, folder: str) -> Counter[str]:
        """Count in how many manifests each key of a folder is."""
        return Counter(file["key"] for manifest in self.manifests(folder) for file in manifest["files"])

    def slots(self, folder: str) -> int:
        """Count the slots that the folder's objects fall into."""
        found = self.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=folder).get("Contents", [])
        return len({int(one["LastModified"].timestamp()) // SECONDS for one in found})
