#!/usr/bin/env python3
"""Puts the documents' scripts into ecs-updater.yaml, between its two marks, and makes ecs-updater.json of the whole.

The scripts exist once, as documents/*.sh. What all four share (lib.sh) stands once in the template too. The JSON file
is the same template on one line, without comments, without what only readers need (labels, descriptions, names of policy
statements), and without what is CloudFormation's own default: CloudFormation takes 51,200 bytes of a template that is
handed to it directly, and more from an S3 bucket only.

tests/policies.json has the policies of the updater and of the host bridge with every function worked out, for the simulated
Region: the simulator holds every call of its scenarios to them.

terraform/ and cdk/ have the template's parameters as inputs, and its outputs (modules.py).

`--check` writes nothing and fails where a file is not what it would write. Needs PyYAML (tests/requirements.txt).
"""

import json
import re
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "tests")]

import modules  # noqa: E402
from resolve import resolve  # noqa: E402

TEMPLATE = HERE / "ecs-updater.yaml"
COMPACT = HERE / "ecs-updater.json"
POLICIES = HERE / "tests" / "policies.json"
# What the simulated Region is called, and its clusters.
SIMULATED = {"region": "eu-central-1", "clusters": "web,batch,odd,empty,production,main"}
BEGIN = "  # BEGIN scripts: made by generate.py from documents/*.sh\n"
END = "  # END scripts\n"
SCRIPTS = {"Shared": "lib", "Inspect": "inspect", "Stage": "stage", "Reboot": "reboot", "Revert": "revert"}
# Whose description only the console shows, and can change in place: that of a managed policy cannot.
DESCRIBED = ("AWS::Events::Rule", "AWS::IAM::Role", "AWS::Scheduler::Schedule", "AWS::SSM::Parameter")


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def short_form(loader, tag, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


Loader.add_multi_constructor("!", short_form)


def load(text):
    return yaml.load(text, Loader)


def script(name):
    """A script's text; SSM would take two braces for a parameter of its own."""
    text = (HERE / "documents" / f"{name}.sh").read_text()
    for number, line in enumerate(text.splitlines(), 1):
        if "{{" in line or "\t" in line or line != line.rstrip():
            sys.exit(f"documents/{name}.sh:{number}: two braces, a tab, or a space at the end of the line")
    return text


def mapping():
    parts = [BEGIN, "  Scripts:\n"]
    for key, name in SCRIPTS.items():
        parts.append(f"    {key}:\n      Text: |\n")
        parts += [f"        {line}\n" if line else "\n" for line in script(name).splitlines()]
    return "".join([*parts, END])


def generate(template):
    before, _, rest = template.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{TEMPLATE.name} has no marks for the scripts")
    return before + mapping() + after


def bare(text):
    """A script without its comments, empty lines and indentation, and without the line breaks that a space can stand
    for: the same script."""
    lines = (re.sub(r"\s{2,}# [^'\"]*$", "", line).strip() for line in text.splitlines())
    kept = "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))
    return re.sub(r"((?:^|[ ;(])(?:then|do|else|in)|(?:^|\(\) | )\{|;;|[^;]\||&&)\n(?![#)])", r"\1 ", kept, flags=re.M)


def without_labels(value):
    """Without the names of policy statements, which nothing refers to."""
    if isinstance(value, list):
        return [without_labels(item) for item in value]
    if isinstance(value, dict):
        return {key: without_labels(item) for key, item in value.items() if key != "Sid"}
    return value


def compact(template):
    tree = load(template)
    # What only the console shows.
    del tree["Metadata"]
    for parameter in tree["Parameters"].values():
        del parameter["Description"]
    for output in tree["Outputs"].values():
        del output["Description"]
    for resource in tree["Resources"].values():
        # Said in the YAML file for those who read it; a resource is deleted with its stack anyway.
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if resource.get(policy) == "Delete":
                del resource[policy]
        if resource["Type"] in DESCRIBED:
            del resource["Properties"]["Description"]
        if resource["Type"] == "AWS::SSM::Document":
            del resource["Properties"]["Content"]["description"]
            for parameter in resource["Properties"]["Content"]["parameters"].values():
                del parameter["description"]
    for entry in tree["Mappings"]["Scripts"].values():
        entry["Text"] = bare(entry["Text"])
    tree["Resources"] = without_labels(tree["Resources"])
    return json.dumps(tree, separators=(",", ":")) + "\n"


def policies(template):
    """Of a stack that uses everything, and of one that is limited to tagged instances."""
    given = {
        "ClusterNames": SIMULATED["clusters"],
        "Image": "public.ecr.aws/x1y2z3/ecs-updater:1.0.0",
        "VpcId": "vpc-0123456789abcdef0",
        "SubnetIds": "subnet-0123456789abcdef0",
        "ConfigParameter": "/ecs-updater/config",
        "StandaloneTasks": "stop",
    }
    documents = {}
    for name, more in [("everything", {}), ("scoped", {"InstanceScope": "production"})]:
        resources = resolve(load(template), given | more, region=SIMULATED["region"])["Resources"]
        documents[name] = {
            key: resources[policy]["Properties"]["PolicyDocument"]
            for key, policy in [("plan", "PlanPolicy"), ("update", "UpdatePolicy")]
        }
    demo = load((HERE / "demo-cluster.yaml").read_text())
    image = {"HostBridgeImage": "public.ecr.aws/x1y2z3/host-bridge:1.0.0"}
    role = resolve(demo, image, stack="web", region=SIMULATED["region"])["Resources"]["InstanceRole"]["Properties"]
    documents["agent"] = {"reports": role["Policies"][0]["PolicyDocument"]}
    events = load((HERE / "events.yaml").read_text())
    role = {"TaskRoleArn": "arn:aws:iam::123456789012:role/ecs-updater"}
    put = resolve(events, role, stack="events", region=SIMULATED["region"])["Resources"]["PutPolicy"]["Properties"]
    documents["events"] = {"put": put["PolicyDocument"]}
    # The scenarios' tables have this name.
    return json.dumps(documents, indent=2).replace(":table/LeaseTable", ":table/leases") + "\n"


def main():
    template = generate(TEMPLATE.read_text())
    files = {TEMPLATE: template, COMPACT: compact(template), POLICIES: policies(template)}
    tree = load(template)
    files |= {HERE / "terraform" / name: text for name, text in modules.terraform(tree).items()}
    files |= {HERE / "cdk" / name: text for name, text in modules.cdk(tree).items()}
    for path, text in files.items():
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path.name} is not what generate.py makes of documents/*.sh and {TEMPLATE.name}: run it")


if __name__ == "__main__":
    main()
