"""The stack, made for real in moto's server and read back through each resource's own API, changed, and deleted.

Of the template's types moto's CloudFormation does not hold these: AWS::Scheduler::ScheduleGroup, AWS::Scheduler::Schedule,
AWS::CloudWatch::Alarm, AWS::SQS::QueuePolicy. It says CREATE_COMPLETE all the same. Their properties are checked against
the resource schemas that cfn-lint carries, and handed to the services' own APIs, where moto has those. And of what it
holds, it forgets a task definition's size and network, a security group's egress and a role's managed policies, and an
update changes little: those are checked as the template gives them.
"""

import ast
import base64
import json
import re
import shlex
import tomllib

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from jsonschema import Draft7Validator

from cloud import REGION, Cloud, create, create_schedule, numbers, run_task
from conftest import DOCUMENTS, ROOT, content, moto_server, template
from resolve import ACCOUNT, resolve

NOT_HELD = {
    "AWS::Scheduler::ScheduleGroup",
    "AWS::Scheduler::Schedule",
    "AWS::CloudWatch::Alarm",
    "AWS::SQS::QueuePolicy",
    "AWS::ECS::CapacityProvider",
    "AWS::ECS::ClusterCapacityProviderAssociations",
}


@pytest.fixture(scope="module")
def cloud():
    with moto_server() as url:
        yield Cloud(url)


@pytest.fixture(scope="module")
def stack(cloud):
    body = (ROOT / "ecs-updater.json").read_text()
    # With these, no statement and no variable is left out: moto puts a None there, and finds the policy malformed.
    given = {"StandaloneTasks": "stop", "ConfigParameter": "/ecs-updater/config"}
    create(cloud, "ecs-updater", body, NotificationEmail="ops@example.com", **given)
    return "ecs-updater"


def expected(cloud, **parameters):
    pairs = {pair["ParameterKey"]: pair["ParameterValue"] for pair in cloud.parameters(**parameters)}
    return resolve(template(), pairs)


def by_name(template, made):
    """The statements that were made, by the names that the template has for them: the compact one has none."""
    assert not [statement for statement in made if "Sid" in statement]
    return {named["Sid"]: statement for named, statement in zip(template, made, strict=True)}


def first(answer, key):
    (found,) = answer[key]
    return found


