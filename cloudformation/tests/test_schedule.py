"""What the deployed stack starts, started: the real program with the task definition's command line and environment,
against a simulated Region with the clusters, the documents, the configuration and the lease table that the stack names.

The task definitions are read from moto, as ECS would read them. moto's CloudFormation does not make the schedule: its
target is the template's, worked out with the ids of what moto made, handed to EventBridge Scheduler's own API and read
back from there. What Amazon ECS adds to a task's environment is added here (ECS developer guide, "Amazon ECS environment
variables"), the credentials' address as one on the loopback interface. What Fargate is for stays out: the container, its
user and its network.
"""

import http.server
import json
import re
import signal
import subprocess
from dataclasses import dataclass

import boto3
import pytest

from cloud import REGION, Cloud, create, create_schedule, run_task
from conftest import ROOT, moto_server, program, serving, template
from resolve import ACCOUNT, resolve
from test_fleet import HUB, Accounts, machine

CONFIG = "/ecs-updater/config"
# Simulated seconds in a second.
SCALE = 60
# Seconds that a started task may take.
PATIENCE = 240
SCENARIO = """
clusters = ["web", "batch"]

[region]
name = "{region}"
account = "{account}"

[parameters]
"{config}" = '''
[[cluster]]
name = "web"

[[cluster]]
name = "batch"
target = "1.27.0"
'''

[tables]
"{table}" = "lease"

[repository]
versions = ["1.26.1", "1.27.0", "1.28.0"]

[[instances]]
cluster = "web"

[[instances]]
cluster = "batch"

[[service]]
name = "logs"
cluster = "web"
kind = "DAEMON"
"""


@dataclass
class Started:
    """What ECS is told to start: a task definition and what overrides it."""

    definition: str
    overrides: list

    def container(self, cloud):
        """The container as it would run."""
        task = cloud("ecs").describe_task_definition(taskDefinition=self.definition)["taskDefinition"]
        (container,) = task["containerDefinitions"]
        environment = {entry["name"]: entry["value"] for entry in container["environment"]}
        command = container["command"]
        for override in self.overrides:
            assert override["name"] == container["name"]
            command = override.get("command", command)
            environment |= {entry["name"]: entry["value"] for entry in override.get("environment", [])}
        return command, environment

    def run(self, cloud, address, credentials):
        """Starts it beside the simulated Region, and waits for its end."""
        command, environment = self.container(cloud)
        (entry,) = re.findall(r"^ENTRYPOINT (.*)$", (ROOT.parent / "ecs-updater" / "Dockerfile").read_text(), re.M)
        (entry,) = json.loads(entry)
        added = {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": credentials,
            "AWS_ENDPOINT_URL": address,
        }
        assert not set(added) & set(environment)
        return subprocess.run(
            [program(entry.removeprefix("/usr/bin/")), *command],
            env=environment | added,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )


