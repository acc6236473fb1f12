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
