"""The stacks: the template as it is, on the local cloud or with `--stack NAME` in an account; and one with routes."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from local import stack as local_stack
from local.emulator import process
from local.stack import Stack
from tests.integration import account
from tests.integration import duty as on_duty
from tests.integration.stacks import PACE, PREFIX, Arrivals, Pace

# Retries and waits are far shorter than on AWS, and few functions run side by side on two cores.
QUICK = {
    "SFN_WAIT_SCALE": "0.003",
    "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.1",
    "GLUE_RUN_SECONDS": "0.1",
    "LAMBDA_MAX_WORKERS": "2",
}
ON_DUTY = {"test_command", "test_expectations", "test_routes"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", default="", help="a stack in your account, made for these tests: make e2e STACK=…")
    parser.addoption("--yes", action="store_true", help="do what the plan says")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a stack that is not made for this; say what will be done and cost, and ask."""
    if name := session.config.getoption("--stack"):
        account.confirm(Stack(name, account.Account(), {}), agreed=session.config.getoption("--yes"))
        vars(PACE).update(patience=1_200, quiet=30, pause=5, settle=60, archive=600, many=5, batches=1)
        if account.is_local():
            vars(PACE).update(vars(Pace()) | {"many": 5, "batches": 1})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if config.getoption("--stack") and (mark := item.get_closest_marker("local_only")):
            item.add_marker(pytest.mark.skip(reason=f"needs the local cloud: {mark.args[0]}"))


class ByStack(LoadScopeScheduling):  # type: ignore[misc]
    """Run the tests of a stack, or of an emulator, one after the other in one process: rules are turned off and on."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        return "on duty" if path.stem in ON_DUTY else path.parent.name


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return ByStack(config, log)


@pytest.fixture(scope="session")
def cloud() -> Iterator[process.Emulator]:
    with process.start(log=Path(".local") / "integration.log", settings=QUICK) as running:
        yield running


@pytest.fixture(scope="session")
def arrivals(request: pytest.FixtureRequest) -> Iterator[Arrivals]:
    if name := request.config.getoption("--stack"):
        stack = account.open_stack(name)
        yield Arrivals(stack)
        print(f"\n{account.clean(stack)} objects and versions deleted; executions and log lines stay.")
    else:
        yield Arrivals(local_stack.deploy(request.getfixturevalue("cloud")))


@pytest.fixture(autouse=True)
def nothing_failed_before(request: pytest.FixtureRequest) -> None:
    stack: Arrivals = request.getfixturevalue("duty" if request.path.stem in ON_DUTY else "arrivals")
    stack.forget_failures()


@pytest.fixture
def trail(arrivals: Arrivals, key: str) -> Iterator[None]:
    name = key.split("/")[-2]
    local_stack.start_trail(arrivals.stack, name)
    yield
    arrivals.client("cloudtrail").delete_trail(Name=name)


@pytest.fixture
def sources(request: pytest.FixtureRequest) -> set[str]:
    if request.config.getoption("--stack"):
        return {"native"}
    request.getfixturevalue("trail")
    return {"native", "cloudtrail"}


@pytest.fixture
def inbox(arrivals: Arrivals) -> Iterator[str]:
    name, topics = f"{arrivals.stack.name}-inbox", ("SuccessTopic", "FailureTopic")
    url = local_stack.subscribe_queue(arrivals.stack, name, *topics)
    yield url
    sns = arrivals.client("sns")
    for topic in map(arrivals.stack.physical_id, topics):
        for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
            if one["Endpoint"].endswith(f":{name}"):
                sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    arrivals.client("sqs").delete_queue(QueueUrl=url)


@pytest.fixture
def key() -> str:
    return f"{PREFIX}{uuid.uuid4().hex}/green_tripdata.csv"


@pytest.fixture(scope="session")
def duty(cloud: process.Emulator, tmp_path_factory: pytest.TempPathFactory) -> Arrivals:
    return on_duty.deploy(cloud, tmp_path_factory.mktemp("routes"))


@pytest.fixture
def folder() -> str:
    return f"raw/hourly/{uuid.uuid4().hex}/"