class Credentials(http.server.BaseHTTPRequestHandler):
    """The endpoint at which a task fetches the credentials of its role."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        body = {"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"}
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


class Region:
    """`fleet-sim serve`, until it is closed; then what it has to say."""

    def __init__(self, path):
        command = ["serve", path, "--listen", "127.0.0.1:0", "--time-scale", str(SCALE), "--for", "15m"]
        self.process = subprocess.Popen([program("fleet-sim"), *command], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith(f"serving {path} at http://127.0.0.1:"), line
        self.address = line.split()[-1]

    def client(self, service):
        keys = {"aws_access_key_id": "simulated", "aws_secret_access_key": "simulated"}
        return boto3.client(service, endpoint_url=self.address, region_name=REGION, **keys)

    def instances(self, cluster):
        """Status and claim of each instance of a cluster, as AWS shows them."""
        ecs, ec2 = self.client("ecs"), self.client("ec2")
        arns = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
        found = ecs.describe_container_instances(cluster=cluster, containerInstances=arns)["containerInstances"]
        for instance in found:
            described = ec2.describe_instances(InstanceIds=[instance["ec2InstanceId"]])
            (machine,) = described["Reservations"][0]["Instances"]
            tags = {tag["Key"]: tag["Value"] for tag in machine.get("Tags", [])}
            yield instance["status"], tags.get("ecs-updater:claim")

    def close(self):
        """The calls that were made, by operation; no rule was broken, and all that was asked for is modelled."""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        assert not re.search("rule broken|not modelled", said), said
        return {operation: int(count) for count, operation in re.findall(r"^ *(\d+) (\w+:\w+)$", said, re.M)}


@pytest.fixture(scope="module")
def cloud():
    with moto_server() as url:
        cloud = Cloud(url)
        cloud("ecs").create_cluster(clusterName="web")
        given = {"StandaloneTasks": "stop", "ConfigParameter": CONFIG, "MaxDuration": "4h"}
        create(cloud, "ecs-updater", (ROOT / "ecs-updater.json").read_text(), **given)
        yield cloud


@pytest.fixture
def region(cloud, tmp_path):
    table = cloud.resources("ecs-updater")["LeaseTable"]
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO.format(region=REGION, account=ACCOUNT, config=CONFIG, table=table))
    region = Region(path)
    yield region
    region.process.kill()
    region.process.wait()


def scheduled(cloud):
    """What the schedule starts."""
    parameters = {pair["ParameterKey"]: pair["ParameterValue"] for pair in cloud.parameters(ConfigParameter=CONFIG)}
    made = cloud.resources("ecs-updater")
    properties = resolve(template(), parameters, made=made)["Resources"]["Schedule"]["Properties"]
    create_schedule(cloud, properties)
    target = cloud("scheduler").get_schedule(Name="ecs-updater", GroupName="ecs-updater")["Target"]
    assert target["Arn"] == f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web"
    started = target["EcsParameters"]
    assert (started["LaunchType"], started["TaskCount"]) == ("FARGATE", 1)
    assert started["TaskDefinitionArn"] == made["TaskDefinition"]
    network = started["NetworkConfiguration"]["awsvpcConfiguration"]
    assert (network["Subnets"], network["SecurityGroups"]) == (cloud.subnets, [made["SecurityGroup"]])
    # A target's input is the task's overrides.
    overrides = json.loads(target.get("Input", "{}"))
    return Started(started["TaskDefinitionArn"], overrides.get("containerOverrides", []))


def by_hand(cloud, output):
    """What the command of an output starts. moto's RunTask fails on a task definition whose containers have no memory of
    their own, so the command's options are read here."""
    outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in cloud.stack("ecs-updater")["Outputs"]}
    options = run_task(outputs[output])
    assert options.pop("--region") == REGION
    place = json.loads(cloud("ssm").get_parameter(Name="/ecs-updater/EcsUpdater/run")["Parameter"]["Value"])
    assert place.pop("networkConfiguration")["awsvpcConfiguration"] == {
        "subnets": cloud.subnets,
        "securityGroups": [cloud.resources("ecs-updater")["SecurityGroup"]],
        "assignPublicIp": "DISABLED",
    }
    # An option wins over the input.
    family = options.pop("--task-definition", place.pop("taskDefinition"))
    overrides = []
    if given := options.pop("--overrides", None):
        # The short form of the AWS CLI.
        name, command = re.fullmatch(r"containerOverrides=\[{name=([\w-]+),command=\[(.+)\]}\]", given).groups()
        overrides = [{"name": name, "command": command.split(",")}]
    assert (place, options) == ({"cluster": "web", "launchType": "FARGATE"}, {})
    # A family is its latest revision, to ECS as to moto.
    task = cloud("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]
    return Started(task["taskDefinitionArn"], overrides)


def by_the_fleet(cloud, cluster):
    """What the fleet's state machine starts for a cluster."""

    class Recorded(Accounts):
        def run_task(self, parameters, role):
            self.parameters = parameters
            return super().run_task(parameters, role)

    accounts = Recorded({(HUB, "test"): [cluster]})
    machine(accounts, Waves="test").run()
    (override,) = accounts.parameters["Overrides"]["ContainerOverrides"]
    environment = [{"name": entry["Name"], "value": entry["Value"]} for entry in override["Environment"]]
    return Started(accounts.parameters["TaskDefinition"], [{"name": override["Name"], "environment": environment}])


def outcomes(report):
    return {
        cluster["cluster"]: sorted(
            (instance["outcome"], instance["from"], instance["to"]) for instance in cluster["instances"]
        )
        for cluster in report["clusters"]
    }


WRITES = {
    "ecs:UpdateContainerInstancesState",
    "ecs:StopTask",
    "ecs:TagResource",
    "ec2:CreateTags",
    "ec2:DeleteTags",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
}


def test_a_dry_run_by_hand_plans_and_writes_nothing(cloud, region):
    with serving(Credentials) as address:
        ran = by_hand(cloud, "PlanNow").run(cloud, region.address, f"{address}/credentials")
    assert ran.returncode == 0, ran
    assert f"Cluster web ({REGION}, account {ACCOUNT}): 1 instance" in ran.stdout
    assert f"Cluster batch ({REGION}, account {ACCOUNT}): 1 instance" in ran.stdout
    assert "1.26.1 → 1.28.0" in ran.stdout
    assert "1.26.1 → 1.27.0" in ran.stdout, "batch by its own table in the configuration"
    assert "Plan: 2 to update" in ran.stdout
    assert set(region.instances("web")) == {("ACTIVE", None)}
    calls = region.close()
    assert calls["ssm:GetParameter"] == 1
    assert not WRITES & set(calls), calls


def test_doctor_by_hand_checks_the_prerequisites_and_writes_nothing(cloud, region):
    with serving(Credentials) as address:
        ran = by_hand(cloud, "DoctorNow").run(cloud, region.address, f"{address}/credentials")
    assert ran.returncode in (0, 1), ran
    for cluster in ("web", "batch"):
        assert f"Cluster {cluster} ({REGION}, account {ACCOUNT}): 1 host" in ran.stdout, ran
    assert "permission" in ran.stdout and "AWS does not permit" not in ran.stdout, ran.stdout
    assert "no lease table is set" not in ran.stdout, ran.stdout
    assert not WRITES & set(region.close())


def test_the_schedule_starts_what_updates_the_clusters(cloud, region):
    schedule = scheduled(cloud)
    assert schedule == by_hand(cloud, "RunNow")
    with serving(Credentials) as address:
        ran = schedule.run(cloud, region.address, f"{address}/credentials")
    assert ran.returncode == 0, ran
    assert outcomes(json.loads(ran.stdout)) == {
        "web": [("updated", "1.26.1", "1.28.0")],
        "batch": [("updated", "1.26.1", "1.27.0")],
    }
    for line in ran.stderr.splitlines():
        json.loads(line)
    assert list(region.instances("web")) == [("ACTIVE", None)]
    assert list(region.instances("batch")) == [("ACTIVE", None)]
    calls = region.close()
    assert calls["ssm:GetParameter"] == 1
    assert calls["dynamodb:UpdateItem"] >= 4, "both clusters' leases are taken and given back"


def test_the_fleet_starts_what_updates_one_cluster_and_no_other(cloud, region):
    with serving(Credentials) as address:
        ran = by_the_fleet(cloud, "batch").run(cloud, region.address, f"{address}/credentials")
    assert ran.returncode == 0, ran
    assert outcomes(json.loads(ran.stdout)) == {"batch": [("updated", "1.26.1", "1.27.0")]}
    assert list(region.instances("batch")) == [("ACTIVE", None)]
    calls = region.close()
    assert calls["ecs:UpdateContainerInstancesState"] == 2, "one drained, and set ACTIVE"

    # And the fleet understands what the run wrote.
    accounts = Accounts({(HUB, "test"): ["batch"]})
    accounts.lines = lambda _: ran.stderr.splitlines()
    assert machine(accounts, Waves="test").run() == [{"wave": "test", "clusters": 1, "skipped": []}]
    assert accounts.reads == 1
