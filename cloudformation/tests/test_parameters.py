"""What the stack's parameters take, the program takes: each value goes the way that the stack sends it, into the task's
environment, and the real program reads it. AWS is an endpoint that refuses everything, so that the program ends with code
3 once its settings are understood, and with 2 where they are not."""

import http.server
import json
import re
import subprocess

import pytest

from conftest import program, serving, template
from resolve import resolve

GIVEN = {
    "ClusterNames": "web",
    "Image": "public.ecr.aws/x1y2z3/ecs-updater:1.0.0",
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0",
}
# The ends of what each pattern takes; of the others all allowed values are tried.
VALUES = {
    "ClusterNames": ["web", "web,batch", "A-b_9" + "c" * 250],
    "MaxUnavailable": ["", "1", "999999", "1%", "100%"],
    "Target": ["", "latest", "1.27.0", "v1.27.0", "0.0.0", "1.27.0-rc.1+b.2", "ssm:/ecs-updater/approved/prod"],
    "MaxDuration": ["", "none", "1m", "90m", "14d"],
    "Windows": ["", "none", "Mon-Fri 02:00-05:00 Europe/Berlin", "Sat 00:00-24:00 UTC;Sun 01:00-02:00 UTC"],
    "DrainTimeout": ["", "30s", "20m", "14d"],
    # What has no parameter of its own.
    "Settings": [
        "",
        "zone = 'one-at-a-time', owner_lock = 'override', allow_downgrade = true, host = 'ssm', stop_after_failures = 2",
        'window_cutoff = "20m", window_wait = "1d", freeze = ["2026-12-20..2027-01-04 Europe/Berlin: holidays"]',
        'tags = ["target", "host", "documents.stage"],\ntimeouts.inspect = "30s"\ntimeouts.reboot = "8m"',
        "# nothing\n",
    ],
}
# Of those that a person types, what both refuse: a mistake is found when the stack is made, not in the night.
REFUSED = {
    "ClusterNames": ["", "arn:aws:ecs:eu-west-1:123456789012:cluster/web"],
    "MaxUnavailable": ["0", "0%", "101%", "1.5", "-1", "ten"],
    "Target": ["newest", "1.27", "1.27.0.0", "ssm:", "ssm:/ecs-updater/approved/a b"],
    "MaxDuration": ["4", "0h", "-1m"],
    "DrainTimeout": ["20", "0s", "soon", "none"],
}


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"__type":"AccessDeniedException","message":"no"}'
        self.send_response(400)
        self.send_header("content-type", "application/x-amz-json-1.1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def environment(parameter, value):
    """The task's environment with this parameter, and which of its variables the parameter fills."""

    def of(more):
        task = resolve(template(), GIVEN | more)["Resources"]["TaskDefinition"]
        (container,) = task["Properties"]["ContainerDefinitions"]
        return {entry["Name"]: entry["Value"] for entry in container["Environment"]}

    return of({parameter: value}), of({})


def takes(parameter, value):
    spec = template()["Parameters"][parameter]
    values = value.split(",") if spec["Type"] == "CommaDelimitedList" else [value]
    if "AllowedValues" in spec:
        return all(one in spec["AllowedValues"] for one in values)
    return all(re.search(spec["AllowedPattern"], one) for one in values)


def understood(given, address):
    access = {
        "AWS_ENDPOINT_URL": address,
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    command = [program("ecs-updater"), "run", "--output", "json", "--log-format", "json", "--no-progress"]
    ran = subprocess.run(command, env=given | access, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode in (2, 3), ran
    return ran.returncode == 3, ran.stderr


def settings():
    """The parameters that fill a variable of the task."""
    task = template()["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0]
    named = re.findall(r"'Ref': '(\w+)'", str(task["Environment"]))
    return [name for name in named if name in template()["Parameters"]]


@pytest.mark.parametrize("parameter", settings())
def test_what_the_stack_takes_the_program_takes(parameter):
    spec = template()["Parameters"][parameter]
    values = spec["AllowedValues"] if "AllowedValues" in spec else VALUES[parameter]
    with serving(Refusing) as address:
        for value in values:
            assert takes(parameter, value), value
            given, _ = environment(parameter, value)
            well, said = understood(given, address)
            assert well, (value, said)


@pytest.mark.parametrize("parameter", REFUSED)
def test_what_the_program_refuses_the_stack_refuses(parameter):
    with serving(Refusing) as address:
        for value in REFUSED[parameter]:
            assert not takes(parameter, value), value
            given, default = environment(parameter, value)
            (variable,) = [name for name in given if given[name] != default[name]]
            well, said = understood(given, address)
            assert not well, value
            assert value == "" or variable in said, (value, said)


@pytest.mark.parametrize(
    ("text", "place"),
    [("zone = 'nowhere'", ":1:8"), ("host = 'ssm',\nfrobnicate = 1", ":2:1"), ("host = ", ":1:8"), ("host", ":1:")],
)
def test_a_mistake_in_the_settings_is_named_with_its_place(text, place):
    """The stack takes any text."""
    with serving(Refusing) as address:
        given, _ = environment("Settings", text)
        well, said = understood(given, address)
    assert not well
    assert f"ECS_UPDATER_SETTINGS{place}" in said, said


def test_the_metrics_are_written_under_the_stacks_name():
    given, _ = environment("Settings", "")
    with serving(Refusing) as address:
        access = {"AWS_ENDPOINT_URL": address, "AWS_REGION": "eu-west-1"}
        key = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        resources = resolve(template(), GIVEN)["Resources"]
        (container,) = resources["TaskDefinition"]["Properties"]["ContainerDefinitions"]
        command = [program("ecs-updater"), *container["Command"]]
        ran = subprocess.run(command, env=given | access | key, capture_output=True, text=True, timeout=60, check=False)
    written = [json.loads(line) for line in ran.stderr.splitlines() if "_aws" in line]
    (of_the_run,) = [line for line in written if "Cluster" not in line]
    for name, resource in resources.items():
        if resource["Type"] == "AWS::CloudWatch::Alarm" and resource["Properties"]["Namespace"] == "EcsUpdater":
            (dimension,) = resource["Properties"]["Dimensions"]
            assert of_the_run[dimension["Name"]] == dimension["Value"], name
            (directive,) = of_the_run["_aws"]["CloudWatchMetrics"]
            assert directive["Namespace"] == "EcsUpdater"
            assert directive["Dimensions"] == [[dimension["Name"]]]
    assert of_the_run["AnotherRun"] == 0
