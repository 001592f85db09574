"""The Terraform module and the CDK construct: the same stack from the same template, with the same inputs and outputs.

The construct is synthesised. The module's files are parsed, and what makes a parameter of a variable is read: Terraform's
own `validate` and `plan` need the AWS provider, which no package registry has. Nobody has applied or deployed either here.
"""

import json
import os
import re
import subprocess

import pytest
import yaml

from conftest import ROOT, template
from modules import camel, conditions, is_list, matches, relaxed, snake
from test_lint import PARAMETERS, judge

CDK, TERRAFORM = ROOT / "cdk", ROOT / "terraform"
# What only Terraform needs to know.
OWN = {"name", "tags", "template_bucket"}
REQUIRED = {"ClusterNames": "web", "Image": "public.ecr.aws/x1y2z3/ecs-updater:1.0.0", "VpcId": "vpc-0123456789abcdef0"}


def node(script, *arguments):
    run = subprocess.run(
        ["node", f"dist/test/{script}.js", *arguments],
        cwd=CDK,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1"},
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """The construct, its example and these scripts, with the types checked."""
    run = subprocess.run(["node_modules/.bin/tsc"], cwd=CDK, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


# --- Terraform


@pytest.fixture(scope="module")
def hcl(compiled):
    files = node("hcl", *sorted(TERRAFORM.glob("*.tf")))
    merged = {}
    for content in files.values():
        for kind, blocks in content.items():
            if isinstance(blocks, dict):
                known = merged.setdefault(kind, {})
                assert not set(known) & set(blocks) or kind in ("resource", "data"), f"{kind} twice"
                known.update(blocks)
            else:
                merged.setdefault(kind, []).extend(blocks)
    return merged


def test_the_variables_are_the_parameters(hcl):
    parameters = template()["Parameters"]
    variables = {name: one for name, (one,) in hcl["variable"].items()}
    assert set(variables) == {snake(name) for name in parameters} | OWN
    for name, spec in parameters.items():
        one = variables[snake(name)]
        kind = "${list(string)}" if is_list(spec) else {"Number": "${number}"}.get(spec["Type"], "${string}")
        assert one["type"] in (kind, kind[2:-1]), name
        assert one["description"] == spec["Description"], name
        assert one["nullable"] is False, name
        # A list's default is empty, as its text is.
        assert one.get("default") == ([] if is_list(spec) and "Default" in spec else spec.get("Default")), name
        checked = {"AllowedPattern", "AllowedValues", "MaxValue"} & set(spec) or is_list(spec)
        assert len(one.get("validation", [])) == (1 if checked else 0), name


def test_each_variable_becomes_its_parameter(hcl):
    (block,) = hcl["locals"][:1] if "parameters" in hcl["locals"][0] else hcl["locals"][1:]
    parameters = template()["Parameters"]
    assert set(block["parameters"]) == set(parameters)
    for name, spec in parameters.items():
        value = f"var.{snake(name)}"
        if is_list(spec):
            value = f'join(",", {value})'
        elif spec["Type"] == "Number":
            value = f"tostring({value})"
        assert block["parameters"][name] == f"${{{value}}}"


def test_the_outputs_are_the_outputs(hcl):
    outputs = template()["Outputs"]
    assert set(hcl["output"]) == {snake(name) for name in outputs}
    for name, output in outputs.items():
        (one,) = hcl["output"][snake(name)]
        assert one["value"] == f'${{aws_cloudformation_stack.this.outputs["{name}"]}}'
        assert one["description"] == output["Description"]


def test_the_module_is_one_stack_of_the_template(hcl):
    assert set(hcl["resource"]) == {"aws_cloudformation_stack", "aws_s3_object"}
    (stack,) = hcl["resource"]["aws_cloudformation_stack"]["this"]
    assert stack["parameters"] == "${local.parameters}"
    assert stack["capabilities"] == ["CAPABILITY_NAMED_IAM"]
    assert stack["template_body"] == '${var.template_bucket == "" ? file(local.template) : null}'
    (path,) = [block["template"] for block in hcl["locals"] if "template" in block]
    assert (TERRAFORM / path.replace("${path.module}/", "")).resolve() == ROOT / "ecs-updater.json"
    # What CloudFormation takes of a body, in bytes; Terraform counts characters, and the template is ASCII.
    (condition,) = [one["condition"] for one in stack["lifecycle"][0]["precondition"]]
    assert "length(file(local.template)) <= 51200" in condition
    assert (ROOT / "ecs-updater.json").read_bytes().isascii()


def test_the_example_gives_what_the_module_requires(compiled):
    parsed = node("hcl", TERRAFORM / "example" / "main.tf")["main.tf"]
    (module,) = parsed["module"]["ecs_updater"]
    parameters = template()["Parameters"]
    required = {snake(name) for name, spec in parameters.items() if "Default" not in spec}
    assert required <= set(module) <= {snake(name) for name in parameters} | {"source"}
    assert "aws_ecs_capacity_provider" in parsed["resource"]
    assert module["schedule_state"] == "DISABLED"
    made = {
        output for (one,) in parsed["output"].values() for output in re.findall(r"ecs_updater\.(\w+)", one["value"])
    }
    assert made <= {snake(name) for name in template()["Outputs"]}


def test_go_takes_the_patterns():
    """Terraform's regular expressions are Go's: they look neither ahead nor behind, and count to 1,000."""
    patterns = [
        pattern
        for name, spec in template()["Parameters"].items()
        for condition, _ in conditions(name, spec)
        for pattern in re.findall(r'regex\("((?:[^"\\]|\\.)*)"', condition)
    ]
    assert len(patterns) > 15
    for pattern in patterns:
        assert "(?" not in pattern
        assert not re.search(r"\{\d+,?\d*\}[^{}]*\)\{\d", pattern), "counts within counts"
        assert all(int(count) <= 1000 for count in re.findall(r"(\d+)\}", pattern))


def test_a_pattern_that_looks_ahead_becomes_two():
    assert matches("^(?!aws|amzn)[a-z]{2,3}$", "var.x") == (
        'can(regex("^[a-z]{2,3}$", var.x)) && !can(regex("^(aws|amzn)", var.x))'
    )
    assert relaxed("^((/[a-z]{1,100}){1,15})?$") == "^((/[a-z]+)+)?$"
    assert relaxed("^[a-z]{1,100}(b{2})?$") == "^[a-z]{1,100}(b{2})?$"


# --- CDK


def props(case):
    """The parameters of a case as the construct takes them."""
    parameters = template()["Parameters"]

    def typed(name, value):
        if is_list(parameters[name]):
            return value.split(",")
        return int(value) if parameters[name]["Type"] == "Number" else value

    return {camel(name): typed(name, value) for name, value in case.items()}


REFUSED = [
    ({"ClusterNames": "we b"}, 'clusterNames must be cluster names with commas and no spaces between, and not "we b"'),
    ({"DocumentPrefix": "AwsX"}, "documentPrefix must be letters, digits"),
    ({"ScheduleState": "ON"}, 'scheduleState must be one of ENABLED, DISABLED, and not "ON"'),
    ({"NoSuccessDays": "8"}, "noSuccessDays must be a whole number from 0 to 7, and not 8"),
    ({"LogRetentionDays": "2"}, "logRetentionDays must be one of 1, 3, 5"),
]


@pytest.fixture(scope="module")
def synthesised(compiled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cdk") / "out"
    cases = PARAMETERS["ecs-updater.yaml"]
    wrong = [props(cases["defaults"] | change) for change, _ in REFUSED]
    wrong += [props(cases["defaults"]) | {"clusterNames": []}, props(cases["defaults"]) | {"cluster": "web"}]
    request = {"stacks": {name: props(case) for name, case in cases.items()}, "refused": wrong}
    answer = node("synth", folder, json.dumps(request))
    return answer | {"read": lambda name: json.loads((folder / name).read_text())}


def nested_stack(tree):
    (stack,) = [r["Properties"] for r in tree["Resources"].values() if r["Type"] == "AWS::CloudFormation::Stack"]
    return stack


@pytest.mark.parametrize("case", ["defaults", "everything"])
def test_the_construct_is_the_template(synthesised, case):
    compact = json.loads((ROOT / "ecs-updater.json").read_text())
    assert synthesised["read"](synthesised["nested"][case]) == compact
    tree = synthesised["read"](f"{case}.template.json")
    assert nested_stack(tree)["Parameters"] == PARAMETERS["ecs-updater.yaml"][case]
    outputs = {output["Value"]["Fn::GetAtt"][1] for output in tree["Outputs"].values()}
    assert outputs == {f"Outputs.{name}" for name in template()["Outputs"]}


def test_what_is_known_at_deployment_alone_is_given_to_the_template(synthesised):
    given = nested_stack(synthesised["read"]("late.template.json"))["Parameters"]
    assert given["ClusterNames"] == {"Fn::Join": [",", {"Ref": "Names"}]}
    assert given["SubnetIds"] == {"Fn::Join": [",", ["subnet-0123456789abcdef0", {"Ref": "Topic"}]]}
    assert given["NotificationTopicArn"] == {"Ref": "Topic"}


def test_the_example_has_a_capacity_provider_and_the_updater(synthesised):
    tree = synthesised["read"](synthesised["example"])
    kinds = {resource["Type"] for resource in tree["Resources"].values()}
    assert {"AWS::ECS::CapacityProvider", "AWS::CloudFormation::Stack"} <= kinds
    given = nested_stack(tree)["Parameters"]
    assert set(given) <= set(template()["Parameters"])
    assert {name for name, spec in template()["Parameters"].items() if "Default" not in spec} <= set(given)
    assert given["ScheduleState"] == "DISABLED"


def test_what_cloudformation_would_refuse_is_refused_at_once(synthesised):
    says = [words for _, words in REFUSED]
    says += ["clusterNames must have an item", "cluster is no parameter of ecs-updater.yaml"]
    for message, words in zip(synthesised["refusals"], says, strict=True):
        assert message is not None and message.startswith(words), (message, words)


def test_the_construct_has_the_types_of_the_template():
    text = (CDK / "lib" / "interface.ts").read_text()
    interface = text.split("export interface EcsUpdaterParameters {")[1].split("\n}\n")[0]
    found = {
        name: (bool(optional), kind) for name, optional, kind in re.findall(r"readonly (\w+)(\?)?: (.*);", interface)
    }
    parameters = template()["Parameters"]
    assert set(found) == {camel(name) for name in parameters}
    for name, spec in parameters.items():
        optional, kind = found[camel(name)]
        assert optional == ("Default" in spec), name
        if "AllowedValues" in spec:
            assert [str(yaml.safe_load(value)) for value in kind.split(" | ")] == list(map(str, spec["AllowedValues"]))
        else:
            assert kind == ("string[]" if is_list(spec) else {"Number": "number"}.get(spec["Type"], "string")), name


@pytest.mark.parametrize("case", ["defaults", "everything"])
def test_cdk_nag(synthesised, case):
    """AwsSolutions. Its rules see the template with its conditions, so that both cases find the same."""
    found = [(rule.split("[")[0], resource) for rule, resource in synthesised["findings"][case]]
    assert found
    judge("cdk-nag", "ecs-updater.yaml", case, found)
