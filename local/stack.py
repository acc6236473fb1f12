"""Build the application and deploy its template to the local cloud, with the same commands as for AWS."""

import atexit
import functools
import importlib.util
import json
import os
import py_compile
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import boto3

from local.emulator.process import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping

# The output of `sam build` for the function of live events.
BUILD = REPOSITORY / ".aws-sam" / "build"
ARTIFACT = BUILD / "StartExecutionFunction"
# src/shared/domain/packed.py of an application without route files.
NO_ROUTES = "ROUTES = ()\n"
SAM = REPOSITORY / ".venv" / "sam" / "bin" / "sam"
PACKAGES = REPOSITORY / ".venv" / "dev" / "lib" / "python3.13" / "site-packages"
# `sam build` looks for python3.13 on the PATH, and a shim will not do.
PATH = f"{REPOSITORY / '.venv' / 'dev' / 'bin'}{os.pathsep}{os.environ['PATH']}"


class SamError(RuntimeError):
    """A SAM command failed; the message has the end of its output."""


class Where(Protocol):
    """The place of a stack: the local cloud, or an account that boto3 finds itself."""

    @property
    def endpoint_url(self) -> str | None:
        """The one address of all services; None for AWS's own."""

    @property
    def credentials(self) -> dict[str, str]:
        """The arguments of a boto3 client."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send an AWS tool there."""

    def __hash__(self) -> int:
        """Clients are made once for each."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack: its name and its outputs."""

    name: str
    cloud: Where
    outputs: "Mapping[str, str]"

    def client(self, service: str) -> Any:
        """Return the boto3 client for the cloud the stack lives in."""
        return client(self.cloud, service)

    def physical_id(self, logical_id: str) -> str:
        """Return the physical id of a resource by the name it has in the template."""
        described = self.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical_id
        )
        found: str = described["StackResourceDetail"]["PhysicalResourceId"]
        return found

    def can(self, role: str, action: str, resource: str) -> bool:
        """Return whether a role of the stack, by logical id, may do something, by the policies that were deployed.

        Of one action on one resource, by the role's own policies; resource policies are not asked.
        """
        arn = _role_arn(self.cloud, self.physical_id(role))
        answer = self.client("iam").simulate_principal_policy(
            PolicySourceArn=arn, ActionNames=[action], ResourceArns=[resource]
        )
        return bool(answer["EvaluationResults"][0]["EvalDecision"] == "allowed")


def build(*arguments: str | Path) -> None:
    """Run `sam build`.

    Raises SamError.
    """
    _sam(["build", *map(str, arguments)], {})


def deploy(
    cloud: Where,
    name: str = "glueworkshop",
    parameters: "Mapping[str, str] | None" = None,
    *more: str,
    routes: str = NO_ROUTES,
) -> Stack:
    """Run `sam deploy` on the local cloud and return the stack with its outputs.

    The stack has the routes of a module (artifact.route_files.packed_module), by default none, not those of
    src/routes/.
    Raises SamError.
    """
    template = ["--template-file", str(zipped(with_routes(routes, name)))]
    # It is looked for beside the template.
    template += ["--config-file", str(REPOSITORY / "samconfig.toml")]
    overrides = _overrides(parameters or {})
    _sam(["deploy", "--stack-name", name, "--s3-prefix", name, *template, *overrides, *more], cloud.environment)
    return read(cloud, name)


