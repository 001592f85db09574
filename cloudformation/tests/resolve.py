"""Works out a template's functions, as CloudFormation would before it makes anything."""

import re

ACCOUNT = "123456789012"
DROPPED = object()
REF_IS_ARN = {
    "AWS::IAM::ManagedPolicy",
    "AWS::ECS::TaskDefinition",
    "AWS::SNS::Topic",
    "AWS::StepFunctions::StateMachine",
}


def resolve(template, parameters, *, stack="ecs-updater", partition="aws", region="eu-west-1", made=None):
    """The template with every function worked out.

    What `Ref` and `GroupId` of a resource are comes from `made`, by its name; the rest is made up from the names.
    """
    made = made or {}
    known = {name: spec.get("Default") for name, spec in template.get("Parameters", {}).items()} | parameters
    missing = [name for name, value in known.items() if value is None]
    assert not missing, f"parameters without a value: {missing}"
    for name, spec in template.get("Parameters", {}).items():
        if spec["Type"] == "CommaDelimitedList" or spec["Type"].startswith("List<"):
            known[name] = known[name].split(",")
        if spec["Type"] == "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>":
            known[name] = "ami-0123456789abcdef0"
    pseudo = {
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::AccountId": ACCOUNT,
        "AWS::StackName": stack,
        "AWS::StackId": f"arn:{partition}:cloudformation:{region}:{ACCOUNT}:stack/{stack}/made",
        "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        "AWS::NoValue": DROPPED,
    }
    resources = template["Resources"]

    def attribute(name, key):
        kind = resources[name]["Type"].split("::")
        if key == "Arn" or key.endswith("Arn"):
            service = {"StepFunctions": "states"}.get(kind[1], kind[1].lower())
            place = "" if service == "iam" else region
            shapes = {
                "ManagedPolicy": "policy/{}",
                "StateMachine": "stateMachine:{}",
                "LogGroup": "log-group:{}:*",
                "Topic": "{}",
                "Queue": "{}",
            }
            shape = shapes.get(kind[2], kind[2].lower() + "/{}")
            own = work(resources[name].get("Properties", {}).get("RepositoryName", name))
            return f"arn:{partition}:{service}:{place}:{ACCOUNT}:{shape.format(own)}"
        return made[name] if key == "GroupId" and name in made else f"{name}.{key}"

    def ref(name):
        if name in pseudo:
            return pseudo[name]
        if name in known:
            return known[name] if isinstance(known[name], list) else str(known[name])
        if name in made:
            return made[name]
        resource = resources[name]
        if resource["Type"] in REF_IS_ARN:
            return attribute(name, "Arn")
        for key in ("Name", "RepositoryName"):
            if key in resource.get("Properties", {}):
                return work(resource["Properties"][key])
        return name

    def sub(text, own):
        def one(match):
            name = match[1]
            if name in own:
                return str(own[name])
            return str(attribute(*name.split(".", 1)) if "." in name else ref(name))

        # `${!NAME}` is left as `${NAME}`.
        return re.sub(r"\$\{([^!}][^}]*)\}", one, text).replace("${!", "${")

    def condition(name):
        return work(template["Conditions"][name])

    def work(value):
        if isinstance(value, list):
            return [item for item in map(work, value) if item is not DROPPED]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key, given), *_ = value.items()
            match key:
                case "Ref":
                    return ref(given)
                case "Condition" if isinstance(given, str):
                    return condition(given)
                case "Fn::GetAtt":
                    return attribute(*given)
                case "Fn::Sub":
                    return sub(given, {}) if isinstance(given, str) else sub(given[0], work(given[1]))
                case "Fn::If":
                    return work(given[1] if condition(given[0]) else given[2])
                case "Fn::Equals":
                    return str(work(given[0])) == str(work(given[1]))
                case "Fn::Not":
                    return not work(given[0])
                case "Fn::And":
                    return all(map(work, given))
                case "Fn::Or":
                    return any(map(work, given))
                case "Fn::Join":
                    return given[0].join(map(str, work(given[1])))
                case "Fn::Split":
                    return work(given[1]).split(given[0])
                case "Fn::Select":
                    return work(given[1])[int(given[0])]
                case "Fn::FindInMap":
                    names = work(given)
                    return template["Mappings"][names[0]][names[1]][names[2]]
                case "Fn::GetAZs":
                    return [f"{region}{letter}" for letter in "abc"]
                case "Fn::Base64":
                    return work(given)
                case "Fn::Cidr":
                    return [f"10.42.{index}.0/24" for index in range(int(given[1]))]
                case _ if key.startswith("Fn::"):
                    raise AssertionError(f"{key} is not worked out here")
        return {key: done for key, item in value.items() if (done := work(item)) is not DROPPED}

    kept = {name: r for name, r in resources.items() if "Condition" not in r or condition(r["Condition"])}
    outputs = {
        k: o for k, o in template.get("Outputs", {}).items() if "Condition" not in o or condition(o["Condition"])
    }
    return {
        "AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"],
        "Resources": {name: {k: v for k, v in work(r).items() if k != "Condition"} for name, r in kept.items()},
        "Outputs": work(outputs),
    }


def policies(resolved):
    """Every policy document, with where it stands."""
    for name, resource in resolved["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] in ("AWS::IAM::ManagedPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
            yield name, properties["PolicyDocument"]
        for inline in properties.get("Policies", []):
            yield f"{name}/{inline['PolicyName']}", inline["PolicyDocument"]
        if "AssumeRolePolicyDocument" in properties:
            yield f"{name}/trust", properties["AssumeRolePolicyDocument"]
