"""The waves of fleet.yaml: its state machine, run on stand-ins for the AWS calls that it makes."""

import itertools
import json

import pytest

from conftest import ROOT, TEMPLATES, template
from resolve import policies, resolve
from states import Failed, Machine, stamp

HUB, OTHER = "123456789012", "210987654321"
TOPIC = f"arn:aws:sns:eu-west-1:{HUB}:approvals"
# What a cluster's run writes when it is over (docs/operations.md, "Metrics"), where all went well.
WELL = {"AnotherRun": 0, "Updated": 2, "Outdated": 0, "Held": 0, "Failed": 0, "OutOfService": 0, "OldestDrain": 0}


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
    """What the accounts have: clusters by wave, how their runs end, and what these say of their cluster."""

    def __init__(self, clusters, ends=None, says=None):
        self.clusters, self.ends, self.says = clusters, ends or {}, says or {}
        self.started, self.polls, self.overrides = [], {}, []
        self.place = member()["RunParameter"]["Properties"]["Value"]
        self.reads = 0

    def get_resources(self, parameters, role):
        assert parameters["ResourceTypeFilters"] == ["ecs:cluster"]
        assert parameters["TagFilters"][0]["Key"] == "ecs-updater:wave"
        (wave,) = parameters["TagFilters"][0]["Values"]
        names = self.clusters.get((self.account(role), wave), [])
        arns = [arn(self.account(role), name) for name in names]
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
        given = {variable["Name"]: variable["Value"] for variable in override["Environment"]}
        self.overrides.append(given)
        assert set(given) == {"ECS_UPDATER_CLUSTERS", "ECS_UPDATER_WINDOW_WAIT"}
        name = given["ECS_UPDATER_CLUSTERS"]
        end = self.ends.get(name, 0)
        if end == "throttled":
            raise Failed("Ecs.ThrottlingException", "Rate exceeded")
        self.started.append((self.account(role), name))
        if end == "no room":
            return {"Tasks": [], "Failures": [{"Reason": "Capacity is unavailable at this time"}]}
        return {"Tasks": [{"TaskArn": f"arn:aws:ecs:eu-west-1:{HUB}:task/ops/{name}"}], "Failures": []}

    def describe_tasks(self, parameters, role):
        (task,) = parameters["Tasks"]
        name = task.rsplit("/", 1)[1]
        self.polls[name] = self.polls.get(name, 0) + 1
        end = self.ends.get(name, 0)
        if end == "gone":
            return {"Tasks": [], "Failures": [{"Reason": "MISSING"}]}
        if self.polls[name] < 3 or end == "hangs":
            return {"Tasks": [{"LastStatus": "RUNNING", "Containers": [{}]}]}
        if end == "killed":
            return {"Tasks": [{"LastStatus": "STOPPED", "StoppedReason": "Task stopped by user", "Containers": [{}]}]}
        return {"Tasks": [{"LastStatus": "STOPPED", "Containers": [{} if end == "no start" else {"ExitCode": end}]}]}

    def lines(self, name):
        says = self.says.get(name, {})
        if says is None:
            return []
        line = {"_aws": {"CloudWatchMetrics": []}, "Updater": "ecs-updater", "Cluster": name, "run": "01KAQ3X9"}
        return [
            '{"level":"INFO","fields":{"message":"ends"}}',
            json.dumps(line | (says if "only" in says else WELL | says)),
        ]

    def filter_log_events(self, parameters, role):
        self.reads += 1
        assert parameters["LogGroupName"] == "/ecs-updater/ecs-updater"
        (stream,) = parameters["LogStreamNames"]
        name = stream.removeprefix("run/ecs-updater/")
        assert parameters["FilterPattern"] == f'{{ $.Cluster = "{name}" }}'
        found = [line for line in self.lines(name) if json.loads(line).get("Cluster") == name]
        return {"Events": [{"Message": line + "\n"} for line in found], "SearchedLogStreams": []}