# How a resource of each type is read by its own API, by its physical id.
READERS = {
    "AWS::SSM::Document": lambda cloud, id: cloud("ssm").get_document(Name=id)["Content"],
    "AWS::SSM::Parameter": lambda cloud, id: cloud("ssm").get_parameter(Name=id)["Parameter"],
    "AWS::IAM::ManagedPolicy": lambda cloud, id: cloud("iam").get_policy(PolicyArn=id)["Policy"],
    "AWS::IAM::Role": lambda cloud, id: cloud("iam").get_role(RoleName=id)["Role"],
    "AWS::IAM::InstanceProfile": lambda cloud, id: cloud("iam").get_instance_profile(InstanceProfileName=id)[
        "InstanceProfile"
    ],
    "AWS::DynamoDB::Table": lambda cloud, id: cloud("dynamodb").describe_table(TableName=id)["Table"],
    "AWS::Logs::LogGroup": lambda cloud, id: first(
        cloud("logs").describe_log_groups(logGroupNamePrefix=id), "logGroups"
    ),
    "AWS::Logs::ResourcePolicy": lambda cloud, id: first(
        cloud("logs").describe_resource_policies(), "resourcePolicies"
    ),
    "AWS::ECS::TaskDefinition": lambda cloud, id: cloud("ecs").describe_task_definition(taskDefinition=id)[
        "taskDefinition"
    ],
    "AWS::ECS::Cluster": lambda cloud, id: first(cloud("ecs").describe_clusters(clusters=[id]), "clusters"),
    "AWS::ECS::Service": lambda cloud, id: first(
        cloud("ecs").describe_services(cluster=id.split("/")[-2], services=[id.split("/")[-1]]), "services"
    ),
    "AWS::EC2::SecurityGroup": lambda cloud, id: first(
        cloud("ec2").describe_security_groups(GroupIds=[id]), "SecurityGroups"
    ),
    "AWS::EC2::VPC": lambda cloud, id: first(cloud("ec2").describe_vpcs(VpcIds=[id]), "Vpcs"),
    "AWS::EC2::Subnet": lambda cloud, id: first(cloud("ec2").describe_subnets(SubnetIds=[id]), "Subnets"),
    "AWS::EC2::InternetGateway": lambda cloud, id: first(
        cloud("ec2").describe_internet_gateways(InternetGatewayIds=[id]), "InternetGateways"
    ),
    "AWS::EC2::RouteTable": lambda cloud, id: first(
        cloud("ec2").describe_route_tables(RouteTableIds=[id]), "RouteTables"
    ),
    "AWS::EC2::LaunchTemplate": lambda cloud, id: first(
        cloud("ec2").describe_launch_templates(LaunchTemplateIds=[id]), "LaunchTemplates"
    ),
    "AWS::AutoScaling::AutoScalingGroup": lambda cloud, id: first(
        cloud("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[id]), "AutoScalingGroups"
    ),
    "AWS::SQS::Queue": lambda cloud, id: cloud("sqs").get_queue_attributes(QueueUrl=id, AttributeNames=["QueueArn"])[
        "Attributes"
    ],
    "AWS::Events::Rule": lambda cloud, id: cloud("events").describe_rule(Name=id),
    "AWS::SNS::Topic": lambda cloud, id: cloud("sns").get_topic_attributes(TopicArn=id)["Attributes"],
    "AWS::StepFunctions::StateMachine": lambda cloud, id: cloud("stepfunctions").describe_state_machine(
        stateMachineArn=id
    ),
}
# Parts of another resource, without an API to be read by themselves: they are seen on it.
PARTS = {"AWS::EC2::VPCGatewayAttachment", "AWS::EC2::Route", "AWS::EC2::SubnetRouteTableAssociation"}


def read_back(cloud, name, tree):
    """Reads every resource of a stack, and tells how many of the template's there are."""
    made = cloud.resources(name)
    kinds = {logical: resource["Type"] for logical, resource in tree["Resources"].items()}
    read = 0
    for logical, kind in kinds.items():
        if kind not in NOT_HELD | PARTS:
            assert READERS[kind](cloud, made[logical]), logical
            read += 1
    return read


def test_every_resource_is_there_by_its_own_api(cloud, stack):
    assert read_back(cloud, stack, expected(cloud, ConfigParameter="/x", NotificationEmail="ops@example.com")) >= 20


def test_what_moto_does_not_hold_is_taken_by_its_own_api(cloud, stack):
    """Alarms and the queue's policy, handed to the services themselves; the schedule has a test of its own."""
    resources = expected(cloud, NotificationEmail="ops@example.com")["Resources"]
    alarms = {name: r["Properties"] for name, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
    cloudwatch = cloud("cloudwatch")
    for name, properties in alarms.items():
        cloudwatch.put_metric_alarm(AlarmName=name, **numbers(properties))
    held = {alarm["AlarmName"]: alarm for alarm in cloudwatch.describe_alarms()["MetricAlarms"]}
    by_events = {"FailedRunAlarm", "NoSuccessAlarm", "FailedStartAlarm"}
    assert set(held) == by_events | {"AnotherRunAlarm", "LeftDrainingAlarm", "NoProgressAlarm"}
    assert all(len(alarm["AlarmActions"]) == 1 for alarm in held.values())
    assert (held["NoSuccessAlarm"]["EvaluationPeriods"], held["NoSuccessAlarm"]["TreatMissingData"]) == (3, "breaching")
    for name in set(held) - by_events:
        assert held[name]["Dimensions"] == [{"Name": "Updater", "Value": "ecs-updater"}]
        # No run, no news: that is the other alarms' business.
        assert held[name]["TreatMissingData"] in ("ignore", "notBreaching")
    assert (held["NoProgressAlarm"]["EvaluationPeriods"], held["NoProgressAlarm"]["Threshold"]) == (7, 14)

    queue = cloud.resources(stack)["DeadLetterQueue"]
    policy = json.dumps(resources["DeadLetterQueuePolicy"]["Properties"]["PolicyDocument"])
    cloud("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    held = cloud("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]
    assert json.loads(held["Policy"])["Statement"][0]["Effect"] == "Deny"


def test_the_documents_are_there_with_their_scripts(cloud, stack):
    ssm = cloud("ssm")
    for document in DOCUMENTS:
        found = ssm.get_document(Name=f"EcsUpdater-{document}")
        assert found["DocumentFormat"] == "JSON"
        # moto prints a document that is given as an object in Python's spelling.
        body = ast.literal_eval(found["Content"])
        assert body["schemaVersion"] == "2.2"
        # The compact template leaves out what only the console shows.
        wanted = content(document)["parameters"]
        assert body["parameters"] == {
            name: {key: value for key, value in parameter.items() if key != "description"}
            for name, parameter in wanted.items()
        }
        header, shared, own = body["mainSteps"][0]["inputs"]["runCommand"]
        assert header.startswith("#!/bin/bash\n")
        assert "finish()" in shared
        assert f"begin {document.lower()} " in own
        assert body["mainSteps"][0]["inputs"]["timeoutSeconds"] == "{{ Timeout }}"


def policy(cloud, arn):
    iam = cloud("iam")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def test_the_task_role_has_both_policies_and_the_plan_role_one(cloud, stack):
    made, given = cloud.resources(stack), expected(cloud)["Resources"]

    def attached(role):
        return {arn.rsplit("/", 1)[1] for arn in given[role]["Properties"]["ManagedPolicyArns"]}

    assert attached("TaskRole") == {"PlanPolicy", "UpdatePolicy"}
    assert attached("PlanTaskRole") == {"PlanPolicy"}
    for role in ("TaskRole", "PlanTaskRole", "ExecutionRole"):
        trust = cloud("iam").get_role(RoleName=made[role])["Role"]["AssumeRolePolicyDocument"]
        # The ARN names this account.
        assert trust["Statement"][0]["Condition"] == {"ArnLike": {"aws:SourceArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:*"}}


def test_the_policies_name_clusters_documents_and_tag_keys(cloud, stack):
    made = cloud.resources(stack)
    plan, update = (policy(cloud, made[name])["Statement"] for name in ("PlanPolicy", "UpdatePolicy"))
    clusters = {"ArnEquals": {"ecs:cluster": ["arn:*:ecs:*:*:cluster/web", "arn:*:ecs:*:*:cluster/batch"]}}
    wanted = expected(cloud, StandaloneTasks="stop")["Resources"]["UpdatePolicy"]["Properties"]["PolicyDocument"]
    update = by_name(wanted["Statement"], update)
    assert update["DrainAndActivate"]["Condition"] == clusters
    assert update["DrainAndActivate"]["Action"] == ["ecs:UpdateContainerInstancesState", "ecs:StopTask"]
    assert update["SendTheOtherDocuments"]["Resource"] == [
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/EcsUpdater-{document}" for document in ("Stage", "Reboot", "Revert")
    ]
    tags = update["ClaimInstances"]
    assert tags["Resource"] == f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*"
    keys = ["ecs-updater:claim", "ecs-updater:failed", "ecs-updater:last", "ecs-updater:version-lock"]
    assert tags["Condition"]["ForAllValues:StringEquals"] == {"aws:TagKeys": keys}
    assert tags["Condition"]["Null"] == {"aws:TagKeys": "false"}
    named = update["NameHosts"]
    assert named["Resource"] == [
        *(f"arn:*:ecs:*:*:container-instance/{name}/*" for name in ("web", "batch")),
        *(f"arn:*:ecs:*:*:cluster/{name}" for name in ("web", "batch")),
    ]
    keys = ["ecs-updater:instance-arn", "ecs-updater:skip-versions"]
    assert named["Condition"]["ForAllValues:StringEquals"] == {"aws:TagKeys": keys}
    assert named["Condition"]["Null"] == {"aws:TagKeys": "false"}
    writes = re.compile(r":(Create|Delete|Update|Put|Stop|Run|Tag|Pass)")
    actions = [a for s in plan for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])]
    assert not [action for action in actions if writes.search(action)]


