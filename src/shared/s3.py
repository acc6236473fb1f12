"""The gate to S3: what is stored under a key, now."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shared.arrival import ObjectCreated, Skip, SkipReason, real_version
from shared.aws import call, code_of
from shared.plan import StoredObject

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# 404: no such key or version; 405: the version asked for is a delete marker. A HEAD has no body to say it in words.
GONE = frozenset({"404", "405"})


def read_object(s3: "S3Client", created: ObjectCreated) -> StoredObject | Skip:
    """Ask S3 for the object that was announced, that very version where the event named one.

    Raises PermanentCallError or RetryableCallError.
    """
    version = {"VersionId": created.version_id} if created.version_id else {}
    with call("HeadObject", f"s3://{created.bucket}/{created.key!a}"):
        try:
            head = s3.head_object(
                Bucket=created.bucket,
                Key=created.key,
                ExpectedBucketOwner=created.account,
                **version,  # type: ignore[arg-type]
            )
        except ClientError as error:
            if code_of(error) in GONE:
                return Skip(SkipReason.OBJECT_GONE, "deleted, or replaced by a delete marker, before its event came")
            raise
    return StoredObject(
        bucket=created.bucket,
        key=created.key,
        version_id=real_version(head.get("VersionId")),
        etag=head["ETag"].strip('"'),
        last_modified=head["LastModified"],
        size=head["ContentLength"],
    )


def read_map_results(s3: "S3Client", results: Any) -> Iterator[Any]:
    """Read the output of every child of a Distributed Map, file by file, as its ResultWriter stored them.

    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
    Raises PermanentCallError or RetryableCallError.
    """
    details = results["ResultWriterDetails"]
    manifest = _read_json(s3, details["Bucket"], details["Key"])
    for file in manifest["ResultFiles"]["SUCCEEDED"]:
        for child in _read_json(s3, details["Bucket"], file["Key"]):
            yield json.loads(child["Output"])


def _read_json(s3: "S3Client", bucket: str, key: str) -> Any:
    with call("GetObject", f"s3://{bucket}/{key!a}"):
        return json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
