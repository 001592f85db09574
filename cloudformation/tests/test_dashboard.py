"""The dashboard: that it draws the metrics there are, all of them, from logs as they are, and in moto's server."""

import json
import re
import subprocess
import sys

import pytest

import draw
from cloud import Cloud
from conftest import HERE, ROOT, moto_server, template
from resolve import resolve

SOURCES = ROOT.parent / "ecs-updater" / "src"
METRICS = (SOURCES / "render" / "metrics.rs").read_text()
# What the Region calls a metric that no line names in full: its beginning.
OPEN = {"Held_", "Version_"}
# Of the metrics of a cluster alone, those that are not drawn by cluster.
NOT_BY_CLUSTER = {
    "Updated": "the sum is drawn; the log says what was done where",
    "Failed": "the sum is drawn; the log names the instance and the cluster",
    "Held": "drawn by reason, which adds up to it",
    "AnotherRun": "the sum is drawn; the log names the cluster",
    "OldestDrain": "the longest is drawn; OutOfService beside it is by cluster",
}


def written():
    """The metrics of the source: those of the run, and those of a cluster, where OPEN ones are beginnings."""

    def function(name):
        return re.search(rf"\nfn {name}\b.*?\n}}\n", METRICS, re.DOTALL)[0]

    def names(*functions):
        text = "".join(map(function, functions))
        found = re.findall(r'(?:count|metric)\((?:format!\()?"(\w+)', text)
        return {next((one for one in OPEN if name.startswith(one)), name) for name in found}

    return names("of_run", "states"), names("of_cluster", "states", "versions")


def dashboard(**parameters):
    return draw.body(**parameters)


def graphs(body):
    return [one["properties"] for one in body["widgets"] if one["type"] == "metric"]


def queries(body):
    return [one["properties"]["query"] for one in body["widgets"] if one["type"] == "log"]


def drawn(body):
    """The names that are drawn of the run and of clusters, and the (partial) terms of searches."""
    of_run, exact, partial = set(), set(), set()
    for properties in graphs(body):
        for row in properties["metrics"]:
            expression = row[-1].get("expression", "")
            if expression.startswith("SEARCH"):
                terms = re.sub(r"NOT \S+", "", expression)
                exact |= set(re.findall(r'MetricName="(\w+)"', terms))
                partial |= set(re.findall(r"MetricName=(\w+)", terms))
            elif not expression:
                of_run.add(row[1])
    return of_run, exact, partial


def test_the_source_has_the_metrics_that_this_test_knows_how_to_read():
    of_run, of_cluster = written()
    assert {
        "AnotherRun",
        "NothingUpdated",
        "Updated",
        "OldestDrain",
        "DaysWithoutProgress",
        "OldestVersionDays",
    } <= of_run
    assert of_cluster - of_run == OPEN
    assert 'pub const NAMESPACE: &str = "EcsUpdater";' in METRICS
    assert 'pub const UPDATER: &str = "Updater";' in METRICS
    assert 'pub const CLUSTER: &str = "Cluster";' in METRICS


def test_each_metric_that_is_drawn_is_written_and_each_that_is_written_is_drawn():
    of_run, of_cluster = written()
    runs, exact, partial = drawn(dashboard())
    assert runs == of_run
    assert {f"{term}_" for term in partial} == OPEN
    closed = of_cluster - OPEN
    assert exact == closed - set(NOT_BY_CLUSTER)
    assert set(NOT_BY_CLUSTER) <= closed


def test_the_made_up_region_has_each_metric_of_a_cluster():
    of_run, of_cluster = written()
    for cluster, names in draw.METRICS.items():
        assert set(names) - {name for name in names if name.startswith(tuple(OPEN))} == of_cluster - OPEN, cluster
    assert set(draw.OF_THE_RUN) | set(draw.METRICS["web"]) >= of_run
    codes = set(re.findall(r'= "([a-z_]+)", "', (ROOT.parent / "models" / "src" / "reason.rs").read_text()))
    held = {name.removeprefix("Held_") for names in draw.METRICS.values() for name in names if "Held_" in name}
    assert held
    assert held <= codes