class Watched:
    """CloudWatch's alarms, which change at moments of the machine's clock."""

    def __init__(self, **states):
        self.states, self.changed, self.asked = states, dict.fromkeys(states, "2026-11-01T00:00:00.000Z"), []

    def change(self, machine, seconds, name, state):
        def now():
            self.states[name], self.changed[name] = state, stamp(machine.now)

        machine.plan(seconds, now)

    def describe(self, parameters, role):
        assert role is None
        assert parameters["AlarmTypes"] == ["MetricAlarm", "CompositeAlarm"]
        self.asked.append(parameters["AlarmNames"])
        found = [
            {"AlarmName": name, "StateValue": state, "StateTransitionedTimestamp": self.changed[name]}
            for name, state in self.states.items()
            if name in parameters["AlarmNames"]
        ]
        # A list of none is left out.
        return {key: part for key, part in [("MetricAlarms", found[:1]), ("CompositeAlarms", found[1:])] if part}


def arn(account, name):
    return f"arn:aws:ecs:eu-west-1:{account}:cluster/{name}"


def machine(accounts, alarms=None, **parameters):
    given = {"Accounts": f"{HUB},{OTHER}", "Waves": "test,production", **parameters}
    definition = resolve(template("fleet.yaml"), given, stack="fleet")["Resources"]["StateMachine"]["Properties"][
        "Definition"
    ]

    def nobody(*_):
        raise AssertionError("called although nothing of that kind is set")

    tasks = {
        "listExecutions": lambda parameters, role: {"Executions": [{"ExecutionArn": "arn:execution"}]},
        "getResources": accounts.get_resources,
        "getParameter": accounts.get_parameter,
        "runTask": accounts.run_task,
        "describeTasks": accounts.describe_tasks,
        "filterLogEvents": accounts.filter_log_events,
        "describeAlarms": alarms.describe if alarms else nobody,
        "publish.waitForTaskToken": nobody,
    }
    return Machine(definition, tasks)


CLUSTERS = {(HUB, "test"): ["t1", "t2"], (OTHER, "test"): ["t3"], (OTHER, "production"): ["p1", "p2"]}
ALL = ["t1", "t2", "t3", "p1", "p2"]
# A wave of three clusters, each looked at three times.
RUN = 3 * 60


def names(accounts):
    return [name for _, name in accounts.started]


def stopped(fleet, error, given=None):
    """What the execution ends with."""
    with pytest.raises(Failed) as failed:
        fleet.run(given)
    assert failed.value.error == error, failed.value
    return failed.value.cause


def test_the_waves_run_in_their_order_over_all_accounts():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts, Concurrency="7")
    done = fleet.run()
    assert accounts.started == [(HUB, "t1"), (HUB, "t2"), (OTHER, "t3"), (OTHER, "p1"), (OTHER, "p2")]
    assert fleet.waited == 5 * RUN
    assert [most for comment, most, _ in fleet.at_once if comment.startswith("One after")] == [1]
    assert {(most, kind) for comment, most, kind in fleet.at_once if comment.startswith("An execution")} == {(7, int)}
    assert done == [
        {"wave": "test", "clusters": 3, "skipped": []},
        {"wave": "production", "clusters": 2, "skipped": []},
    ]


def test_a_batch_ends_before_the_next_one_begins():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts, Concurrency="2")
    fleet.run()
    assert names(accounts) == ALL
    assert [most for comment, most, _ in fleet.at_once if comment.startswith("In turn")] == [1, 1]
    assert len([1 for comment, *_ in fleet.at_once if comment.startswith("An execution")]) == 3


