"""Dockerfiles and workflows. They cannot run here: no Docker, no GitHub; so they are linted.

actionlint comes in no package that holds it; the workflows are checked against GitHub's schema and by zizmor instead.
"""

import re
import subprocess

import pytest

from conftest import ROOT, template

TOP = ROOT.parent
DOCKERFILES = ["ecs-updater/Dockerfile", "host-bridge/Dockerfile"]
WORKFLOWS = sorted((TOP / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint(name):
    subprocess.run(["hadolint", "--failure-threshold", "style", TOP / name], check=True)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_dockerfile_knows_every_crate_and_the_toolchain(name):
    """A crate that is missing in the layer of the dependencies breaks the build."""
    text, manifest = (TOP / name).read_text(), (TOP / "Cargo.toml").read_text()
    for crate in re.findall(r'"([\w-]+)"', re.search(r"^members = \[(.*?)\]", manifest, re.M | re.S)[1]):
        assert f"COPY {crate}/Cargo.toml {crate}/" in text
    rust = re.search(r'^rust-version = "(.*)"', manifest, re.M)[1]
    assert f"/rust:{rust}-" in text
    assert "[profile.dist]" in manifest


def test_the_task_runs_as_the_images_user():
    container = template()["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0]
    assert f"USER {container['User']}" in (TOP / "ecs-updater/Dockerfile").read_text()


def test_workflows_fit_the_schema():
    subprocess.run(["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS], check=True)


def test_zizmor():
    subprocess.run(["zizmor", "--offline", "--no-progress", "--persona", "pedantic", *WORKFLOWS], check=True)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_workflows_shell_is_sound(path, tmp_path):
    import yaml

    for job in yaml.safe_load(path.read_text())["jobs"].values():
        for number, step in enumerate(step for step in job.get("steps", []) if "run" in step):
            script = tmp_path / f"{number}.sh"
            script.write_text(f"#!/bin/bash\nset -e\n{step['run']}\n")
            subprocess.run(["shellcheck", "--severity=style", script], check=True)