def test_what_the_made_up_region_counts_adds_up():
    for names in draw.METRICS.values():
        for day in range(draw.DAYS):

            def total(beginning, names=names, day=day):
                return sum(values[day] or 0 for name, values in names.items() if name.startswith(beginning))

            assert total("Held_") == names["Held"][day], day
            assert all(len(values) == draw.DAYS for values in names.values())


@pytest.mark.parametrize(("terms", "found"), [("Held", "Held_"), ("Version", "Version_")])
def test_a_search_finds_the_open_names_and_no_others(terms, found):
    (expression,) = [
        row[-1]["expression"]
        for properties in graphs(dashboard())
        for row in properties["metrics"]
        if f"MetricName={terms}" in row[-1].get("expression", "")
    ]
    names = {name for _, name in draw.search(expression, "ecs-updater")}
    assert names == {name for metrics in draw.METRICS.values() for name in metrics if name.startswith(found)}
    assert draw.search(expression, "another") == []
    assert len(expression) <= 1024


# The examples of CloudWatch's own documentation.
@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("CustomCount1", {"customcount1", "custom", "count", "1"}),
        ("SDBFailure", {"sdbfailure", "sdb", "failure"}),
        ("Project2-trial333", {"project2trial333", "project", "2", "trial", "333"}),
        ("Held_no_room", {"heldnoroom", "held", "no", "room"}),
    ],
)
def test_names_are_cut_into_tokens_as_cloudwatch_does(name, tokens):
    assert draw.tokens(name) == tokens


def test_the_log_has_the_fields_that_queries_ask_for():
    """Of several names in a `coalesce` one must be logged: the field has different names in different messages."""
    sources = "".join(path.read_text() for path in sorted(SOURCES.rglob("*.rs")))
    macros = re.findall(r"tracing::\$?\w+!\((.*?)\);", sources, re.DOTALL)
    fields = {"@timestamp", "level", "message"}
    for macro in macros:
        fields |= set(re.findall(r"(?:^|[\s(,])[%?]?(\w+)\s*(?==[^=]|,|\))", macro.split('"')[0]))
    of_runs = [query for query in queries(dashboard()) if "'/ecs-updater/ecs-updater'" in query]
    assert len(of_runs) == 2
    for query in of_runs:
        columns = draw.columns(query)
        assert columns[0] == ("@timestamp", ["@timestamp"])
        for name, parts in columns:
            assert set(parts) & fields, (name, parts)
        wanted = set(re.findall(r"ispresent\((\w+)\)", query))
        assert not wanted or wanted & fields
        assert re.search(r"\| sort @timestamp desc \| limit \d+$", query)
        assert draw.rows(query)[1], "it shows nothing of a log as it is"
    # The task's own log is in JSON: else no query finds a field.
    assert "--log-format, json" in (ROOT / "ecs-updater.yaml").read_text()


@pytest.mark.parametrize("parameters", [{}, {"AlarmArns": "", "LeaseTableName": ""}])
def test_widgets_have_a_place_of_their_own(parameters):
    taken = {}
    for one in dashboard(**parameters)["widgets"]:
        assert one["x"] >= 0
        assert one["width"] >= 1
        assert one["x"] + one["width"] <= 24
        what = json.dumps(one["properties"])[:80]
        for x in range(one["x"], one["x"] + one["width"]):
            for y in range(one["y"], one["y"] + one["height"]):
                assert (x, y) not in taken, (what, taken[x, y])
                taken[x, y] = what
    bottom = max(y for _, y in taken) + 1
    assert len(taken) == 24 * bottom, "a gap"


def test_every_widget_has_a_title_a_region_and_a_unit():
    body = dashboard()
    titles = [one["properties"].get("title") or one["properties"]["markdown"].split("\n")[0] for one in body["widgets"]]
    assert len(set(titles)) == len(titles)
    for one in body["widgets"]:
        if one["type"] in ("metric", "log"):
            assert one["properties"]["region"] == "eu-west-1"
    for properties in graphs(body):
        # Periods are a widget's own, and a run writes its metrics once: hours for the newest, days for all.
        assert properties["period"] in (3600, 86400)
        ids = [row[-1]["id"] for row in properties["metrics"] if "id" in row[-1]]
        assert len(ids) == len(set(ids))
        assert all(re.fullmatch(r"[a-z]\w*", one) for one in ids)
        if properties["view"] == "timeSeries":
            assert properties["yAxis"]["left"]["label"] in ("instances", "runs", "days", "hours")
            assert properties["yAxis"]["left"]["min"] == 0
    assert body["periodOverride"] == "inherit"
    # A search finds what has data of the last two weeks.
    assert body["start"] == "-P14D"


