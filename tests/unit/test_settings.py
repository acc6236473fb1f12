"""What the functions read of their environment, and of the routes that were packed into the artifact."""

import re

import pytest

from artifact.pack import pack
from shared.domain import packed
from shared.domain.errors import SettingsError
from shared.gates.settings import read_stack, trace_header
from tests.unit.builders import ENVIRONMENT, route, stack


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"JOB_NAME": None}, "JOB_NAME: Field required"),
        (
            {"SOURCE_BUCKET_NAME": None, "WINDOW_SECONDS": "soon"},
            (
                "SOURCE_BUCKET_NAME: Field required; "
                "WINDOW_SECONDS: Input should be a valid integer, unable to parse string as an integer"
            ),
        ),
    ],
)
def test_a_wrong_environment_is_refused_whole(changes: dict[str, str | None], wrong: str) -> None:
    """All that is wrong is said at once, by the names that the template sets."""
    said = f"The environment is incomplete. {wrong}. template.yaml sets these variables."

    with pytest.raises(SettingsError, match=f"^{re.escape(said)}$"):
        read_stack({name: value for name, value in (ENVIRONMENT | changes).items() if value is not None})


def test_without_route_files_the_parameters_are_the_route() -> None:
    """Every one of them, with numbers as numbers."""
    read = read_stack(ENVIRONMENT)

    assert stack() == read
    assert not read.table


def test_packed_routes_are_the_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the artifact holds, beside the parameters, which bound them."""
    sales = route("raw/{file}", name="sales")
    monkeypatch.setattr(packed, "ROUTES", pack([sales]))

    read = read_stack(ENVIRONMENT)

    assert [sales] == read.table.routes
    assert stack(table=read.table) == read


def test_the_trace_header_is_the_invocations() -> None:
    """Read again each time, since the runtime sets it for each invocation."""
    assert trace_header({}) is None
    assert trace_header({"_X_AMZN_TRACE_ID": ""}) is None
    assert "Root=1" == trace_header({"_X_AMZN_TRACE_ID": "Root=1"})
