"""The stacks of samconfig.toml live side by side in one account: no two want the same name."""

import re
import shlex
import tomllib
from collections import Counter
from typing import Any

from tests.unit.builders import REPOSITORY
from tests.unit.resolved import PARAMETERS, stack

CONFIGURATIONS: dict[str, Any] = {
    name: one
    for name, one in tomllib.loads((REPOSITORY / "samconfig.toml").read_text()).items()
    if isinstance(one, dict)
}
# Properties that name a resource for the whole account and region.
NAMES = ("DashboardName", "LogGroupName", "Name", "RuleName")


def overrides(configuration: str) -> dict[str, str]:
    """Read the parameters that `sam deploy --config-env` sets."""
    given = CONFIGURATIONS[configuration]["deploy"]["parameters"].get("parameter_overrides", "")
    return dict(one.split("=", 1) for one in shlex.split(given))


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


def test_each_deploys_with_one_command() -> None:
    """Whatever `sam deploy` would ask for is answered, and production asks before it changes anything."""
    for name, one in CONFIGURATIONS.items():
        deploy = one["deploy"]["parameters"]
        assert (True, "CAPABILITY_IAM", False) == (
            deploy["resolve_s3"],
            deploy["capabilities"],
            deploy["fail_on_empty_changeset"],
        )
        assert (name == "prod") == deploy.get("confirm_changeset", False)
        assert overrides(name).keys() <= PARAMETERS.keys()


def test_what_each_keeps() -> None:
    """Development forgets after a week, production keeps a quarter of a year."""
    days = {"default": 30, "dev": 7, "prod": 90}
    for name, expected in days.items():
        resolved = stack(parameters=overrides(name))["Resources"]
        kept = {
            int(one["Properties"]["RetentionInDays"])
            for one in resolved.values()
            if one["Type"] == "AWS::Logs::LogGroup"
        }
        assert {expected} == kept | {int(resolved["Archive"]["Properties"]["RetentionDays"])}


def test_sam_local_pretends_to_be_the_stack_of_the_events() -> None:
    """Its bucket and machine are those that the files of events/ and the tests name."""
    given = CONFIGURATIONS["default"]["local_invoke"]["parameters"]["parameter_overrides"]
    told = dict(one.split("=", 1) for one in shlex.split(given))

    assert told["SourceBucketName"] in (REPOSITORY / "events" / "object-created-put.json").read_text()
    assert re.fullmatch(PARAMETERS["StateMachineArn"]["AllowedPattern"], told["StateMachineArn"])
    assert told["StateMachineArn"].endswith(":stateMachine:glueworkshop")