def test_thresholds_are_those_of_the_alarms():
    alarms = template()["Resources"]
    (line,) = [
        mark
        for properties in graphs(dashboard(NoProgressDays="30"))
        for mark in properties.get("annotations", {}).get("horizontal", [])
    ]
    assert line["value"] == 30
    assert line["label"].startswith("NoProgressAlarm")
    assert alarms["NoProgressAlarm"]["Properties"]["Threshold"] == {"Ref": "NoProgressDays"}
    limits = [tree["Parameters"]["NoProgressDays"] for tree in (template(), template("dashboard.yaml"))]
    assert [(limit["Default"], limit["MinValue"], limit["MaxValue"]) for limit in limits] == [(14, 7, 3650)] * 2
    assert alarms["LeftDrainingAlarm"]["Properties"]["Threshold"] == 0
    assert "LeftDrainingAlarm is on above 0" in json.dumps(dashboard())


def test_the_template_makes_nothing_but_the_dashboard():
    resources = template("dashboard.yaml")["Resources"].values()
    assert [resource["Type"] for resource in resources] == ["AWS::CloudWatch::Dashboard"]


def test_log_groups_and_alarms_are_those_of_the_stack():
    stack = resolve(
        template(),
        {"ClusterNames": "web", "Image": "i", "VpcId": "vpc-1", "SubnetIds": "subnet-1"},
        stack="rollouts",
    )["Resources"]
    groups = {stack[name]["Properties"]["LogGroupName"] for name in ("LogGroup", "EventLogGroup")}

    def asked(**parameters):
        return {re.match(r"SOURCE '([^']+)'", query)[1] for query in queries(dashboard(**parameters))}

    assert asked(Updater="rollouts") == groups
    assert asked(LogGroupName="/mine", EventLogGroupName="/ends") == {"/mine", "/ends"}
    alarms = {
        name for name, resource in template()["Resources"].items() if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert {name for name, _ in draw.ALARMS} == alarms
    (shown,) = [one for one in dashboard()["widgets"] if one["type"] == "alarm"]
    assert len(shown["properties"]["alarms"]) == len(alarms)
    without = dashboard(AlarmArns="")["widgets"]
    assert [one for one in without if one["type"] == "alarm"] == []
    assert len(without) == len(dashboard()["widgets"])


def test_the_commands_that_it_shows_are_those_of_the_program():
    arguments = (SOURCES / "args.rs").read_text()
    texts = "".join(one["properties"].get("markdown", "") for one in dashboard()["widgets"])
    commands = set(re.findall(r"ecs-updater ([a-z-]+)", texts))
    assert commands >= {"status", "pause", "finish", "plan", "forget-failed"}
    for command in commands:
        assert re.search(rf"^    {command.title().replace('-', '')}[({{,]", arguments, re.MULTILINE), command
    assert "export ECS_UPDATER_LEASE_TABLE=ecs-updater-LeaseTable-1QX7\n" in texts
    assert "export" not in dashboard(LeaseTableName="")["widgets"][0]["properties"]["markdown"]
    documents = "".join((ROOT.parent / "docs" / name).read_text() for name in ("operations.md", "deploy.md"))
    for code in re.findall(r"^\| `([a-z_]+)` \|", texts, re.MULTILINE):
        assert f"`{code}`" in documents, code


def section(page, heading):
    text = (ROOT.parent / "docs" / page).read_text()
    level = heading.split(" ")[0]
    return re.split(rf"^#{{2,{len(level)}}} ", text.split(f"\n{heading}\n")[1], flags=re.MULTILINE)[0]


def test_the_pages_say_what_there_is():
    metrics = section("operations.md", "## Metrics") + section("operations.md", "### The dashboard")
    of_run, of_cluster = written()
    for name in of_run | of_cluster:
        assert f"| `{name}`" in metrics, name
    shown = section("operations.md", "### The dashboard")
    titles = [one["properties"].get("title", "") for one in dashboard()["widgets"]]
    for quoted in re.findall(r'"([^"]+)"', shown):
        assert quoted in titles
    assert "](dashboard.svg)" in shown
    deployed = section("deploy.md", "## The dashboard")
    given = set(re.findall(r"(\w+)=", deployed.split("--parameter-overrides")[1].split("```")[0]))
    assert given <= set(template("dashboard.yaml")["Parameters"])
    assert {"Updater", "ClusterNames", "LeaseTableName", "AlarmArns"} <= given
    for name, spec in template("dashboard.yaml")["Parameters"].items():
        (row,) = [line for line in deployed.splitlines() if line.startswith("| ") and f"`{name}`" in line.split("|")[1]]
        default = {"Updater": "`ecs-updater`", "NoProgressDays": "`14`", "ClusterNames": "required"}.get(name)
        assert default is None or row.rstrip().endswith(f"| {default} |")
        assert str(spec.get("Default", "required")).strip("`") in row or spec["Default"] == ""


def test_the_silence_of_a_host_is_made_of_what_aws_sends():
    """The pattern against an event of ECS as its documentation shows it, by EventBridge's own rules in moto."""
    recipe = section("operations.md", "### Silence a host's alerts while it is out of service")
    (pattern,) = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", recipe, re.DOTALL)]
    from moto.events.models import EventPattern

    def matches(status, **more):
        event = {
            "version": "0",
            "id": "8952ba83-7be2-4ab5-9c32-6687532d15a2",
            "detail-type": "ECS Container Instance State Change",
            "source": "aws.ecs",
            "account": "123456789012",
            "time": "2026-11-30T03:04:05Z",
            "region": "eu-west-1",
            "resources": [],
            "detail": {
                "agentConnected": True,
                "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/web",
                "ec2InstanceId": "i-0a1b2c3d4e5f60718",
                "status": status,
                "version": 14801,
            }
            | more,
        }
        return EventPattern.load(json.dumps(pattern)).matches_event(event)

    assert matches("DRAINING")
    assert matches("ACTIVE")
    assert not matches("DEREGISTERING")
    assert not matches("DRAINING", clusterArn="arn:aws:ecs:eu-west-1:123456789012:cluster/batch")
    for rule in re.findall(r"--(?:rule|mute-targets) '([^']+)'", recipe):
        json.loads(rule)


def test_it_is_the_same_each_time_and_the_picture_shows_it():
    assert dashboard() == dashboard()
    run = subprocess.run([sys.executable, HERE / "draw.py", "--check"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert draw.draw(dashboard(NoProgressDays="30")) != draw.PICTURE.read_text()
    for parameters in ({}, {"AlarmArns": "", "LeaseTableName": ""}):
        assert draw.draw(dashboard(**parameters)).endswith("</svg>\n")


def test_it_can_be_deployed_changed_and_deleted():
    text = (ROOT / "dashboard.yaml").read_text()
    # CloudFormation quotas: template body in a request.
    assert len(text.encode()) <= 51_200
    with moto_server() as url:
        cloud = Cloud(url)
        formation, cloudwatch = cloud("cloudformation"), cloud("cloudwatch")

        def given(**parameters):
            pairs = draw.GIVEN | parameters
            return [{"ParameterKey": key, "ParameterValue": value} for key, value in pairs.items()]

        def held():
            found = cloudwatch.get_dashboard(DashboardName="ecs-updater-dashboard")
            return json.loads(found["DashboardBody"])

        formation.create_stack(StackName="ecs-updater-dashboard", TemplateBody=text, Parameters=given())
        assert held() == dashboard()
        outputs = formation.describe_stacks(StackName="ecs-updater-dashboard")["Stacks"][0]["Outputs"]
        assert {output["OutputKey"] for output in outputs} == {"DashboardName", "DashboardArn"}
        formation.delete_stack(StackName="ecs-updater-dashboard")
        assert cloudwatch.list_dashboards()["DashboardEntries"] == []
