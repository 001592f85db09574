"""The templates before the linters, whose findings must be those of exceptions.yaml, no more and no fewer."""

import json
import logging
import os
import re
import subprocess
import sys
from functools import cache

import pytest
import yaml
from parliament import analyze_policy_string

import draw
import generate
from conftest import HERE, ROOT, TEMPLATES, template
from resolve import policies, resolve

NAMES = [name for name in TEMPLATES if (ROOT / name).exists()]
NETWORK = {"SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1"}
PARAMETERS = {
    "ecs-updater.yaml": {
        "defaults": NETWORK | {"ClusterNames": "web", "Image": "public.ecr.aws/x1y2z3/ecs-updater:1.0.0"},
        "everything": NETWORK
        | {
            "ClusterNames": "web,batch",
            "ClusterPatterns": "web,bat*",
            "VpcId": "vpc-0123456789abcdef0",
            "Image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecs-updater:1.0.0",
            "ImageRepositoryArn": "arn:aws:ecr:eu-west-1:123456789012:repository/ecs-updater",
            "InstanceScope": "production",
            "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/0b8d4f6e-7c59-4a31-9a63-7e2f1d5c4b3a",
            "StandaloneTasks": "stop",
            "ConfigParameter": "/ecs-updater/config",
            "NotificationEmail": "ops@example.com",
            "NotificationTopicArn": "arn:aws:sns:eu-west-1:123456789012:ops",
            "FlexibleWindowMinutes": "30",
            "TaskCluster": "ops",
            "FleetRoleArn": "arn:aws:iam::210987654321:role/fleet-Role",
        },
    },
    "demo-cluster.yaml": {"defaults": {}, "everything": {"HostBridgeImage": "public.ecr.aws/x1y2z3/host-bridge:1.0.0"}},
    "fleet.yaml": {
        "defaults": {"Accounts": "123456789012"},
        "everything": {
            "Accounts": "123456789012,210987654321",
            "NotificationTopicArn": "arn:aws:sns:eu-west-1:123456789012:ops",
            "BakeMinutes": "60",
            "Alarms": "web-5xx,web latency",
            "ApproveWaves": "production",
            "ApprovalTopicArn": "arn:aws:sns:eu-west-1:123456789012:approvals",
            "WindowWait": "8h",
        },
    },
    "image.yaml": {
        "defaults": {"Version": "0.1.0", "Source": "https://git.example.com/ops/ecs-updater.git"},
        "everything": {"Version": "0.1.0", "Source": "s3://my-bucket/source/ecs-updater-0.1.0.tar.gz"},
    },
    "dashboard.yaml": {"defaults": {"ClusterNames": "web"}, "everything": draw.GIVEN},
    "reports.yaml": {
        "defaults": {"TaskRoleArn": "arn:aws:iam::123456789012:role/ecs-updater"},
        "everything": {"TaskRoleArn": "arn:aws:iam::123456789012:role/ecs-updater", "KeepDays": "30"},
    },
    "min-size.yaml": {
        "defaults": {"TaskRoleArn": "arn:aws:iam::123456789012:role/ecs-updater"},
        "everything": {"TaskRoleArn": "arn:aws:iam::123456789012:role/ecs-updater", "GroupNames": "web-*"},
    },
    "hooks.yaml": {
        "defaults": {
            "TaskRoleArn": "arn:aws:iam::123456789012:role/ecs-updater",
            "FunctionArns": "arn:aws:lambda:eu-west-1:123456789012:function:ready",
        },
        "everything": {
            "TaskRoleArn": "arn:aws:iam::123456789012:role/ecs-updater",
            "FunctionArns": "arn:aws:lambda:eu-west-1:123456789012:function:ready,arn:aws:lambda:eu-west-1:123456789012:function:told:live",
        },
    },
    "events.yaml": {
        "defaults": {"TaskRoleArn": "arn:aws:iam::123456789012:role/ecs-updater"},
        "everything": {
            "TaskRoleArn": "arn:aws:iam::123456789012:role/ecs-updater",
            "NotificationEmail": "ops@example.com",
            "NotificationTopicArn": "arn:aws:sns:eu-west-1:123456789012:ops",
            "Holds": "yes",
        },
    },
}
CASES = [(name, case) for name in NAMES for case in ("defaults", "everything")]
# checkov has no rule for a dashboard, and dashboard.yaml nothing else: it would give no summary.
WITHOUT_RULES = {"dashboard.yaml"}


