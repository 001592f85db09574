"""moto's server as an account: clients, the stack's parameters, and what a stack made."""

import shlex

import boto3

REGION = "eu-west-1"


class Cloud:
    def __init__(self, url):
        self.url = url
        ec2 = self("ec2")
        self.vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        self.subnets = sorted(subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"])[:2]

    def __call__(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def parameters(self, **more):
        network = {"VpcId": self.vpc, "SubnetIds": ",".join(self.subnets)}
        given = network | {"ClusterNames": "web,batch", "Image": "public.ecr.aws/x1y2z3/ecs-updater:1.0.0"} | more
        return [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]

    def stack(self, name):
        return self("cloudformation").describe_stacks(StackName=name)["Stacks"][0]

    def resources(self, name):
        found = self("cloudformation").list_stack_resources(StackName=name)["StackResourceSummaries"]
        return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found if "PhysicalResourceId" in r}


def create(cloud, name, body, **parameters):
    cloud("cloudformation").create_stack(
        StackName=name,
        TemplateBody=body,
        Parameters=cloud.parameters(**parameters),
        Capabilities=["CAPABILITY_IAM"],
    )
    assert cloud.stack(name)["StackStatus"] == "CREATE_COMPLETE"


NUMBERS = {
    "EvaluationPeriods",
    "MaximumEventAgeInSeconds",
    "MaximumRetryAttempts",
    "MaximumWindowInMinutes",
    "Threshold",
}


def numbers(value, key=None):
    """CloudFormation reads a parameter's text as a number where the property is one."""
    if isinstance(value, dict):
        return {name: numbers(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    return int(value) if key in NUMBERS else value


def create_schedule(cloud, properties):
    """Gives a schedule to EventBridge Scheduler's own API, since moto's CloudFormation does not make it."""
    target = numbers(properties["Target"])
    network = target["EcsParameters"]["NetworkConfiguration"]
    network["awsvpcConfiguration"] = network.pop("AwsvpcConfiguration")
    scheduler = cloud("scheduler")
    scheduler.create_schedule_group(Name=properties["GroupName"])
    scheduler.create_schedule(**(properties | {"Target": target}))


def run_task(command):
    """The options of a command that takes the rest of its input from the stack's parameter."""
    words = shlex.split(command)
    assert words[:3] == ["aws", "ecs", "run-task"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    read = f"aws ssm get-parameter --region {REGION} --name /ecs-updater/EcsUpdater/run"
    assert options.pop("--cli-input-json") == f"$({read} --query Parameter.Value --output text)"
    return options