# 5 is a run that updated nothing, which shows nothing of a release.
@pytest.mark.parametrize(
    ("end", "why"),
    [
        (1, "exit code 1, 0 instances failed or were rolled back; the report is in log group /ecs-updater/ecs-updater"),
        (4, "exit code 4, 0 instances"),
        (5, "exit code 5, 0 instances"),
        ("no start", "ECS does not say how its run ended"),
        ("killed", "its run ended without an exit code (Task stopped by user)"),
        ("no room", "ECS refused to start its run"),
        ("gone", "ECS does not say how its run ended"),
        ("throttled", "its run could not be started (Ecs.ThrottlingException, Rate exceeded)"),
        ("hangs", "its run is still at work after 31 hours"),
    ],
)
def test_a_failure_lets_its_wave_end_and_begins_no_other(end, why):
    accounts = Accounts(CLUSTERS, {"t1": end})
    cause = stopped(machine(accounts), "WaveFailed")
    assert cause.startswith("1 clusters of wave test failed; later waves were not begun. ")
    (said,) = json.loads(cause.split(". ", 1)[1])
    assert said.startswith(f"{arn(HUB, 't1')}: {why}")
    assert names(accounts) == [name for name in ["t1", "t2", "t3"] if end != "throttled" or name != "t1"]


def test_a_call_that_is_refused_once_is_made_again():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts)
    refusals = iter(range(3))
    inner = fleet.tasks["runTask"]

    def run_task(parameters, role):
        if next(refusals, None) is not None:
            raise Failed("Ecs.ThrottlingException", "Rate exceeded")
        return inner(parameters, role)

    fleet.tasks["runTask"] = run_task
    fleet.run()
    assert names(accounts) == ALL


# Which code the run ends with depends on what else it did.
@pytest.mark.parametrize("code", [0, 1, 5])
def test_a_wave_stops_at_the_first_cluster_whose_release_is_held(code):
    accounts = Accounts(CLUSTERS, {"t1": code}, {"t1": {"Held_version_failed_elsewhere": 4, "Outdated": 4}})
    cause = stopped(machine(accounts, Concurrency="1"), "ReleaseHeld")
    assert cause.startswith("the release is held in wave test; no further cluster and no later wave was begun. ")
    (said,) = json.loads(cause.split(" begun. ", 1)[1])
    assert said == (
        f"{arn(HUB, 't1')}: the release is held for 4 instances, since it failed on others of the cluster "
        "(version_failed_elsewhere); the report is in log group /ecs-updater/ecs-updater"
    )
    assert names(accounts) == ["t1"]


def test_a_failure_before_a_held_release_does_not_hide_it():
    accounts = Accounts(CLUSTERS, {"t1": 1}, {"t1": {"Failed": 2}, "t2": {"Held_version_failed_elsewhere": 1}})
    assert arn(HUB, "t2") in stopped(machine(accounts, Concurrency="1"), "ReleaseHeld")
    assert names(accounts) == ["t1", "t2"]


def test_a_cause_names_the_first_twenty_and_stays_short():
    many = [f"a-cluster-of-{number:03}" for number in range(100)]
    accounts = Accounts({(HUB, "test"): many}, dict.fromkeys(many, 1))
    cause = stopped(machine(accounts, Concurrency="100"), "WaveFailed")
    assert cause.startswith("100 clusters of wave test failed")
    assert len(json.loads(cause.split(". ", 1)[1])) == 20


def test_an_empty_wave_is_passed_over():
    accounts = Accounts({(OTHER, "production"): ["p1"]})
    done = machine(accounts).run()
    assert accounts.started == [(OTHER, "p1")]
    assert done[0] == {"wave": "test", "clusters": 0}


def test_nobody_is_asked_about_an_empty_wave_and_nothing_is_waited_for():
    accounts = Accounts({(OTHER, "test"): ["t1"]})
    alarms = Watched(up="OK")
    given = {"ApproveWaves": "production", "ApprovalTopicArn": TOPIC, "BakeMinutes": "60", "Alarms": "up"}
    fleet = machine(accounts, alarms, **given)
    fleet.run()
    assert (names(accounts), fleet.waited, len(alarms.asked)) == (["t1"], RUN, 1)


def test_more_clusters_than_one_page_are_refused_rather_than_forgotten():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts)
    page = accounts.get_resources
    fleet.tasks["getResources"] = lambda parameters, role: page(parameters, role) | {"PaginationToken": "more"}
    stopped(fleet, "TooManyClusters")
    assert accounts.started == []


# --- What a run says at its end