@cache
def exceptions():
    return yaml.safe_load((HERE / "exceptions.yaml").read_text())


def judge(tool, name, case, found):
    """Holds (rule, resource) pairs against the exceptions."""
    stem = name.removesuffix(".yaml")
    allowed = {
        (entry["rule"], resource.split("/", 1)[1])
        for entry in exceptions()
        if entry["tool"] == tool and entry.get("with", case) == case
        for resource in entry["resources"]
        if resource.startswith(f"{stem}/")
    }
    assert set(found) - allowed == set(), "found, and not in exceptions.yaml"
    assert allowed - set(found) == set(), "in exceptions.yaml, and found no more"


def resolved(name, case, **more):
    return resolve(template(name), PARAMETERS[name][case], **more)


@pytest.mark.parametrize("name", [*NAMES, "ecs-updater.json"])
def test_cfn_lint_finds_nothing(name):
    regions = ["eu-west-1", "us-gov-west-1", "cn-north-1"]
    # That a policy on deletion is written down; the compact template leaves out what is the default.
    ignored = ["--ignore-checks", "I3011"] if name.endswith(".json") else []
    run = subprocess.run(
        ["cfn-lint", "--include-checks", "I", *ignored, "--regions", *regions, "--", ROOT / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "")


@pytest.mark.parametrize(("name", "case"), [case for case in CASES if case[0] not in WITHOUT_RULES])
def test_checkov(name, case, tmp_path):
    path = tmp_path / "template.json"
    path.write_text(json.dumps(resolved(name, case)))
    command = ["checkov", "--file", path, "--framework", "cloudformation", "--output", "json", "--quiet", "--compact"]
    run = subprocess.run(
        [*command, "--skip-download"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LOG_LEVEL": "CRITICAL"},
    )
    results = json.loads(run.stdout)
    assert results["summary"]["passed"] >= 5
    assert results["summary"]["parsing_errors"] == 0
    found = [(check["check_id"], check["resource"].split(".")[-1]) for check in results["results"]["failed_checks"]]
    judge("checkov", name, case, found)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_cfripper(name, case):
    from cfripper.config.config import Config
    from cfripper.rule_processor import RuleProcessor
    from cfripper.rules import DEFAULT_RULES
    from pycfmodel import parse

    logging.getLogger("cfripper").setLevel(logging.CRITICAL)
    config = Config(rules=list(DEFAULT_RULES))
    rules = [rule(config) for rule in DEFAULT_RULES.values()]
    result = RuleProcessor(*rules).process_cf_template(parse(resolved(name, case)).resolve(), config)
    found = [(finding.rule, next(iter(finding.resource_ids or {"-"}))) for finding in result.failures]
    judge("cfripper", name, case, found)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_parliament(name, case):
    found = []
    for where, document in policies(resolved(name, case)):
        if where.endswith("/trust") or any("Principal" in statement for statement in document["Statement"]):
            continue
        for finding in analyze_policy_string(json.dumps(document)).findings:
            first = finding.detail[0] if isinstance(finding.detail, list) else {}
            detail = first.get("action", "") if isinstance(first, dict) else first
            found.append((f"{finding.issue} {detail}".strip(), where.split("/")[0]))
    judge("parliament", name, case, found)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_used_labelled_grouped_and_described(name):
    tree = template(name)
    interface = tree["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [parameter for group in interface["ParameterGroups"] for parameter in group["Parameters"]]
    parameters = tree["Parameters"]
    assert sorted(grouped) == sorted(parameters)
    assert sorted(interface["ParameterLabels"]) == sorted(parameters)
    used = json.dumps({part: tree[part] for part in tree if part not in ("Metadata", "Parameters")})
    for parameter, spec in parameters.items():
        assert f'{{"Ref": "{parameter}"}}' in used or f"${{{parameter}}}" in used, parameter
        assert 20 < len(spec["Description"]) < 400, parameter
        closed = {"AllowedPattern", "AllowedValues", "MaxValue"} & set(spec) or spec["Type"].startswith(
            ("AWS::", "List<")
        )
        assert closed, f"{parameter} takes anything"
        if "AllowedPattern" in spec:
            assert spec["AllowedPattern"].startswith("^")
            assert spec["AllowedPattern"].endswith("$")
            assert "ConstraintDescription" in spec, parameter
            if "Default" in spec:
                lists = spec["Type"] == "CommaDelimitedList"
                values = spec["Default"].split(",") if lists else [str(spec["Default"])]
                assert all(re.search(spec["AllowedPattern"], value) for value in values), parameter


def without_names_of_statements(value):
    if isinstance(value, dict):
        return {key: without_names_of_statements(item) for key, item in value.items() if key != "Sid"}
    return [without_names_of_statements(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", generate.SCRIPTS.values())
def test_a_bare_script_is_the_same_script(name):
    """bash prints what it has read; only the space within a quoted program may differ."""

    def read(text):
        command = ["bash", "-c", 'shopt -s extglob; eval "script() {\n$1\n}"; declare -f script', "-", text]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert len(printed) > 100
        return re.sub(r"\s+", " ", re.sub(r"^\s*#.*$", "", printed, flags=re.M))

    text = generate.script(name)
    assert read(generate.bare(text)) == read(text)


def test_the_template_holds_the_scripts_of_documents():
    tree, compact = template(), json.loads((ROOT / "ecs-updater.json").read_text())
    for key, script in generate.SCRIPTS.items():
        text = (ROOT / "documents" / f"{script}.sh").read_text()
        assert tree["Mappings"]["Scripts"][key]["Text"] == text
        assert compact["Mappings"]["Scripts"][key]["Text"] == generate.bare(text)
    for resource in tree["Resources"].values():
        if resource["Type"] == "AWS::SSM::Document":
            assert resource["Properties"]["Content"].pop("description")
            for parameter in resource["Properties"]["Content"]["parameters"].values():
                assert parameter.pop("description")
    for resource in tree["Resources"].values():
        if resource["Type"] in generate.DESCRIBED:
            assert resource["Properties"].pop("Description")
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            assert resource.pop(policy, "Delete") == "Delete"
    assert compact["Conditions"] == tree["Conditions"]
    assert compact["Resources"] == without_names_of_statements(tree["Resources"])
    for name, parameter in tree["Parameters"].items():
        assert compact["Parameters"][name] == {k: v for k, v in parameter.items() if k != "Description"}
    assert {k: o["Value"] for k, o in compact["Outputs"].items()} == {k: o["Value"] for k, o in tree["Outputs"].items()}


def test_what_is_generated_is_what_would_be_generated():
    run = subprocess.run([sys.executable, ROOT / "generate.py", "--check"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_the_compact_template_can_be_handed_over_directly():
    # CloudFormation quotas: template body in a request.
    assert len((ROOT / "ecs-updater.json").read_bytes()) <= 51_200


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_other_partitions_have_their_own_arns(name, partition, region):
    text = json.dumps(resolved(name, "defaults", partition=partition, region=region))
    # Whose ARN a person gives, gives its partition too.
    for given in PARAMETERS[name]["defaults"].values():
        text = text.replace(given, given.replace("arn:aws:", f"arn:{partition}:"))
    assert "arn:aws:" not in text
    assert f"arn:{partition}:" in text


def test_the_settings_are_those_of_the_configuration_page():
    """Each variable of the task is one that docs/configuration.md promises, and its default is the page's."""
    page = (ROOT.parent / "docs" / "configuration.md").read_text()
    rows = [
        [cell.strip(' `"') for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")
    ]
    defaults = {cell: row[2] for row in rows if len(row) >= 5 for cell in row if cell.startswith("ECS_UPDATER_")}
    assert len(defaults) >= 20
    # The stack knows its host bridges' role. What has no parameter of its own goes by Settings.
    by_stack = {"ECS_UPDATER_BRIDGE_POLICY": "own-host"}
    promised = set(re.findall(r"ECS_UPDATER_\w+", page))
    tasks = ["TaskDefinition", "PlanTaskDefinition"]
    for task in tasks:
        container = resolved("ecs-updater.yaml", "defaults")["Resources"][task]["Properties"]["ContainerDefinitions"][0]
        environment = {entry["Name"]: entry["Value"] for entry in container["Environment"]}
        assert set(environment) <= promised
        assert environment["ECS_UPDATER_CLUSTERS"] == "web"
        # What is not given says nothing, so that the configuration is heard; documents have the stack's names.
        assert environment.get("ECS_UPDATER_LEASE_TABLE") == ("LeaseTable" if task == "TaskDefinition" else None)
        for variable in set(defaults) & set(environment) - {"ECS_UPDATER_LEASE_TABLE"}:
            wanted = defaults[variable] if variable.endswith("_DOCUMENT") else by_stack.get(variable, "")
            assert environment[variable] == wanted, variable
        assert "ECS_UPDATER_CONFIG" not in environment
        assert environment["ECS_UPDATER_SETTINGS"] == ""
        if task == "TaskDefinition":
            assert {name for name in defaults if name.endswith("_DOCUMENT")} <= set(environment)
            assert environment["ECS_UPDATER_METRICS"] == "ecs-updater"
        else:
            assert "ECS_UPDATER_METRICS" not in environment


def test_every_permission_has_its_reason_in_one_page():
    """Those of the updater by the table of docs/operations.md, those that start its tasks by that of docs/deploy.md."""

    def of(name, resources):
        found = set()
        for where, document in policies(resolved(name, "everything")):
            for statement in document["Statement"]:
                if statement["Effect"] == "Allow" and not where.endswith("/trust") and resources(where):
                    actions = statement["Action"]
                    found |= {actions} if isinstance(actions, str) else set(actions)
        return found

    deploy = (ROOT.parent / "docs" / "deploy.md").read_text()
    roles = deploy.split("\n## Roles and policies\n")[1].split("\n## ")[0]
    operations = (ROOT.parent / "docs" / "operations.md").read_text()
    table = operations.split("\n## Permissions\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+:\w+)` \| (.*?) \| .+? \| .+ \|$", table, re.M)
    assert len(rows) > 30
    for column, policy in (("plan", "PlanPolicy"), ("update", "UpdatePolicy")):
        listed = {action for action, cell in rows if column in re.split(r"\W+", cell)}
        assert listed == of("ecs-updater.yaml", lambda where, policy=policy: policy in where), column
    for name in ("min-size.yaml", "reports.yaml", "events.yaml", "hooks.yaml"):
        listed = {action for action, cell in rows if f"`{name}`" in cell}
        assert listed == of(name, lambda where: True) - {"sns:Publish"}, name
    others = of("ecs-updater.yaml", lambda where: not re.search("PlanPolicy|UpdatePolicy", where))
    services = "ecs|ssm|logs|ecr|iam|sqs|kms|tag"
    assert set(re.findall(rf"`((?:{services}):\w+)`", roles.split("\n### ")[0])) == others


def test_every_alarm_and_parameter_has_its_place_in_the_page():
    page = (ROOT.parent / "docs" / "deploy.md").read_text()
    section = page.split("## When an alarm goes off")[1].split("\n## ")[0]
    trees = {name: template(name) for name in NAMES}
    alarms = {
        name
        for tree in trees.values()
        for name, resource in tree["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert set(re.findall(r"^\| `(\w+)`", section, re.M)) == alarms
    outputs = trees["ecs-updater.yaml"]["Outputs"]
    named = set(re.findall(r"`((?:LogGroup|EventLogGroup|DeadLetterQueue)(?:Name|Url))`", section))
    assert named == {"LogGroupName", "EventLogGroupName", "DeadLetterQueueUrl"} <= set(outputs)
    for name, tree in trees.items():
        for parameter in tree["Parameters"]:
            assert re.search(rf"\b{parameter}\b", page), f"docs/deploy.md says nothing of {name}'s {parameter}"


def test_every_action_that_the_updater_calls_is_allowed_and_no_other():
    """The operations that ecs-updater/src/aws names are the actions of the policies of the stack, of min-size.yaml and of people."""
    sources = (ROOT.parent / "ecs-updater" / "src" / "aws").rglob("*.rs")
    called = {
        name
        for path in sources
        for name in re.findall(r'"((?:autoscaling|cloudwatch|ecs|ec2|ssm|dynamodb):[A-Z]\w+)"', path.read_text())
    }
    tree = resolved("ecs-updater.yaml", "everything")["Resources"]
    policies = [
        tree["PlanPolicy"],
        tree["UpdatePolicy"],
        resolved("min-size.yaml", "everything")["Resources"]["HoldPolicy"],
    ]
    statements = [s for policy in policies for s in policy["Properties"]["PolicyDocument"]["Statement"]]
    allowed = {a for s in statements for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
    people = json.loads((ROOT / "people.json").read_text())["Statement"]
    assert allowed | {action for statement in people for action in statement["Action"]} == called
