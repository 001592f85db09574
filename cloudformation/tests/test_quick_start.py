"""docs/quick-start.md, typed: its commands run in the order of the page, on the simulated Region that it starts, and print
what stands below them. Durations, ids of runs, counts of calls and the port differ from run to run; all else is compared."""

import os
import re
import shlex
import subprocess

import pytest

from conftest import ROOT, program, template
from modules import is_list

TOP = ROOT.parent
PAGE = TOP / "docs" / "quick-start.md"
DIFFERS = [
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "RUN"),
    (r"\b(\d+[hm] )?\d+[ms]\b", "TIME"),
    (r"\b\d+ AWS calls", "CALLS"),
    # The columns are as wide as the longest of these.
    (r" {2,}", "  "),
]


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def same_for_all(text):
    for pattern, name in DIFFERS:
        text = re.sub(pattern, name, text)
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.fixture
def path():
    programs = {program(name).parent for name in ("ecs-updater", "fleet-sim")}
    assert len(programs) == 1
    return os.pathsep.join([*map(str, programs), os.environ["PATH"]])


def test_each_command_prints_what_the_page_says(path):
    serve, *others = [block.removeprefix("$ ").split("\n", 1) for block in blocks("console")]
    assert [command.split()[:2] for command, _ in others] == [
        ["ecs-updater", "status"],
        ["ecs-updater", "plan"],
        ["ecs-updater", "run"],
    ]
    environment = {"PATH": path, "HOME": os.environ.get("HOME", "/"), "AWS_EC2_METADATA_DISABLED": "true"}
    command, printed = serve
    with subprocess.Popen(
        [*shlex.split(command), "--listen", "127.0.0.1:0"], cwd=TOP, env=environment, stdout=subprocess.PIPE, text=True
    ) as region:
        try:
            lines = [region.stdout.readline() for _ in printed.splitlines()]
            assert same_for_all("".join(lines)) == same_for_all(printed)
            (export,) = [line for line in lines if line.startswith("export ")]
            environment |= dict(pair.split("=", 1) for pair in shlex.split(export)[1:])
            for command, printed in others:
                ran = subprocess.run(
                    shlex.split(command),
                    cwd=TOP,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=400,
                    check=False,
                )
                assert ran.returncode == 0, ran
                assert same_for_all(ran.stdout) == same_for_all(printed), command
        finally:
            region.terminate()


@pytest.mark.parametrize("page", ["README.md", "docs/quick-start.md"])
def test_the_first_deployment_gives_what_the_template_requires(page):
    (given,) = re.findall(r"--parameter-overrides (.*?)\n(?:cargo| *```)", (TOP / page).read_text(), re.S)
    given = dict(pair.split("=", 1) for pair in shlex.split(given.replace("\\\n", " ")))
    parameters = template()["Parameters"]
    assert {name for name, spec in parameters.items() if "Default" not in spec} <= set(given) <= set(parameters)
    for name, value in given.items():
        spec = parameters[name]
        assert value in spec.get("AllowedValues", [value])
        for item in value.split(",") if is_list(spec) else [value]:
            assert re.search(spec.get("AllowedPattern", ""), item), name
    assert given["ScheduleState"] == "DISABLED"
