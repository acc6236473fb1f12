"""Topics take what SNS takes."""

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import Cloud


@pytest.mark.parametrize(
    ("subject", "taken"),
    [("a" * 99, True), ("a" * 100, False), ("Zürich", False), ("a\nb", False), (" a", False), (None, True)],
)
def test_a_subject_is_short_and_ascii(cloud: Cloud, subject: str | None, taken: bool) -> None:  # noqa: FBT001
    """By the API and by a workflow's task alike; a message without a subject is fine."""
    topic = cloud.client("sns").create_topic(Name="topic")["TopicArn"]
    given = {"TopicArn": topic, "Message": "m"} | ({} if subject is None else {"Subject": subject})
    task = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Parameters": given, "End": True}

    if not taken:
        with pytest.raises(ClientError, match=r"InvalidParameter.*Subject"):
            cloud.client("sns").publish(**given)
    else:
        cloud.client("sns").publish(**given)
    assert ("SUCCEEDED" if taken else "FAILED") == cloud.run(cloud.machine({"Publish": task}))["status"]