def again(first: Stack, name: str, parameters: "Mapping[str, str]", **tags: str) -> Stack:
    """Deploy the package of a stack again, under another name, with other parameters and tags.

    It takes a change of CloudFormation's and no SAM CLI, which needs some seconds to start.
    """
    formation, s3 = first.client("cloudformation"), first.client("s3")
    template = formation.get_template(StackName=first.name, TemplateStage="Original")["TemplateBody"]
    make_bucket(first.cloud, where := f"{name}-template")
    s3.put_object(Bucket=where, Key="template.yaml", Body=template.encode())
    formation.create_stack(
        StackName=name,
        TemplateURL=f"{first.cloud.endpoint_url}/{where}/template.yaml",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    waiter = formation.get_waiter("stack_create_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})
    return read(first.cloud, name)


def read(cloud: Where, name: str) -> Stack:
    """Return a stack that is there, with its outputs."""
    described = client(cloud, "cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return Stack(name, cloud, {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]})


def with_routes(module: str, name: str) -> Path:
    """Copy the functions' artifact and its template, by links, with other routes than its own; return the copy.

    It is as deep in the repository as the original, whose template has relative paths; and each process has its own,
    because tests deploy at the same time. It is deleted when the process ends.
    """
    copy = REPOSITORY / ".local" / f"build-{name}-{os.getpid()}"
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ARTIFACT, copy / ARTIFACT.name, copy_function=os.link)
    os.link(BUILD / "template.yaml", copy / "template.yaml")
    packed = copy / ARTIFACT.name / "shared" / "domain" / "packed.py"
    bytecode = Path(importlib.util.cache_from_source(str(packed), optimization=""))
    # Writing into a link would change the build.
    packed.unlink()
    bytecode.unlink(missing_ok=True)
    packed.write_text(module)
    py_compile.compile(
        str(packed), str(bytecode), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    add_native_modules(copy / ARTIFACT.name)
    return copy


def add_native_modules(artifact: Path) -> None:
    """Add this machine's native modules to Lambda's, if they differ: on macOS functions run here, too.

    They come from the developer's environment, which holds the same versions (tests/test_make.py).
    """
    for module in list(artifact.rglob("*.so")):
        here = module.with_name(module.name.partition(".")[0] + EXTENSION_SUFFIXES[0])
        if not here.exists():
            shutil.copy2(PACKAGES / here.relative_to(artifact), here)


def zipped(build: Path) -> Path:
    """Zip the functions' artifact once; return a template of this build in which all functions use that zip.

    `sam deploy` would zip the same files again for each function, which takes half of its time.
    """
    template = build / "template.yaml"
    folder, archive = build / ARTIFACT.name, build / "functions.zip"
    # The best compression would take twice as long.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as written:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            written.write(path, path.relative_to(folder))
    text = re.sub(r"(?m)^( +CodeUri: )\w+Function$", rf"\g<1>{archive.name}", template.read_text())
    # Writing into a link would change the build.
    template.unlink()
    template.write_text(text)
    return template


def make_bucket(cloud: Where, name: str) -> None:
    """Make a bucket that announces its objects, for a stack that is given one."""
    s3 = client(cloud, "s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": cloud.credentials["region_name"]})
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}})


def make_alias(cloud: Where, machine: str) -> str:
    """Publish a version of a state machine under the alias `live`, and return the alias's ARN."""
    states = client(cloud, "stepfunctions")
    version = states.publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"]
    route = {"stateMachineVersionArn": version, "weight": 100}
    arn: str = states.create_state_machine_alias(name="live", routingConfiguration=[route])["stateMachineAliasArn"]
    return arn


def start_trail(deployed: Stack, name: str) -> None:
    """Log S3 data events of the stack's bucket: CloudTrail then announces its uploads too."""
    trails, bucket = deployed.client("cloudtrail"), deployed.outputs["SourceBucketName"]
    resources = [{"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{bucket}/"]}]
    trails.create_trail(Name=name, S3BucketName=bucket)
    trails.put_event_selectors(
        TrailName=name, EventSelectors=[{"ReadWriteType": "WriteOnly", "DataResources": resources}]
    )
    trails.start_logging(Name=name)


def subscribe_queue(deployed: Stack, name: str, *topics: str) -> str:
    """Make a queue that gets the messages of some of the stack's topics, by logical id; return its URL."""
    sqs, sns = deployed.client("sqs"), deployed.client("sns")
    url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    for topic in topics:
        sns.subscribe(TopicArn=deployed.physical_id(topic), Protocol="sqs", Endpoint=arn)
    return url


@functools.cache
def client(cloud: Where, service: str, **credentials: str) -> Any:
    """Return the boto3 client for the local cloud, as root unless credentials say otherwise; it is made once."""
    who = {**cloud.credentials, **credentials}
    return boto3.client(service, endpoint_url=cloud.endpoint_url, **who)  # type: ignore[call-overload]


@functools.cache
def _role_arn(cloud: Where, name: str) -> str:
    arn: str = client(cloud, "iam").get_role(RoleName=name)["Role"]["Arn"]
    return arn


def _overrides(parameters: "Mapping[str, str]") -> list[str]:
    # SAM splits at blanks outside of quotes.
    given = [f'{name}="{value}"' if " " in value else f"{name}={value}" for name, value in parameters.items()]
    return ["--parameter-overrides", *given] if given else []


def _sam(arguments: list[str], environment: "Mapping[str, str]") -> None:
    ran = subprocess.run(  # noqa: S603 - our own arguments
        [str(SAM), *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": PATH, "SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.5", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SamError(f"sam {arguments[0]} failed: {ran.stdout[-1500:]}{ran.stderr[-3000:]}")