def test_nobody_may_stop_tasks_or_touch_other_instances_unless_told(cloud):
    small, limited = expected(cloud)["Resources"], expected(cloud, InstanceScope="production")["Resources"]
    assert "ecs:StopTask" not in json.dumps(small["UpdatePolicy"])
    assert "ecs-updater:scope" not in json.dumps(small)
    tag = {"aws:ResourceTag/ecs-updater:scope": "production"}
    statements = {
        s["Sid"]: s
        for p in ("PlanPolicy", "UpdatePolicy")
        for s in limited[p]["Properties"]["PolicyDocument"]["Statement"]
    }
    assert statements["SendToInstances"]["Condition"] == {"StringEquals": tag}
    assert statements["ClaimInstances"]["Condition"]["StringEquals"] == tag


def test_the_tasks(cloud, stack):
    ecs = cloud("ecs")
    for family, command in [("ecs-updater", "run"), ("ecs-updater-plan", "plan")]:
        task = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
        given = expected(cloud)["Resources"]["TaskDefinition" if command == "run" else "PlanTaskDefinition"][
            "Properties"
        ]
        assert (given["Cpu"], given["Memory"], given["NetworkMode"]) == ("256", "512", "awsvpc")
        assert given["RequiresCompatibilities"] == ["FARGATE"]
        assert given["RuntimePlatform"] == {"OperatingSystemFamily": "LINUX", "CpuArchitecture": "X86_64"}
        container = task["containerDefinitions"][0]
        assert container["command"][0] == command
        assert ("--fail-on-held" in container["command"]) == (command == "run")
        assert (container["user"], container["readonlyRootFilesystem"]) == ("65532:65532", True)
        assert container["linuxParameters"]["initProcessEnabled"] is True
        assert container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
        assert container["stopTimeout"] == 120
        environment = {entry["name"]: entry["value"] for entry in container["environment"]}
        assert environment["ECS_UPDATER_CLUSTERS"] == "web,batch"
        assert environment["ECS_UPDATER_INSPECT_DOCUMENT"] == "EcsUpdater-Inspect"
        assert container["logConfiguration"]["options"]["awslogs-group"] == "/ecs-updater/ecs-updater"