def test_the_line_of_metrics_may_come_late_and_on_a_later_page():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts)
    answers = itertools.chain(
        [{"Events": []}, {}, {"Events": [], "NextToken": "2"}, {"NextToken": "3"}], itertools.repeat(None)
    )
    tokens = []

    def filter_log_events(parameters, role):
        tokens.append(parameters.pop("NextToken", None))
        answer = next(answers)
        return accounts.filter_log_events(parameters, role) if answer is None else answer

    fleet.tasks["filterLogEvents"] = filter_log_events
    fleet.run()
    assert tokens[:6] == [None, None, None, "2", "3", None]
    assert fleet.waited == 5 * RUN + 2 * 30


@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_does_not_say_how_the_cluster_is_is_no_success(code):
    accounts = Accounts(CLUSTERS, {"t1": code}, {"t1": None})
    fleet = machine(accounts)
    cause = stopped(fleet, "WaveFailed")
    assert f"exit code {code}, and log group /ecs-updater/ecs-updater does not say how it stands" in cause
    assert fleet.waited == 3 * RUN + 5 * 30


def test_a_report_that_may_not_be_read_is_no_success():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts)

    def refused(*_):
        raise Failed("CloudWatchLogs.AccessDeniedException", "no")

    fleet.tasks["filterLogEvents"] = refused
    cause = stopped(fleet, "WaveFailed")
    assert cause.startswith("3 clusters of wave test failed")
    assert "could not be read in log group /ecs-updater/ecs-updater (CloudWatchLogs.AccessDeniedException, no)" in cause


@pytest.mark.parametrize(
    ("says", "code", "why"),
    [
        ({"only": 1, "AnotherRun": 1}, 0, "another run is at work there, so that this one did nothing (another_run)"),
        ({"only": 1, "AnotherRun": 0}, 0, "its run did not look at the cluster"),
        ({"only": 1, "AnotherRun": 0}, 3, "exit code 3, and the cluster could not be looked at"),
        ({"Failed": 2}, 1, "exit code 1, 2 instances failed or were rolled back"),
        *(
            ({f"Held_{reason}": 1}, 0, "its own alarms, services or canaries hold the release")
            for reason in (
                "alarm_firing",
                "alarm_unknown",
                "service_unsteady",
                "canary_failed",
                "canary_lost",
                "bake_unknown",
            )
        ),
    ],
)
def test_what_shows_nothing_of_a_release_begins_no_later_wave(says, code, why):
    accounts = Accounts(CLUSTERS, {"t2": code}, {"t2": says})
    cause = stopped(machine(accounts, UnfinishedClusters="skip"), "WaveFailed")
    assert f"{arn(HUB, 't2')}: {why}" in cause
    assert names(accounts) == ["t1", "t2", "t3"]


# --- Windows by account

REASONS = ["outside_window", "frozen", "paused", "baking", "out_of_time"]


@pytest.mark.parametrize("reason", REASONS)
def test_a_cluster_that_goes_on_later_begins_no_later_wave(reason):
    accounts = Accounts(CLUSTERS, {}, {"t2": {f"Held_{reason}": 3, "Outdated": 3}})
    cause = stopped(machine(accounts), "WaveUnfinished")
    assert cause.startswith("1 of 3 clusters of wave test are not done yet; later waves were not begun. ")
    assert f"{arn(HUB, 't2')}: " in cause
    assert f"({reason})" in cause
    assert names(accounts) == ["t1", "t2", "t3"]


@pytest.mark.parametrize("reason", REASONS)
def test_a_cluster_that_goes_on_later_may_be_skipped_and_is_named(reason):
    accounts = Accounts(CLUSTERS, {}, {"t2": {f"Held_{reason}": 3}})
    done = machine(accounts, UnfinishedClusters="skip").run()
    (skipped,) = done[0]["skipped"]
    assert skipped.startswith(f"{arn(HUB, 't2')}: ")
    assert skipped.endswith(f"({reason})")
    assert names(accounts) == ALL


