"""The gate to S3: objects, the bucket's region, listings, manifests, and the results of a Map Run."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shared.domain.arrival import ObjectCreated, StoredObject, real_version
from shared.domain.errors import ObjectDeniedError, SettingsError
from shared.gates.aws import call, code_of

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from shared.domain.windows import File, Listing

# 404: no such key or version, or a delete marker; 405: the version asked for is a delete marker. The answer to a HEAD
# has no body, so its code is the status.
GONE = frozenset({"404", "405"})
FORBIDDEN = "403"
# The bytes of a result file that are read at once.
CHUNK = 64 * 1024


def read_object(s3: "S3Client", created: ObjectCreated) -> StoredObject | None:
    """Ask S3 for the announced object; None if it is gone: deleted, or behind a delete marker.

    The first HEAD has no version id: a version behind a delete marker still answers, but no job could read its key. If
    another version than the announced one is current, a second HEAD asks for the announced version. So two versions,
    uploaded one after the other, are two uploads.
    Raises PermanentCallError or RetryableCallError.
    """
    stored = _head(s3, created, None)
    if stored and created.version_id not in (None, stored.version_id):
        stored = _head(s3, created, created.version_id)
    return stored


def _head(s3: "S3Client", created: ObjectCreated, version_id: str | None) -> StoredObject | None:
    version = {"VersionId": version_id} if version_id else {}
    with call("HeadObject", f"s3://{created.bucket}/{created.key!a}", denied=ObjectDeniedError):
        try:
            head = s3.head_object(
                Bucket=created.bucket,
                Key=created.key,
                ExpectedBucketOwner=created.account,
                **version,  # type: ignore[arg-type]
            )
        except ClientError as error:
            if code_of(error) in GONE:
                return None
            raise
    return StoredObject(
        bucket=created.bucket,
        key=created.key,
        version_id=real_version(head.get("VersionId")),
        etag=head["ETag"].strip('"'),
        last_modified=head["LastModified"],
        size=head["ContentLength"],
        content_type=head.get("ContentType"),
        # The names must be in lower case: two spellings would make two inputs for one name of an execution.
        metadata={name.lower(): value for name, value in head.get("Metadata", {}).items()},
    )


def check_bucket(s3: "S3Client", bucket: str, account: str) -> None:
    """Check that the bucket's events can reach this stack: it exists, in the stack's region and account.

    S3 names the bucket's region in every answer, and botocore then asks that region.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
    Raises SettingsError, PermanentCallError or RetryableCallError.
    """
    with call("HeadBucket", f"s3://{bucket}"):
        try:
            answer: Any = s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
            code = ""
        except ClientError as error:
            answer, code = error.response, code_of(error)
            if not (_region_of(answer) or code in GONE or code == FORBIDDEN):
                raise
    here, there = s3.meta.region_name, _region_of(answer)
    if there and there != here:
        raise SettingsError(
            f"Bucket {bucket} is in {there}, this stack in {here}: EventBridge delivers a bucket's events only in its "
            "own region. Deploy the stack there."
        )
    if code in GONE:
        raise SettingsError(f"Bucket {bucket} does not exist. Deploy with a SourceBucketName that does.")
    if code == FORBIDDEN:
        raise SettingsError(
            f"Bucket {bucket} belongs to another account than this stack ({account}), or the function's role or the "
            "bucket's policy denies s3:ListBucket. Deploy the stack in the account that owns the bucket, or allow it."
        )


def _region_of(answer: Any) -> str | None:
    region: str | None = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
    return region


def list_page(s3: "S3Client", listing: "Listing", token: str | None) -> tuple[list["File"], str | None]:
    """List a thousand names; return the files and the next page's token, or None.

    Raises PermanentCallError or RetryableCallError.
    """
    from shared.domain.windows import File  # noqa: PLC0415 - only windows and sets list

    how = {**({} if listing.deep else {"Delimiter": "/"}), **({"ContinuationToken": token} if token else {})}
    with call("ListObjectsV2", f"s3://{listing.bucket}/{listing.prefix!a}"):
        page = s3.list_objects_v2(
            Bucket=listing.bucket,
            Prefix=listing.prefix,
            ExpectedBucketOwner=listing.account,
            **how,  # type: ignore[arg-type]
        )
    files = [
        File(one["Key"], one["Size"], one["ETag"].strip('"'), int(one["LastModified"].timestamp()))
        for one in page.get("Contents", [])
    ]
    return files, page.get("NextContinuationToken")


def get_manifest(s3: "S3Client", bucket: str, key: str) -> bytes | None:
    """Read the manifest of a window or set; None if there is none yet.

    Raises PermanentCallError or RetryableCallError.
    """
    with call("GetObject", f"s3://{bucket}/{key!a}"):
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                return None
            raise


def put_manifest(s3: "S3Client", bucket: str, key: str, body: bytes) -> None:
    """Store the manifest of a window or set unless there is one: the first manifest stays.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    Raises PermanentCallError or RetryableCallError.
    """
    with call("PutObject", f"s3://{bucket}/{key!a}"):
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*")
        except ClientError as error:
            if code_of(error) != "PreconditionFailed":
                raise


def read_map_results(s3: "S3Client", results: Any) -> Iterator[Any]:
    """Read the outputs of a Distributed Map's children, line by line, as its ResultWriter stored them.

    The writer is set to JSONL and COMPACT: a line is one child's output. A Map without items may leave no details or no
    manifest; AWS does not document it. If a child or the writer failed, the Map itself fails, and this is not called.
    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
    Raises PermanentCallError or RetryableCallError.
    """
    details = results.get("ResultWriterDetails") if isinstance(results, dict) else None
    if not details:
        return
    bucket = details["Bucket"]
    manifest = _map_run_manifest(s3, bucket, details["Key"])
    for file in manifest["ResultFiles"]["SUCCEEDED"]:
        with call("GetObject", f"s3://{bucket}/{file['Key']!a}"):
            for line in s3.get_object(Bucket=bucket, Key=file["Key"])["Body"].iter_lines(CHUNK):
                yield json.loads(line)


def _map_run_manifest(s3: "S3Client", bucket: str, key: str) -> Any:
    with call("GetObject", f"s3://{bucket}/{key!a}"):
        try:
            return json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                return {"ResultFiles": {"SUCCEEDED": []}}
            raise