def test_the_lease_table(cloud, stack):
    name = cloud.resources(stack)["LeaseTable"]
    dynamodb = cloud("dynamodb")
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["KeySchema"] == [{"AttributeName": "lease", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "lease", "AttributeType": "S"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    # What moto's CloudFormation forgets of it.
    properties = expected(cloud)["Resources"]["LeaseTable"]["Properties"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert environment(cloud, "ecs-updater")["ECS_UPDATER_LEASE_TABLE"] == name
    assert "ECS_UPDATER_LEASE_TABLE" not in environment(cloud, "ecs-updater-plan"), "a plan takes no lease"


def environment(cloud, family):
    task = cloud("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]
    return {entry["name"]: entry["value"] for entry in task["containerDefinitions"][0]["environment"]}


def test_logs_queue_group_topic_and_rules(cloud, stack):
    made = cloud.resources(stack)
    groups = {g["logGroupName"]: g["retentionInDays"] for g in cloud("logs").describe_log_groups()["logGroups"]}
    assert groups == {"/ecs-updater/ecs-updater": 90, "/aws/events/ecs-updater/ecs-updater": 90}
    policies = cloud("logs").describe_resource_policies()["resourcePolicies"]
    document = json.loads(policies[0]["policyDocument"])
    assert [statement["Action"] for statement in document["Statement"]] == ["logs:CreateLogStream", "logs:PutLogEvents"]

    attributes = cloud("sqs").get_queue_attributes(QueueUrl=made["DeadLetterQueue"], AttributeNames=["All"])[
        "Attributes"
    ]
    assert attributes["MessageRetentionPeriod"] == "1209600"

    group = cloud("ec2").describe_security_groups(GroupIds=[made["SecurityGroup"]])["SecurityGroups"][0]
    assert group["IpPermissions"] == []
    outward = expected(cloud)["Resources"]["SecurityGroup"]["Properties"]["SecurityGroupEgress"]
    assert {(rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) for rule in outward} == {(443, 443, "tcp")}

    subscriptions = cloud("sns").list_subscriptions_by_topic(TopicArn=made["Topic"])["Subscriptions"]
    assert [(s["Protocol"], s["Endpoint"]) for s in subscriptions] == [("email", "ops@example.com")]

    for name in ("RunSucceeded", "RunFailed"):
        rule = cloud("events").describe_rule(Name=made[name])
        assert json.loads(rule["EventPattern"])["detail"]["lastStatus"] == ["STOPPED"]
        targets = cloud("events").list_targets_by_rule(Rule=made[name])["Targets"]
        assert targets[0]["Arn"].endswith(":log-group:/aws/events/ecs-updater/ecs-updater")


def stopped(family, *, code=0, stop="EssentialContainerExited", status="STOPPED"):
    container = {"name": "ecs-updater"} | ({} if code is None else {"exitCode": code})
    detail = {
        "taskDefinitionArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:7",
        "lastStatus": status,
        "stopCode": stop,
        "containers": [container],
    }
    return {"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": detail}


def matches(pattern, event):
    """EventBridge's rules as far as these patterns use them."""
    if isinstance(event, list):
        return any(matches(pattern, item) for item in event)
    if isinstance(pattern, list):
        for wanted in pattern:
            if not isinstance(wanted, dict):
                if event == wanted:
                    return True
            elif "prefix" in wanted:
                if isinstance(event, str) and event.startswith(wanted["prefix"]):
                    return True
            elif event is not None:
                others = wanted["anything-but"]
                if event not in (others if isinstance(others, list) else [others]):
                    return True
        return False
    choices = pattern.get("$or", [{}])
    rest = {key: value for key, value in pattern.items() if key != "$or"}
    here = event if isinstance(event, dict) else {}
    return all(matches(value, here.get(key)) for key, value in rest.items()) and any(
        not choice or matches(choice, here) for choice in choices
    )


@pytest.mark.parametrize(
    ("event", "rules"),
    [
        (stopped("ecs-updater"), {"RunSucceeded"}),
        (stopped("ecs-updater", code=1), {"RunFailed"}),
        (stopped("ecs-updater", code=137), {"RunFailed"}),
        # Nothing was updated: neither a success nor a failure of the run.
        (stopped("ecs-updater", code=5), set()),
        (stopped("ecs-updater", code=None, stop="TaskFailedToStart"), {"RunFailed"}),
        (stopped("ecs-updater", status="RUNNING"), set()),
        (stopped("ecs-updater-plan"), set()),
        (stopped("ecs-updater-plan", code=2), {"RunFailed"}),
        (stopped("ecs-updater-plan", code=None, stop="TaskFailedToStart"), {"RunFailed"}),
        (stopped("ecs-updater-other", code=1), set()),
        (stopped("another", code=1), set()),
    ],
)
def test_a_runs_end_is_counted_as_what_it_is(cloud, event, rules):
    resources = expected(cloud)["Resources"]
    found = {
        name for name in ("RunSucceeded", "RunFailed") if matches(resources[name]["Properties"]["EventPattern"], event)
    }
    assert found == rules


def test_what_moto_does_not_hold_is_right_by_its_schema(cloud):
    resources = expected(cloud, FlexibleWindowMinutes="15", NotificationEmail="ops@example.com")["Resources"]
    demo = resolve(template("demo-cluster.yaml"), {})["Resources"]
    checked = set()
    for name, resource in (resources | demo).items():
        if resource["Type"] in NOT_HELD:
            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, resource["Type"]).schema
            errors = [error.message for error in Draft7Validator(schema).iter_errors(numbers(resource["Properties"]))]
            assert errors == [], name
            checked.add(resource["Type"])
    assert checked == NOT_HELD


def test_the_schedule_is_what_its_own_api_takes(cloud, stack):
    """The schedule of the template, given to EventBridge Scheduler itself."""
    made = cloud.resources(stack)
    scheduler = cloud("scheduler")
    properties = expected(cloud, ScheduleExpression="cron(0 3 ? * MON-FRI *)", ScheduleTimezone="Europe/Berlin")[
        "Resources"
    ]["Schedule"]["Properties"]
    create_schedule(cloud, properties)
    schedule = scheduler.get_schedule(Name="ecs-updater", GroupName="ecs-updater")
    assert (schedule["ScheduleExpressionTimezone"], schedule["State"]) == ("Europe/Berlin", "ENABLED")
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 900, "MaximumRetryAttempts": 3}
    assert schedule["Target"]["Arn"] == f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web"
    assert schedule["Target"]["EcsParameters"]["LaunchType"] == "FARGATE"
    assert "TaskDefinition" in made


def test_the_scheduler_may_start_this_task_and_no_other(cloud, stack):
    role = cloud.resources(stack)["SchedulerRole"]
    document = cloud("iam").get_role_policy(RoleName=role, PolicyName="StartARun")["PolicyDocument"]
    document = ast.literal_eval(document) if isinstance(document, str) else document
    properties = expected(cloud)["Resources"]["SchedulerRole"]["Properties"]
    # moto leaves a None where AWS::NoValue takes an item out of a list.
    held = [statement for statement in document["Statement"] if statement]
    statements = by_name(properties["Policies"][0]["PolicyDocument"]["Statement"], held)
    assert statements["RunTheTask"]["Resource"] == f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/ecs-updater:*"
    assert statements["RunTheTask"]["Condition"] == {
        "ArnEquals": {"ecs:cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web"}
    }
    assert statements["GiveTheTaskItsRoles"]["Condition"] == {
        "StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    }


def test_the_commands_in_the_outputs_are_commands(cloud, stack):
    outputs = {output["OutputKey"]: output["OutputValue"] for output in cloud.stack(stack)["Outputs"]}
    place = json.loads(cloud("ssm").get_parameter(Name="/ecs-updater/EcsUpdater/run")["Parameter"]["Value"])
    assert place == {
        "cluster": "web",
        "taskDefinition": "ecs-updater",
        "launchType": "FARGATE",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": cloud.subnets,
                "securityGroups": [cloud.resources(stack)["SecurityGroup"]],
                "assignPublicIp": "DISABLED",
            }
        },
    }
    assert outputs["TaskClusterName"] == "web"
    for name, family in [("RunNow", None), ("PlanNow", "ecs-updater-plan")]:
        assert len(outputs[name]) < 220
        given = run_task(outputs[name])
        assert given == {"--region": REGION} | ({"--task-definition": family} if family else {})
    assert len(outputs["DoctorNow"]) < 330
    given = run_task(outputs["DoctorNow"])
    table = outputs["LeaseTableName"]
    override = f"containerOverrides=[{{name=ecs-updater,command=[doctor,--lease-table,{table}]}}]"
    assert given == {"--region": REGION, "--task-definition": "ecs-updater-plan", "--overrides": override}
    for name in ("FollowLogs", "ReadLogs"):
        assert "/ecs-updater/ecs-updater" in shlex.split(outputs[name])


def test_an_image_clusters_and_subnets_are_all_that_must_be_given(cloud):
    parameters = template()["Parameters"]
    required = {name for name, spec in parameters.items() if "Default" not in spec}
    assert required == {"ClusterNames", "Image", "SubnetIds"}
    tree = resolve(template(), {"ClusterNames": "web", "Image": "i", "SubnetIds": "subnet-1,subnet-2"})
    resources = tree["Resources"]
    assert "SecurityGroup" not in resources, "the default group of the subnets' VPC"
    target = resources["Schedule"]["Properties"]["Target"]["EcsParameters"]
    assert "SecurityGroups" not in target["NetworkConfiguration"]["AwsvpcConfiguration"]
    place = json.loads(resources["RunParameter"]["Properties"]["Value"])
    assert place["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] == []


@pytest.mark.parametrize(
    ("given", "watched"),
    [
        ({}, True),
        ({"ScheduleState": "DISABLED"}, False),
        ({"ScheduleState": "DISABLED", "FleetRoleArn": "arn:aws:iam::123456789012:role/fleet"}, True),
        ({"NoSuccessDays": "0"}, False),
    ],
)
def test_no_success_is_missed_only_where_something_starts_runs(cloud, given, watched):
    resources = expected(cloud, **given)["Resources"]
    assert ("NoSuccessAlarm" in resources, "AnotherRunAlarm" in resources) == (watched, watched)
    # What is left says nothing while nothing has run.
    for name, resource in resources.items():
        if resource["Type"] == "AWS::CloudWatch::Alarm" and name != "NoSuccessAlarm":
            assert resource["Properties"]["TreatMissingData"] in ("ignore", "notBreaching"), name


def length(policy):
    """As IAM counts it: without white space."""
    return len(re.sub(r"\s", "", json.dumps(policy["Properties"]["PolicyDocument"])))


def test_policies_for_many_clusters_fit_into_iam(cloud):
    """6,144 characters for a managed policy (IAM user guide, "IAM and AWS STS quotas")."""
    everything = {"StandaloneTasks": "stop", "ConfigParameter": "/ecs-updater/config", "InstanceScope": "production"}

    def longest(count, **given):
        names = ",".join(f"a-cluster-of-{number:07}" for number in range(count))
        resources = expected(cloud, ClusterNames=names, **everything, **given)["Resources"]
        return max(length(resources[name]) for name in ("PlanPolicy", "UpdatePolicy"))

    assert longest(25) <= 6144 < longest(40), "docs/deploy.md says some 25"
    assert longest(100, ClusterPatterns="a-cluster-*,b") < 4000
    named = expected(cloud, ClusterPatterns="web-*,b")["Resources"]["UpdatePolicy"]["Properties"]["PolicyDocument"]
    statements = {statement["Sid"]: statement for statement in named["Statement"]}
    clusters = ["arn:*:ecs:*:*:cluster/web-*", "arn:*:ecs:*:*:cluster/b"]
    assert statements["DrainAndActivate"]["Condition"] == {"ArnEquals": {"ecs:cluster": clusters}}
    assert statements["NameHosts"]["Resource"] == [
        "arn:*:ecs:*:*:container-instance/web-*/*",
        "arn:*:ecs:*:*:container-instance/b/*",
        *clusters,
    ]


def test_the_plan_policy_has_a_name_for_permission_sets(cloud, stack):
    made = cloud.resources(stack)
    assert made["PlanPolicy"].endswith(f":policy/EcsUpdater-plan-{REGION}")
    assert made["UpdatePolicy"].endswith(f":policy/EcsUpdater-update-{REGION}")


def test_update_and_delete(cloud, stack):
    cloudformation = cloud("cloudformation")
    cloudformation.update_stack(
        StackName=stack,
        UsePreviousTemplate=True,
        Parameters=cloud.parameters(MaxUnavailable="10%", LogRetentionDays="30", ConfigParameter="/ecs-updater/config"),
        Capabilities=["CAPABILITY_IAM"],
    )
    assert cloud.stack(stack)["StackStatus"] == "UPDATE_COMPLETE"
    assert cloud.resources(stack)["TaskDefinition"].endswith(":task-definition/ecs-updater:2")
    given = expected(cloud, MaxUnavailable="10%", LogRetentionDays="30")["Resources"]
    container = given["TaskDefinition"]["Properties"]["ContainerDefinitions"][0]
    assert {"Name": "ECS_UPDATER_MAX_UNAVAILABLE", "Value": "10%"} in container["Environment"]
    assert given["LogGroup"]["Properties"]["RetentionInDays"] == "30"

    cloudformation.delete_stack(StackName=stack)
    assert cloud("ssm").list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"] == []
    assert cloud("iam").list_roles()["Roles"] == []
    assert cloud("events").list_rules()["Rules"] == []
    assert "QueueUrls" not in cloud("sqs").list_queues()


def test_a_member_of_a_fleet_has_its_role_and_its_parameter(cloud):
    role = f"arn:aws:iam::{ACCOUNT}:role/fleet-Role"
    given = {"StandaloneTasks": "stop", "ConfigParameter": "/ecs-updater/config", "FleetRoleArn": role}
    create(cloud, "member", (ROOT / "ecs-updater.json").read_text(), DocumentPrefix="Member", **given)
    assert read_back(cloud, "member", expected(cloud, **given)) >= 20
    trust = cloud("iam").get_role(RoleName=f"Member-fleet-{REGION}")["Role"]["AssumeRolePolicyDocument"]
    assert trust["Statement"][0]["Principal"] == {"AWS": role}
    place = json.loads(cloud("ssm").get_parameter(Name="/ecs-updater/Member/run")["Parameter"]["Value"])
    network = place["networkConfiguration"]["awsvpcConfiguration"]
    assert (place["taskDefinition"], network["subnets"]) == ("member", cloud.subnets)
    assert network["securityGroups"] == [cloud.resources("member")["SecurityGroup"]]
    cloud("cloudformation").delete_stack(StackName="member")
    assert "member" not in {stack["StackName"] for stack in cloud("cloudformation").describe_stacks()["Stacks"]}


def test_the_demonstration_cluster_is_made_and_fits_the_updater(cloud):
    """The AMI comes from a public parameter, which moto has not for Bottlerocket: one of our own stands in."""
    path = "/test/bottlerocket/image_id"
    cloud("ssm").put_parameter(Name=path, Value="ami-12c6146b", Type="String")
    body = (ROOT / "demo-cluster.yaml").read_text()
    tree = template("demo-cluster.yaml")
    image = tree["Parameters"]["ImageParameter"]
    body = body.replace(image["AllowedPattern"], ".*").replace(f"Default: {image['Default']}", f"Default: {path}")
    cloudformation = cloud("cloudformation")
    cloudformation.create_stack(
        StackName="demo",
        TemplateBody=body,
        Parameters=[
            {"ParameterKey": "HostBridgeImage", "ParameterValue": "public.ecr.aws/x1y2z3/host-bridge:1.0.0"},
        ],
        Capabilities=["CAPABILITY_IAM"],
    )
    stack = cloud.stack("demo")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs["ClusterName"] == "demo"
    assert cloud("ecs").describe_clusters(clusters=["demo"])["clusters"][0]["status"] == "ACTIVE"
    subnets = cloud("ec2").describe_subnets(SubnetIds=outputs["SubnetIds"].split(","))["Subnets"]
    assert {subnet["VpcId"] for subnet in subnets} == {outputs["VpcId"]}

    launch = cloud.resources("demo")["LaunchTemplate"]
    data = cloud("ec2").describe_launch_template_versions(LaunchTemplateId=launch)["LaunchTemplateVersions"][0][
        "LaunchTemplateData"
    ]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    text = data["UserData"]
    settings = tomllib.loads(base64.b64decode(text).decode() if "[settings" not in text else text)["settings"]
    assert settings["ecs"] == {"cluster": "demo"}
    assert settings["host-containers"]["control"] == {"enabled": True}
    bridge = {"source": "public.ecr.aws/x1y2z3/host-bridge:1.0.0", "enabled": True, "superpowered": True}
    assert settings["host-containers"]["host-bridge"] == bridge
    assert read_back(cloud, "demo", resolve(tree, {"HostBridgeImage": "public.ecr.aws/x1y2z3/host-bridge:1.0.0"})) >= 12
    service = cloud("ecs").describe_services(cluster="demo", services=["web"])["services"][0]
    # Not deleted: moto deletes a VPC before what is in it, and fails.
    assert service["desiredCount"] == 4
    # moto does not hold the provider; its API takes what stands there.
    properties = resolve(tree, {})["Resources"]["CapacityProvider"]["Properties"]["AutoScalingGroupProvider"]
    group = cloud("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][-1]
    given = {
        "autoScalingGroupArn": group["AutoScalingGroupARN"],
        "managedScaling": {"status": properties["ManagedScaling"]["Status"], "targetCapacity": 100},
        "managedTerminationProtection": properties["ManagedTerminationProtection"],
    }
    made = cloud("ecs").create_capacity_provider(name="demo-provider", autoScalingGroupProvider=given)[
        "capacityProvider"
    ]
    assert made["autoScalingGroupProvider"]["managedScaling"]["status"] == "ENABLED"
    assert (group["MinSize"], group["MaxSize"]) == (3, 21)


def test_the_fleets_state_machine_is_taken_by_step_functions(cloud):
    cloudformation = cloud("cloudformation")
    # With these no statement is left out: moto would put a None there.
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:approvals"
    given = {
        "Accounts": f"{ACCOUNT},210987654321",
        "Alarms": "web-5xx",
        "ApproveWaves": "production",
        "ApprovalTopicArn": topic,
    }
    cloudformation.create_stack(
        StackName="fleet",
        TemplateBody=(ROOT / "fleet.yaml").read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    assert cloud.stack("fleet")["StackStatus"] == "CREATE_COMPLETE"
    tree = resolve(template("fleet.yaml"), given, stack="fleet")
    assert read_back(cloud, "fleet", tree) >= 4
    definition = tree["Resources"]["StateMachine"]
    states = cloud("stepfunctions")
    made = states.create_state_machine(
        name="from-the-template",
        definition=json.dumps(definition["Properties"]["Definition"]),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/fleet",
    )
    found = states.describe_state_machine(stateMachineArn=made["stateMachineArn"])
    assert json.loads(found["definition"])["StartAt"] == "SeeOthers"
    cloudformation.delete_stack(StackName="fleet")
