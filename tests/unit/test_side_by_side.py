"""The stacks of samconfig.toml live side by side in one account: no two want the same name."""

import re
import shlex
from collections import Counter

import pytest

from tests.integration import account
from tests.unit.builders import BUCKET, MACHINE, REPOSITORY
from tests.unit.resolved import CONFIGURATIONS, PARAMETERS, overrides, stack

# Properties that name a resource for the whole account and region.
NAMES = ("DashboardName", "LogGroupName", "Name", "RuleName")


def names(configuration: str) -> list[tuple[str, str]]:
    """Collect what a configuration's stack names: type and name."""
    resources = stack(
        CONFIGURATIONS[configuration]["global"]["parameters"]["stack_name"], parameters=overrides(configuration)
    )
    found = []
    for one in resources["Resources"].values():
        rules = one["Properties"].get("Events", {}).values() if isinstance(one["Properties"], dict) else []
        for kind, properties in [
            (one["Type"], one["Properties"]),
            *((rule["Type"], rule["Properties"]) for rule in rules),
        ]:
            found += [(kind, properties[name]) for name in NAMES if isinstance(properties.get(name), str)]
    return found


def test_no_two_stacks_share_a_name() -> None:
    """A second stack that wants the name of the first one's Glue job, rule or log group can't be made."""
    all_names = Counter(name for configuration in CONFIGURATIONS for name in names(configuration))

    assert {"default", "dev", "prod"} <= CONFIGURATIONS.keys()
    assert len(CONFIGURATIONS) * 14 <= all_names.total()
    assert [] == [name for name, count in all_names.items() if count > 1]


# Configuration: its stack, what it sets beside the defaults, and what else `sam deploy` is told.
TOLD: dict[str, tuple[str, dict[str, str], dict[str, object]]] = {
    "default": ("glueworkshop", {}, {}),
    "dev": (
        "glueworkshop-dev",
        {"JobName": "ny-taxi-transformed-dev-jb", "LogRetentionDays": "7", "ArchiveRetentionDays": "7"},
        {},
    ),
    "prod": (
        "glueworkshop-prod",
        {
            "JobName": "ny-taxi-transformed-prod-jb",
            # 13 minutes for 100,000 files.
            "MaxConcurrency": "20",
            "LogRetentionDays": "90",
            "ArchiveRetentionDays": "90",
        },
        {"confirm_changeset": True},
    ),
    # The tag lets `make e2e` in.
    "e2e": (
        "glueworkshop-e2e",
        {"JobName": "ny-taxi-transformed-e2e-jb", "LogRetentionDays": "7", "ArchiveRetentionDays": "7"},
        {"tags": "=".join(account.TAG)},
    ),
}
ALWAYS = {"resolve_s3": True, "capabilities": "CAPABILITY_IAM", "fail_on_empty_changeset": False}


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_configuration_tells_no_more(configuration: str) -> None:
    """No region, bucket or profile of somebody's own, nothing that keeps half a stack; values that may be."""
    one = CONFIGURATIONS[configuration]
    stack_name, parameters, more = TOLD[configuration]

    assert {"stack_name": stack_name} == one["global"]["parameters"]
    # `sam delete` deletes what lies under the prefix, and the script that a job of another stack would read there.
    assert ALWAYS | {"s3_prefix": stack_name} | more == {
        name: value for name, value in one["deploy"]["parameters"].items() if name != "parameter_overrides"
    }
    assert parameters == overrides(configuration)
    for name, value in parameters.items():
        declared = PARAMETERS[name]
        assert re.fullmatch(declared.get("AllowedPattern", ".*"), value)
        assert value in map(str, declared.get("AllowedValues", [value]))
    assert one.keys() <= {"global", "deploy", "local_invoke"}


def test_sam_local_pretends_to_be_the_stack_of_the_events() -> None:
    """Its bucket and machine are those that the files of events/ and the tests name."""
    given = CONFIGURATIONS["default"]["local_invoke"]["parameters"]["parameter_overrides"]
    told = dict(one.split("=", 1) for one in shlex.split(given))

    for path in (REPOSITORY / "events").glob("*.json"):
        assert f'"{told["SourceBucketName"]}"' in path.read_text(), path.name
    assert re.fullmatch(PARAMETERS["StateMachineArn"]["AllowedPattern"], told["StateMachineArn"])
    assert told == {"SourceBucketName": BUCKET, "StateMachineArn": MACHINE}