def test_a_wave_of_which_all_are_skipped_shows_nothing():
    accounts = Accounts(CLUSTERS, {}, {name: {"Held_outside_window": 1} for name in ("t1", "t2", "t3")})
    cause = stopped(machine(accounts, UnfinishedClusters="skip"), "WaveUnfinished")
    assert cause.startswith("3 of 3 clusters of wave test are not done yet")


def test_a_failure_is_not_hidden_by_a_cluster_that_goes_on_later():
    accounts = Accounts(CLUSTERS, {"t1": 1}, {"t2": {"Held_outside_window": 1}})
    cause = stopped(machine(accounts, UnfinishedClusters="skip"), "WaveFailed")
    assert cause.startswith("1 clusters of wave test failed")
    assert len(json.loads(cause.split(". ", 1)[1])) == 2


@pytest.mark.parametrize("wait", ["", "0s", "8h"])
def test_a_run_is_told_how_long_it_may_wait_for_its_window(wait):
    accounts = Accounts(CLUSTERS)
    machine(accounts, WindowWait=wait).run()
    assert {given["ECS_UPDATER_WINDOW_WAIT"] for given in accounts.overrides} == {wait}


# --- Bakes and alarms


@pytest.mark.parametrize(("minutes", "waits"), [("0", 0), ("1", 300), ("12", 900), ("4320", 4320 * 60)])
@pytest.mark.parametrize("alarms", [None, {"up": "OK", "down": "OK"}])
def test_a_bake_is_waited_out_between_the_waves(minutes, waits, alarms):
    accounts = Accounts(CLUSTERS)
    watched = Watched(**alarms) if alarms else None
    fleet = machine(accounts, watched, BakeMinutes=minutes, Alarms=",".join(alarms or ""))
    fleet.run()
    assert names(accounts) == ALL
    assert fleet.waited == 5 * RUN + waits
    if watched:
        assert len(watched.asked) == 2 + waits // 300
        assert all(asked == ["up", "down"] for asked in watched.asked)


def test_a_bake_comes_before_each_wave_but_the_first():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts, BakeMinutes="30", Waves="test,none,production")
    fleet.run()
    assert fleet.waited == 5 * RUN + 30 * 60


def test_an_alarm_that_fires_in_the_bake_stops_the_later_waves():
    accounts, alarms = Accounts(CLUSTERS), Watched(up="OK", down="OK")
    fleet = machine(accounts, alarms, BakeMinutes="60", Alarms="up,down")
    alarms.change(fleet, 3 * RUN + 700, "down", "ALARM")
    cause = stopped(fleet, "AlarmsNotOk")
    assert cause == 'wave production was not begun, nor a later one. the alarms ["up","down"] are ["OK","ALARM"]'
    assert names(accounts) == ["t1", "t2", "t3"]
    assert fleet.waited == 3 * RUN + 900, "at the next look"


def test_an_alarm_that_fires_between_two_looks_is_not_missed():
    accounts, alarms = Accounts(CLUSTERS), Watched(up="OK", down="OK")
    fleet = machine(accounts, alarms, BakeMinutes="60", Alarms="up,down")
    alarms.change(fleet, 3 * RUN + 610, "up", "ALARM")
    alarms.change(fleet, 3 * RUN + 700, "up", "OK")
    cause = stopped(fleet, "AlarmsNotOk")
    assert 'of the alarms ["up","down"], 1 became OK only while the wave before was watched' in cause
    assert names(accounts) == ["t1", "t2", "t3"]


def test_what_an_alarm_was_before_the_bake_does_not_matter():
    accounts, alarms = Accounts(CLUSTERS), Watched(up="OK")
    fleet = machine(accounts, alarms, BakeMinutes="60", Alarms="up")
    alarms.change(fleet, 100, "up", "ALARM")
    alarms.change(fleet, 200, "up", "OK")
    fleet.run()
    assert names(accounts) == ALL


