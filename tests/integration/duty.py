"""A stack with all kinds of routes: one gathers, two wait for a set, some expect, one starts another team's machine."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from artifact.route_files import packed_module, read_routes
from local import stack as local_stack
from local.emulator.process import ACCOUNT, REGION, Emulator
from tests.integration.stacks import SECONDS, Arrivals
from tests.unit.resolved import OTHER, written_out

NAME = "onduty"
JOB = "onduty-jb"
ANOTHER = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:another-teams"
# A deadline of a moment ago, and of the same moment a day before.
PASSED = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
BY = f"{PASSED.minute} {PASSED.hour} * * *"
DAY = (PASSED - timedelta(days=1)).strftime("%Y-%m-%d")
EXPECT = f'[expect]\ncaptures = {{ dt = "%Y-%m-%d" }}\nby = "{BY}"\nlag = "P1D"\n'
EXPECTING = {
    "late": EXPECT,
    "there": EXPECT,
    "two": EXPECT + "at_least = 2\n",
    "asleep": "paused = true\n" + EXPECT,
    "same": f'[expect]\nby = "{BY}"\n',
    "later": EXPECT + f"since = {datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}\n",
    "never": EXPECT,
}
ROUTES = {
    "tenants": """
match = "raw/tenants/{tenant}/{file}.csv"
target = "curated/{tenant}"
[parameters]
TENANT = "{tenant}"
""",
    "hourly": f"""
match = "raw/hourly/{{day}}/{{file}}.csv"
target = "curated/hourly/{{day}}"
window_seconds = {SECONDS}
""",
    "sales": """
match = "raw/sales/dt={dt}/{file}.csv"
target = "curated/sales/dt={dt}"
capacity = [{ up_to = "10 B", dpus = 3 }, { dpus = 7 }]
[parameters]
DAY = "{dt}"
FILE = "{file}"
""",
    "orders": """
match = "raw/orders/{day...}/_SUCCESS"
source = "raw/orders/{day}/"
accept_empty = true
job_name = "orders-jb"
target = "curated/orders/{day}"
""",
    "close": """
match = ["raw/close/{day}/orders.csv", "raw/close/{day}/lines.csv"]
target = "curated/close/{day}"
[set]
each = true
settle_seconds = 1
""",
    "readings": """
match = "raw/readings/{day}/{file}.csv"
source = "raw/readings/{day}/"
target = "curated/readings/{day}"
[set]
at_least = 3
settle_seconds = 1
""",
    "others": """
match = "raw/{all...}"
priority = -1
job_name = "others"
target = "misc"
state_machine_arn = "another-teams"
""",
    **{
        name: f'match = "raw/{name}/{{dt}}/{{file}}.csv"\ntarget = "curated/{name}"\n{text}'
        for name, text in EXPECTING.items()
    },
}
# What only a stack with a bucket and a job of its own has; all else differs in test_arrivals.py.
CHANGED = ("GlueMaxCapacityDpus", "GlueMaxConcurrentRuns", "SourceKmsKeyArn", "TargetPrefix")


def deploy(cloud: Emulator, folder: Path) -> Arrivals:
    for name, text in ROUTES.items():
        job = "" if "job_name" in text else f'job_name = "{JOB}"\n'
        Path(folder, f"{name}.toml").write_text(job + text)
    parameters = {
        "SourcePrefix": "raw/",
        "JobName": JOB,
        "RouteStateMachineArns": ANOTHER,
        "RouteJobArns": f"arn:aws:glue:{REGION}:{ACCOUNT}:job/orders-jb",
        **{name: written_out(OTHER[name]) for name in CHANGED},
    }
    stack = local_stack.deploy(cloud, NAME, parameters, routes=packed_module(read_routes(folder)))
    glue, states = stack.client("glue"), stack.client("stepfunctions")
    made = glue.get_job(JobName=JOB)["Job"]
    glue.create_job(Name="orders-jb", Role=made["Role"], Command=made["Command"])
    role = states.describe_state_machine(stateMachineArn=stack.outputs["StateMachineArn"])["roleArn"]
    done = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    states.create_state_machine(name="another-teams", definition=done, roleArn=role)
    return Arrivals(stack)
