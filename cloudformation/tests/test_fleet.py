"""The waves of fleet.yaml: its state machine, run on stand-ins for the three AWS calls that it makes."""

import json

import pytest

from conftest import template
from resolve import policies, resolve
from states import Failed, Machine

HUB, OTHER = "123456789012", "210987654321"


def member(account=HUB):
    parameters = {
        "ClusterNames": "web",
        "Image": "public.ecr.aws/x1y2z3/ecs-updater:1.0.0",
        "VpcId": "vpc-0123456789abcdef0",
        "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
        "FleetRoleArn": f"arn:aws:iam::{account}:role/fleet-Role",
    }
    return resolve(template(), parameters)["Resources"]


class Accounts:
    """What the accounts have: clusters by wave, and how their runs end."""

    def __init__(self, clusters, ends=None):
        self.clusters, self.ends = clusters, ends or {}
        self.started, self.polls = [], {}
        self.place = member()["RunParameter"]["Properties"]["Value"]

    def get_resources(self, parameters, role):
        assert parameters["ResourceTypeFilters"] == ["ecs:cluster"]
        assert parameters["TagFilters"][0]["Key"] == "ecs-updater:wave"
        (wave,) = parameters["TagFilters"][0]["Values"]
        names = self.clusters.get((self.account(role), wave), [])
        arns = [f"arn:aws:ecs:eu-west-1:{self.account(role)}:cluster/{name}" for name in names]
        return {"PaginationToken": "", "ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]}

    def account(self, role):
        prefix, _, rest = role.partition("iam::")
        account, _, name = rest.partition(":")
        assert (prefix, name) == ("arn:aws:", "role/EcsUpdater-fleet-eu-west-1")
        return account

    def get_parameter(self, parameters, role):
        assert parameters["Name"] == "/ecs-updater/EcsUpdater/run"
        return {"Parameter": {"Value": self.place}}

    def run_task(self, parameters, role):
        assert parameters["TaskDefinition"] == "ecs-updater"
        (override,) = parameters["Overrides"]["ContainerOverrides"]
        assert override["Name"] == "ecs-updater"
        (variable,) = override["Environment"]
        assert variable["Name"] == "ECS_UPDATER_CLUSTERS"
        name = variable["Value"]
        self.started.append((self.account(role), name))
        end = self.ends.get(name, 0)
        if end == "throttled":
            raise Failed("Ecs.ThrottlingException", "Rate exceeded")
        return {"Tasks": [] if end == "no room" else [{"TaskArn": f"task/{name}"}], "Failures": []}

    def describe_tasks(self, parameters, role):
        (task,) = parameters["Tasks"]
        name = task.removeprefix("task/")
        self.polls[name] = self.polls.get(name, 0) + 1
        end = self.ends.get(name, 0)
        if end == "gone":
            return {"Tasks": []}
        if self.polls[name] < 3:
            return {"Tasks": [{"LastStatus": "RUNNING", "Containers": [{}]}]}
        return {"Tasks": [{"LastStatus": "STOPPED", "Containers": [{} if end == "no start" else {"ExitCode": end}]}]}


def machine(accounts, **parameters):
    given = {"Accounts": f"{HUB},{OTHER}", "Waves": "test,production", **parameters}
    definition = resolve(template("fleet.yaml"), given, stack="fleet")["Resources"]["StateMachine"]["Properties"][
        "Definition"
    ]
    tasks = {
        "getResources": accounts.get_resources,
        "getParameter": accounts.get_parameter,
        "runTask": accounts.run_task,
        "describeTasks": accounts.describe_tasks,
    }
    return Machine(definition, tasks)


CLUSTERS = {(HUB, "test"): ["t1", "t2"], (OTHER, "test"): ["t3"], (OTHER, "production"): ["p1", "p2"]}


def test_the_waves_run_in_their_order_over_all_accounts():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts, Concurrency="7")
    fleet.run()
    assert accounts.started == [(HUB, "t1"), (HUB, "t2"), (OTHER, "t3"), (OTHER, "p1"), (OTHER, "p2")]
    assert fleet.waited == 5 * 3 * 60
    assert [most for comment, most, _ in fleet.at_once if comment.startswith("One after")] == [1]
    assert {(most, kind) for comment, most, kind in fleet.at_once if comment.startswith("An execution")} == {(7, int)}


# 5 is a run that updated nothing, which shows nothing of a release.
@pytest.mark.parametrize("end", [1, 4, 5, "no start", "no room", "gone", "throttled"])
def test_a_failure_lets_its_wave_end_and_begins_no_other(end):
    accounts = Accounts(CLUSTERS, {"t1": end})
    with pytest.raises(Failed) as failed:
        machine(accounts).run()
    assert failed.value.error == "WaveFailed"
    assert failed.value.cause == "1 clusters of wave test failed; later waves were not begun"
    assert [name for _, name in accounts.started] == ["t1", "t2", "t3"]


def test_an_empty_wave_is_passed_over():
    accounts = Accounts({(OTHER, "production"): ["p1"]})
    machine(accounts).run()
    assert accounts.started == [(OTHER, "p1")]


def test_more_clusters_than_one_page_are_refused_rather_than_forgotten():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts)
    page = accounts.get_resources
    fleet.tasks["getResources"] = lambda parameters, role: page(parameters, role) | {"PaginationToken": "more"}
    with pytest.raises(Failed, match="TooManyClusters"):
        fleet.run()
    assert accounts.started == []


def test_every_call_is_retried():
    def tasks(states):
        for state in states.values():
            if state["Type"] == "Task":
                yield state
            if state["Type"] == "Map":
                yield from tasks(state["ItemProcessor"]["States"])

    found = list(tasks(machine(Accounts({})).definition["States"]))
    assert len(found) == 4
    assert all(state["Retry"][0]["ErrorEquals"] == ["States.ALL"] for state in found)


def test_the_member_role_is_for_the_fleet_alone_and_for_this_run():
    resources = member(OTHER)
    trust = resources["FleetRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert [statement["Principal"] for statement in trust] == [{"AWS": f"arn:aws:iam::{OTHER}:role/fleet-Role"}]
    documents = dict(policies({"Resources": {"FleetRole": resources["FleetRole"]}}))
    statements = {s["Sid"]: s for s in documents["FleetRole/StartARun"]["Statement"]}
    assert statements["RunTheTask"]["Resource"].endswith(":task-definition/ecs-updater:*")
    assert set(statements["GiveTheTaskItsRoles"]["Resource"]) == {
        f"arn:aws:iam::{HUB}:role/TaskRole",
        f"arn:aws:iam::{HUB}:role/ExecutionRole",
    }
    place = json.loads(resources["RunParameter"]["Properties"]["Value"])
    cluster = f"arn:*:ecs:*:*:cluster/{place['cluster']}"
    assert statements["RunTheTask"]["Condition"] == {"ArnEquals": {"ecs:cluster": cluster}}
    assert place["networkConfiguration"]["awsvpcConfiguration"]["subnets"] == [
        "subnet-0123456789abcdef0",
        "subnet-0123456789abcdef1",
    ]


def test_the_names_of_both_templates_agree():
    """The fleet may assume exactly the role that the members make."""
    fleet = resolve(template("fleet.yaml"), {"Accounts": HUB}, stack="fleet")
    (allowed,) = [
        statement["Resource"]
        for _, document in policies(fleet)
        for statement in document["Statement"]
        if statement.get("Sid") == "ActInTheAccounts"
    ]
    assert allowed == f"arn:aws:iam::*:role/{member()['FleetRole']['Properties']['RoleName']}"