@pytest.mark.parametrize(
    ("states", "why"),
    [
        ({"up": "ALARM", "down": "OK"}, 'the alarms ["up","down"] are ["ALARM","OK"]'),
        ({"up": "OK", "down": "INSUFFICIENT_DATA"}, 'the alarms ["up","down"] are ["OK","INSUFFICIENT_DATA"]'),
        ({"up": "OK"}, 'of the alarms ["up","down"] only ["up"] exist'),
        ({}, 'of the alarms ["up","down"] only [] exist'),
    ],
)
def test_nothing_is_begun_while_an_alarm_is_not_ok_or_not_there(states, why):
    accounts = Accounts(CLUSTERS)
    cause = stopped(machine(accounts, Watched(**states), Alarms="up,down"), "AlarmsNotOk")
    assert cause == f"wave test was not begun, nor a later one. {why}"
    assert accounts.started == []


def test_alarms_that_may_not_be_read_are_not_ok():
    accounts, asked = Accounts(CLUSTERS), []
    fleet = machine(accounts, Watched(), Alarms="up")

    def refused(*_):
        asked.append(1)
        raise Failed("CloudWatch.AccessDeniedException", "not authorized")

    fleet.tasks["describeAlarms"] = refused
    cause = stopped(fleet, "AlarmsNotOk")
    assert "the alarms could not be read (CloudWatch.AccessDeniedException: not authorized)" in cause
    assert (accounts.started, len(asked)) == ([], 5)


# --- Approvals


def asking(accounts, answer, alarms=None, **parameters):
    """A fleet whose wave production is asked about; `answer` gets the machine, the token and the message."""
    given = {"ApproveWaves": "production", "ApprovalTopicArn": TOPIC, **parameters}
    fleet = machine(accounts, alarms, **given)
    fleet.asked = []

    def publish(parameters, role):
        assert (parameters["TopicArn"], role) == (TOPIC, None)
        assert 0 < len(parameters["Subject"]) <= 100
        message = parameters["Message"]
        fleet.asked.append(message)
        token = message["approve"].rsplit(" ", 1)[1]
        assert message["refuse"].endswith(f"--task-token {token}")
        answer(fleet, token)
        return {"MessageId": "m"}

    fleet.tasks["publish.waitForTaskToken"] = publish
    return fleet


def test_an_approval_lets_the_wave_begin():
    accounts = Accounts(CLUSTERS)
    fleet = asking(accounts, lambda fleet, token: fleet.plan(7200, lambda: fleet.answer(token, True)))
    fleet.run()
    (message,) = fleet.asked
    assert message["question"] == "May wave production begin, with 2 clusters?"
    assert message["approve"].startswith("aws stepfunctions send-task-success --region eu-west-1 --task-output true ")
    assert message["execution"] == "arn:execution"
    assert names(accounts) == ALL
    assert fleet.waited == 5 * RUN + 7200


def test_it_is_asked_after_the_bake_and_the_alarms_are_looked_at_after_it():
    accounts, alarms = Accounts(CLUSTERS), Watched(up="OK")

    def answer(fleet, token):
        assert fleet.waited == 3 * RUN + 600
        alarms.change(fleet, 100, "up", "ALARM")
        fleet.plan(200, lambda: fleet.answer(token, True))

    fleet = asking(accounts, answer, alarms, BakeMinutes="10", Alarms="up")
    assert 'the alarms ["up"] are ["ALARM"]' in stopped(fleet, "AlarmsNotOk")
    assert names(accounts) == ["t1", "t2", "t3"]
    assert len(fleet.asked) == 1


@pytest.mark.parametrize("error", ["Refused", "SNS.SomethingElse", "States.TaskFailed"])
def test_a_refusal_is_final_whatever_its_name_and_is_not_asked_about_again(error):
    accounts = Accounts(CLUSTERS)
    fleet = asking(accounts, lambda fleet, token: fleet.plan(60, lambda: fleet.answer(token, Failed(error, "freeze"))))
    cause = stopped(fleet, "NotApproved")
    assert cause == f"wave production was not approved ({error}, freeze); neither it nor a later one was begun"
    assert (names(accounts), len(fleet.asked)) == (["t1", "t2", "t3"], 1)


