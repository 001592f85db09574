"""Dockerfiles and workflows. They cannot run here: no Docker, no GitHub; so they are linted.

actionlint comes in no package that holds it; the workflows are checked against GitHub's schema and by zizmor instead.
"""

import re
import shutil
import subprocess

import pytest
import yaml

from conftest import ROOT, template

TOP = ROOT.parent
PACKAGES = {
    "ecs-updater/Dockerfile": "ecs-updater",
    "host-bridge/Dockerfile": "host-bridge",
    "conformance/Dockerfile": "fleet-sim",
}
DOCKERFILES = list(PACKAGES)
WORKFLOWS = sorted((TOP / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint(name):
    subprocess.run(["hadolint", "--failure-threshold", "style", TOP / name], check=True)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_dockerfile_knows_every_crate_and_the_toolchain(name):
    """A crate that is missing in the layer of the dependencies breaks the build."""
    text, manifest = (TOP / name).read_text(), (TOP / "Cargo.toml").read_text()
    for crate in crates():
        assert f"COPY {crate}/Cargo.toml {crate}/" in text
    rust = re.search(r'^rust-version = "(.*)"', manifest, re.M)[1]
    assert f"/rust:{rust}-" in text
    assert "[profile.dist]" in manifest


def crates():
    return re.findall(
        r'"([\w-]+)"', re.search(r"^members = \[(.*?)\]", (TOP / "Cargo.toml").read_text(), re.M | re.S)[1]
    )


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_layer_of_the_dependencies_is_a_workspace(name, tmp_path):
    """What the Dockerfile makes of the manifests, with empty crates, is what cargo resolves by the same lock file."""
    text = (TOP / name).read_text()
    (layer,) = re.findall(r"^RUN (for crate in .*?;\s+done) ", text.replace("\\\n", " "), re.M)
    for path in ["Cargo.toml", "Cargo.lock", *(f"{crate}/Cargo.toml" for crate in crates())]:
        assert re.search(rf"^COPY (.* )?{re.escape(path)} ", text, re.M), path
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(TOP / path, tmp_path / path)
    subprocess.run(["sh", "-euc", layer], cwd=tmp_path, check=True)
    command = ["cargo", "tree", "--locked", "--package", PACKAGES[name], "--depth", "1"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)


def test_what_the_dockerfiles_copy_is_not_ignored():
    """The patterns of .dockerignore are all and then exceptions, each a path with what is below it."""
    everything, *kept = [line for line in (TOP / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert everything == "*"
    for name in DOCKERFILES:
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", (TOP / name).read_text(), re.M):
            for path in line.split():
                assert any(f"{path}/".startswith(f"{exception[1:]}/") for exception in kept), path


PINNED = r"[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}"


def test_the_bases_are_pinned_by_digest():
    found = set()
    for name in DOCKERFILES:
        text = (TOP / name).read_text()
        arguments = re.findall(r"^ARG (\w+_IMAGE)=(.*)$", text, re.M)
        assert [key for key, _ in arguments] == ["RUST_IMAGE", "BASE_IMAGE"]
        assert all(re.fullmatch(PINNED, value) for _, value in arguments), arguments
        assert re.findall(r"^FROM (\S+)", text, re.M) == ["${RUST_IMAGE}", "${BASE_IMAGE}"]
        assert "# syntax=" not in text, "another image, by a tag alone"
        found.add(tuple(arguments))
    assert len(found) == 1, "all images stand on the same bases"
    page = (TOP / "docs" / "release.md").read_text()
    for _, value in found.pop():
        assert value.split("@")[0] in page, "docs/release.md says how to renew it"


# Answers as `docker buildx imagetools inspect` does, for one index of two platforms.
DOCKER = """#!/bin/bash
case "$*" in
  *--raw*) printf '%s' '{"manifests":[{"platform":{"architecture":"amd64"}},{"platform":{"architecture":"arm64"}}]}' ;;
  *) printf '{"digest":"sha256:%s"}' "$NEWEST" ;;
esac
"""
OLD, NEW = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("base", "platform", "newest", "code", "says"),
    [
        (f"gcr.io/distroless/cc-debian12:nonroot@sha256:{OLD}", "arm64", OLD, 0, None),
        (f"gcr.io/distroless/cc-debian12:nonroot@sha256:{OLD}", "amd64", NEW, 0, f"::warning::.* is sha256:{NEW}"),
        (f"gcr.io/distroless/cc-debian12:nonroot@sha256:{OLD}", "riscv64", OLD, 1, "::error::.* for riscv64"),
        ("gcr.io/distroless/cc-debian12:nonroot", "amd64", OLD, 1, "::error::.* has no digest"),
        (f"gcr.io/distroless/cc-debian12:nonroot@sha256:{OLD[:-1]}", "amd64", OLD, 1, "::error::.* has no digest"),
    ],
)
def test_a_release_refuses_bases_that_are_not_pinned(base, platform, newest, code, says, tmp_path):
    job = yaml.safe_load((TOP / ".github/workflows/release.yml").read_text())["jobs"]["image"]
    names = [step.get("name") for step in job["steps"]]
    at = names.index("Bases by digest, and for this platform")
    assert at < names.index("Build and push, with SBOM and provenance")
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "Dockerfile").write_text(f"ARG BASE_IMAGE={base}\nFROM ${{BASE_IMAGE}}\n")
    run = subprocess.run(
        ["bash", "-e", "-c", job["steps"][at]["run"]],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "IMAGE": "image", "PLATFORM": platform, "NEWEST": newest},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run
    assert re.search(says, run.stdout) if says else "::" not in run.stdout, run


def test_the_task_runs_as_the_images_user():
    container = template()["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0]
    assert f"USER {container['User']}" in (TOP / "ecs-updater/Dockerfile").read_text()


def test_workflows_fit_the_schema():
    subprocess.run(["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS], check=True)


def test_zizmor():
    subprocess.run(["zizmor", "--offline", "--no-progress", "--persona", "pedantic", *WORKFLOWS], check=True)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_workflows_shell_is_sound(path, tmp_path):
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        for number, step in enumerate(step for step in job.get("steps", []) if "run" in step):
            script = tmp_path / f"{number}.sh"
            script.write_text(f"#!/bin/bash\nset -e\n{step['run']}\n")
            subprocess.run(["shellcheck", "--severity=style", script], check=True)
