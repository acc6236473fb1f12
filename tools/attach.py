"""Find the obstacles for a stack at an existing bucket: `arrivals attach BUCKET [--machine ARN]`. It only reads."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from shared.gates.aws import code_of
from tools.answer import Answer, Listing
from tools.cloud import Cloud, NotKnownError

NONE = "NoSuchConfiguration"


class Finding(NamedTuple):
    """One result of the look; `to_do` is empty if there is nothing to do."""

    what: str
    found: str
    to_do: str = ""


@dataclass(frozen=True, slots=True)
class Met:
    """All findings, and the parameters to deploy with."""

    findings: list[Finding]
    parameters: dict[str, str]


def ask(cloud: Cloud, bucket: str, machine: str | None) -> Met:
    """Look at the bucket, and at the state machine to start."""
    account = cloud.client("sts").get_caller_identity()["Account"]
    s3, region = cloud.client("s3"), cloud.session.region_name
    findings = [_reach(s3, bucket, account, region)]
    parameters = {"SourceBucketName": bucket}
    if not findings[0].to_do:
        key = _key(s3, bucket)
        findings += [_events(s3, bucket), *_wiring(s3, bucket), key, _versions(s3, bucket), *_trails(cloud, bucket)]
        if key.to_do:
            parameters["SourceKmsKeyArn"] = key.found
    if machine:
        findings.append(_machine(cloud, machine, account, region))
        parameters["StateMachineArn"] = machine
    return Met(findings, parameters)


def _reach(s3: Any, bucket: str, account: str, region: str) -> Finding:
    """Check that the bucket exists, in the caller's account and region."""
    try:
        answer = s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        code = code_of(error)
        if code in {"404", "NoSuchBucket"}:
            return Finding("bucket", "there is none of that name", "check the name, without s3://")
        if code in {"301", "400", "PermanentRedirect", "AuthorizationHeaderMalformed"}:
            return Finding("bucket", f"it is not in {region}", "deploy the stack in the bucket's own region")
        if code in {"403", "AccessDenied"}:
            return Finding(
                "bucket",
                f"account {account} may not look at it",
                "deploy with the account that owns it, or get s3:ListBucket",
            )
        raise
    there = answer.get("BucketRegion") or answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", region)
    if there != region:
        return Finding("bucket", f"in {there}", f"deploy the stack in {there}: --region {there}")
    return Finding("bucket", f"in {there}, of account {account}")


def _events(s3: Any, bucket: str) -> Finding:
    on = "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=bucket)
    how = "turn on EventBridge in the bucket's properties; its other notifications stay"
    return Finding("events", "EventBridge is on") if on else Finding("events", "EventBridge is off", how)


def _wiring(s3: Any, bucket: str) -> list[Finding]:
    """Name the notifications that the bucket sends already: they go on beside the stack."""
    told = s3.get_bucket_notification_configuration(Bucket=bucket)
    arns = [
        one[arn]
        for name, arn in (
            ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
            ("QueueConfigurations", "QueueArn"),
            ("TopicConfigurations", "TopicArn"),
        )
        for one in told.get(name, [])
    ]
    advice = "if it starts the same work, switch it off when the stack takes over, and say when by BackfillFrom"
    return [Finding("wired already", arn, advice) for arn in arns]


def _key(s3: Any, bucket: str) -> Finding:
    try:
        rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if code_of(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        rules = []
    for rule in rules:
        if arn := rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID"):
            return Finding("key", arn, "deploy with SourceKmsKeyArn (an ARN of the key, not of an alias)")
    return Finding("key", "none of its own")


def _versions(s3: Any, bucket: str) -> Finding:
    on = s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"
    off = "off: if an object is overwritten before its event is handled, only the newer one is started"
    return Finding("versions", "on: each is an upload of its own" if on else off)


def _trails(cloud: Cloud, bucket: str) -> list[Finding]:
    """Name the trails that log the bucket's writes, by basic selectors; advanced ones are only counted."""
    trails = cloud.client("cloudtrail")
    wanted = (f"arn:aws:s3:::{bucket}/", "arn:aws:s3")
    logging, advanced = [], []
    for trail in trails.describe_trails(includeShadowTrails=False)["trailList"]:
        selected = trails.get_event_selectors(TrailName=trail["TrailARN"])
        resources = [one for each in selected.get("EventSelectors", []) for one in each.get("DataResources", [])]
        values = [value for one in resources if one["Type"] == "AWS::S3::Object" for value in one["Values"]]
        if any(
            f"arn:aws:s3:::{bucket}/".startswith(value.replace("arn:aws-cn", "arn:aws")) or value in wanted
            for value in values
        ):
            logging.append(trail["Name"])
        if selected.get("AdvancedEventSelectors"):
            advanced.append(trail["Name"])
    if logging:
        return [Finding("trail", f"{', '.join(logging)}: its events are duplicates beside the native ones")]
    if advanced:
        return [Finding("trail", f"{', '.join(advanced)} may log its uploads (advanced selectors are not read)")]
    return [Finding("trail", "none that logs its uploads; native events need none")]


def _machine(cloud: Cloud, machine: str, account: str, region: str) -> Finding:
    unqualified = ":".join(machine.split(":")[:7])
    try:
        described = cloud.client("stepfunctions").describe_state_machine(stateMachineArn=unqualified)
    except ClientError as error:
        if code_of(error) in {"StateMachineDoesNotExist", "InvalidArn", "ValidationException"}:
            return Finding("machine", f"none in {region}: {machine}", "check the ARN")
        raise
    if described["type"] == "EXPRESS":
        return Finding(
            "machine",
            "it is Express",
            "make a Standard one: the names of Express executions keep nothing from starting twice",
        )
    if unqualified.split(":")[4] != account:
        return Finding("machine", f"of account {unqualified.split(':')[4]}", "use one of the bucket's own account")
    return Finding("machine", f"{described['name']}, Standard")


def tell(met: Met) -> Answer:
    """Return the findings and the command to deploy."""
    told: list[str | Listing] = [Listing(("WHAT", "FOUND", "TO DO"), [tuple(one) for one in met.findings])]
    parameters = " ".join(f"{name}={value}" for name, value in met.parameters.items())
    told += ["", f"Deploy with  --parameter-overrides {parameters}"]
    told.append("             and BackfillFrom=TIME, when this stack takes over: before it, no backfill runs by itself")
    data = {"findings": [one._asdict() for one in met.findings], "parameters": met.parameters}
    return Answer(told, data, to_do=any(one.to_do for one in met.findings))


def check_name(bucket: str) -> str:
    """Return the name of a bucket.

    Raises NotKnownError if it can't be one.
    """
    if not bucket or "/" in bucket or ":" in bucket:
        raise NotKnownError(f"{bucket!a} names no bucket: write its name alone, without s3://.")
    return bucket