@pytest.mark.parametrize(("hours", "seconds"), [("1", 3600), ("168", 604_800)])
def test_a_question_that_nobody_answers_ends(hours, seconds):
    accounts = Accounts(CLUSTERS)
    fleet = asking(accounts, lambda *_: None, ApprovalHours=hours)
    cause = stopped(fleet, "NotApprovedInTime")
    assert cause == f"nobody approved wave production within {hours} hours; neither it nor a later one was begun"
    assert names(accounts) == ["t1", "t2", "t3"]
    assert fleet.waited == 3 * RUN + seconds


def test_a_second_answer_is_told_that_it_is_one_and_changes_nothing():
    accounts, told = Accounts(CLUSTERS), []

    def again(fleet, token, result):
        with pytest.raises(Failed) as failed:
            fleet.answer(token, result)
        told.append(failed.value.error)

    def answer(fleet, token):
        fleet.plan(60, lambda: fleet.answer(token, True))
        fleet.plan(60, lambda: again(fleet, token, True))
        fleet.plan(61, lambda: again(fleet, token, Failed("Refused")))

    fleet = asking(accounts, answer)
    fleet.run()
    assert (names(accounts), told) == (ALL, ["TaskTimedOut", "TaskTimedOut"])


def test_an_answer_after_the_end_or_with_another_token_approves_nothing():
    accounts, told = Accounts(CLUSTERS), []

    def try_it(fleet, token):
        with pytest.raises(Failed) as failed:
            fleet.answer(token, True)
        told.append(failed.value.error)

    fleet = asking(accounts, lambda fleet, token: fleet.plan(60, lambda: try_it(fleet, token + "x")), ApprovalHours="1")
    stopped(fleet, "NotApprovedInTime")
    try_it(fleet, next(iter(fleet.tokens)))
    assert (names(accounts), told) == (["t1", "t2", "t3"], ["InvalidToken", "TaskTimedOut"])


@pytest.mark.parametrize(("error", "times"), [("SNS.AuthorizationErrorException", 1), ("SNS.ThrottledException", 5)])
def test_a_question_that_cannot_be_asked_is_no_approval(error, times):
    """The token is lost with it."""
    accounts, tries = Accounts(CLUSTERS), []

    def answer(fleet, token):
        tries.append(token)
        raise Failed(error, "no")

    assert f"was not approved ({error}, no)" in stopped(asking(accounts, answer), "NotApproved")
    assert names(accounts) == ["t1", "t2", "t3"]
    assert len(set(tries)) == len(tries) == times


@pytest.mark.parametrize(
    ("parameters", "error", "why"),
    [
        ({"ApproveWaves": "prodution", "ApprovalTopicArn": TOPIC}, "UnknownWave", "prodution is to be approved"),
        ({"ApproveWaves": "production"}, "NobodyToAsk", "has no ApprovalTopicArn"),
    ],
)
def test_what_cannot_be_asked_about_is_noticed_before_anything_begins(parameters, error, why):
    accounts = Accounts(CLUSTERS)
    assert why in stopped(machine(accounts, **parameters), error)
    assert accounts.started == []


# --- Executions


def test_an_execution_leaves_the_waves_to_the_one_that_began_before():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts)
    given = [{"ExecutionArn": "arn:execution"}, {"ExecutionArn": "arn:older"}]
    fleet.tasks["listExecutions"] = lambda parameters, role: {"Executions": given}
    assert fleet.run() == {"nothing_begun": "arn:older is still at work"}
    assert accounts.started == []
    given.reverse()
    fleet.run()
    assert names(accounts) == ALL


def test_an_execution_that_cannot_see_others_begins_nothing():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts)
    fleet.tasks["listExecutions"] = lambda parameters, role: {"Executions": []}
    stopped(fleet, "States.IntrinsicFailure")
    assert accounts.started == []


def test_the_input_names_the_waves_to_go_on_with():
    accounts = Accounts(CLUSTERS)
    fleet = machine(accounts, BakeMinutes="60")
    fleet.run({"waves": ["production"]})
    assert (names(accounts), fleet.waited) == (["p1", "p2"], 2 * RUN)


