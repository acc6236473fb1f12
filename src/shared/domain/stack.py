"""The stack: its parameters, as a function reads them from its environment, and its routes."""

from typing import TYPE_CHECKING, Any, NamedTuple

from shared.domain.routes import NO_ROUTES, RouteTable

if TYPE_CHECKING:
    Table = RouteTable
else:
    Table = Any  # it does not come from the environment, so pydantic must not check it


class Stack(NamedTuple):
    """The template's parameters, and the table of the route files; capacity in DPUs (G.1X workers).

    `job_name`, `target_prefix` and `window_seconds` count only without route files; 0 seconds is no window.
    """

    account_id: str
    source_bucket_name: str
    source_prefix: str
    state_machine_arn: str
    job_name: str
    target_prefix: str
    glue_max_capacity_dpus: int
    window_seconds: int
    window_machine_arn: str
    results_bucket_name: str
    overdue_machine_arn: str
    table: Table = NO_ROUTES
