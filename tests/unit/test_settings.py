"""What the functions read of their environment, and of the routes that were packed into the artifact."""

import pytest

from artifact.pack import pack
from shared.domain import packed
from shared.domain.errors import SettingsError
from shared.gates.settings import read_stack, trace_header
from tests.unit.builders import ENVIRONMENT, route, stack


def test_a_wrong_environment_is_refused_whole() -> None:
    """All that is wrong is said at once, by the names that the template sets."""
    wrong = {name: value for name, value in ENVIRONMENT.items() if name != "SOURCE_BUCKET_NAME"}

    with pytest.raises(SettingsError) as caught:
        read_stack(wrong | {"WINDOW_SECONDS": "soon"})

    assert str(caught.value) == (
        "The environment is incomplete. SOURCE_BUCKET_NAME: Field required; "
        "WINDOW_SECONDS: Input should be a valid integer, unable to parse string as an integer. "
        "template.yaml sets these variables."
    )


def test_the_stack_is_the_parameters_and_the_packed_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers as numbers; without route files the parameters are the route."""
    plain = read_stack(ENVIRONMENT)
    sales = route("raw/{file}", name="sales")
    monkeypatch.setattr(packed, "ROUTES", pack([sales]))
    routed = read_stack(ENVIRONMENT)

    assert stack() == plain
    assert not plain.table
    assert [sales] == routed.table.routes
    assert stack(table=routed.table) == routed


def test_the_trace_header_is_the_invocations() -> None:
    """Read again each time, since the runtime sets it for each invocation."""
    environments: list[dict[str, str]] = [{}, {"_X_AMZN_TRACE_ID": ""}, {"_X_AMZN_TRACE_ID": "Root=1"}]

    assert [None, None, "Root=1"] == [trace_header(one) for one in environments]
