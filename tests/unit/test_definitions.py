"""What the state machines must be for AWS's own features to work on them."""

from tests.unit.builders import states


def test_a_failed_run_can_be_redriven() -> None:
    """A redrive goes on at the state that failed. A Catch would end the execution in another one, past the Glue run."""
    caught = {name for name, state in states("workflow").items() if "Catch" in state or state["Type"] == "Fail"}
    glue = [state for state in states("workflow").values() if ":glue:startJobRun.sync" in state.get("Resource", "")]

    assert set() == caught
    assert 1 == len(glue)


def test_a_failed_batch_can_be_redriven() -> None:
    """So that a redrive of the backfill runs only the children that failed, and one failed child is too many."""
    [batches] = [state for state in states("backfill").values() if state["Type"] == "Map"]

    assert [] == [field for field in batches if field == "Catch" or field.startswith("ToleratedFailure")]
    assert "STANDARD" == batches["ItemProcessor"]["ProcessorConfig"]["ExecutionType"]


def test_an_incident_looks_for_seven_days_within_its_history() -> None:
    """Every quarter of an hour, all tries of each look failing: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html."""
    incident = states("overdue")
    look, [wait] = incident["Look again"], [one for one in incident.values() if one["Type"] == "Wait"]
    [given_up] = [one for one in incident["Has it come?"]["Choices"] if "StartTime" in one["Condition"]]
    looks = 7 * 86_400 // wait["Seconds"]
    # Entered and left: the wait, the look, the choice. A try: scheduled, started, failed.
    events = looks * (3 * 2 + 3 * (1 + look["Retry"][0]["MaxAttempts"]))

    assert 900 == wait["Seconds"]
    assert f"+ {7 * 86_400_000} " in given_up["Condition"]
    assert events < 25_000 - 1_000


def test_a_look_that_fails_is_not_the_end_of_an_incident() -> None:
    """It found nothing; the next one comes. What was told before is not told again."""
    [caught] = states("overdue")["Look again"]["Catch"]

    assert "Has it come?" == caught["Next"]
    assert "{'state': 'missing'}" in caught["Output"]