def test_every_call_is_retried():
    def tasks(states):
        for state in states.values():
            if state["Type"] == "Task":
                yield state
            if state["Type"] == "Map":
                yield from tasks(state["ItemProcessor"]["States"])

    found = list(tasks(machine(Accounts({})).definition["States"]))
    asks = [state for state in found if state["Resource"].endswith("waitForTaskToken")]
    assert (len(found), len(asks)) == (9, 1)
    assert all(state["Retry"][0]["ErrorEquals"] == ["States.ALL"] for state in found if state not in asks)
    assert all("States.ALL" not in rule["ErrorEquals"] for rule in asks[0]["Retry"])


def test_every_state_of_the_machine_is_entered_by_these_tests_or_can_be():
    """A state that nothing leads to is a branch that somebody forgot."""

    def check(machine):
        states = machine["States"]
        led_to = {machine["StartAt"]}
        for state in states.values():
            rules = [*state.get("Choices", []), *state.get("Catch", [])]
            led_to |= {rule["Next"] for rule in rules} | {state[key] for key in ("Next", "Default") if key in state}
            if state["Type"] == "Map":
                check(state["ItemProcessor"])
        assert led_to == set(states)

    check(machine(Accounts({})).definition)


# --- Permissions


def statements(**parameters):
    fleet = resolve(template("fleet.yaml"), {"Accounts": HUB, **parameters}, stack="fleet")
    return {
        statement["Sid"]: statement
        for where, document in policies(fleet)
        for statement in document["Statement"]
        if where in ("Role/RunTheWaves", "ApprovePolicy")
    }


def test_the_role_has_what_is_asked_for_and_no_more():
    small, large = statements(), statements(Alarms="up", ApproveWaves="test", ApprovalTopicArn=TOPIC)
    assert set(large) - set(small) == {"LookAtAlarms", "AskForApproval", "Answer", "FindTheExecution", "FindTheToken"}
    assert (large["AskForApproval"]["Action"], large["AskForApproval"]["Resource"]) == ("sns:Publish", TOPIC)
    assert large["LookAtAlarms"]["Action"] == "cloudwatch:DescribeAlarms"
    own = f"arn:aws:states:eu-west-1:{HUB}:stateMachine:fleet"
    assert small["SeeOtherExecutions"]["Resource"] == large["FindTheExecution"]["Resource"] == own
    assert large["Answer"]["Action"] == ["states:SendTaskFailure", "states:SendTaskSuccess"]


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


def test_the_fleet_reads_the_log_that_the_member_writes():
    resources = member()
    options = resources["TaskDefinition"]["Properties"]["ContainerDefinitions"][0]["LogConfiguration"]["Options"]
    assert options["awslogs-stream-prefix"] == "run"
    family = resources["TaskDefinition"]["Properties"]["Family"]
    assert resources["LogGroup"]["Properties"]["LogGroupName"] == f"/ecs-updater/{family}"
    assert json.loads(resources["RunParameter"]["Properties"]["Value"])["taskDefinition"] == family
    documents = dict(policies({"Resources": {"FleetRole": resources["FleetRole"]}}))
    (read,) = [s for s in documents["FleetRole/StartARun"]["Statement"] if s["Action"] == "logs:FilterLogEvents"]
    assert read["Resource"] == f"arn:aws:logs:eu-west-1:{HUB}:log-group:LogGroup:*"


def test_the_names_of_both_templates_agree():
    """The fleet may assume exactly the role that the members make."""
    allowed = statements()["ActInTheAccounts"]["Resource"]
    assert allowed == f"arn:aws:iam::*:role/{member()['FleetRole']['Properties']['RoleName']}"


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "ecs-updater.yaml"])
def test_a_template_can_be_handed_over_directly(name):
    """As docs/deploy.md does; ecs-updater.json is the short form of the one that cannot."""
    assert len((ROOT / name).read_bytes()) <= 51_200
