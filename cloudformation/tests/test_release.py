"""The release workflow: its steps run with stand-ins for what reaches out.

Nobody has run these here: the build for musl, the signing of the provenance, the role of public.ecr.aws, and GitHub
itself. test_images.py holds the workflows against GitHub's schema, zizmor and shellcheck.
"""

import json
import os
import re
import subprocess

import pytest
import yaml

from conftest import ROOT

TOP = ROOT.parent
WORKFLOW = TOP / ".github" / "workflows" / "release.yml"
JOBS = yaml.safe_load(WORKFLOW.read_text())["jobs"]
TARGETS = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]


def script(job, name):
    (found,) = [step["run"] for step in JOBS[job]["steps"] if step.get("name") == name]
    return found


class Runner:
    """A machine of GitHub with stand-ins; each call is a line of calls, and the one whose number is FAIL_AT fails."""

    def __init__(self, folder):
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir()

    def stand_in(self, name, text):
        head = '#!/bin/bash\necho "${0##*/} $*" >>"$CALLS"\n[ "$(wc -l <"$CALLS")" != "$FAIL_AT" ] || exit 1\n'
        (self.bin / name).write_text(head + text)
        (self.bin / name).chmod(0o755)

    def run(self, text, fail_at=0, **environment):
        (self.folder / "calls").write_text("")
        return subprocess.run(
            # As GitHub runs a step that names no shell.
            ["bash", "-e", "-c", text],
            cwd=self.folder,
            env={
                "PATH": f"{self.bin}:{os.environ['PATH']}",
                "CALLS": str(self.folder / "calls"),
                "FAIL_AT": str(fail_at),
                "GITHUB_REF_NAME": "v0.1.0",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self):
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


@pytest.mark.parametrize("path", sorted(WORKFLOW.parent.glob("*.yml")), ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path):
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, rest in used:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", rest), f"{action} does not say which version that is"


def test_nothing_is_published_before_all_is_built():
    assert set(JOBS["publish"]["needs"]) == {"image", "binary"}
    assert all(JOBS[job]["needs"] == "test" for job in ("image", "binary"))
    assert [one["target"] for one in JOBS["binary"]["strategy"]["matrix"]["include"]] == TARGETS
    names = [step.get("name") for step in JOBS["publish"]["steps"]]
    assert names.index("Checksums") < names.index("Provenance of all files") < names.index("Release")
    for job in JOBS.values():
        assert "permissions" in job


# --- the version and its notes

CHANGELOG = """\
# Changelog

## Unreleased

## 0.1.0 – 2026-12-01

### Added
- One ([page](docs/deploy.md#settings)), [two](https://example.com/a), [three](#here), [four](CONTRIBUTING.md).

## 0.1.0-rc.1

- Before.
"""


def tagged(runner, version, changelog=CHANGELOG):
    (runner.folder / "Cargo.toml").write_text(f'[workspace.package]\nversion = "{version}"\n')
    (runner.folder / "CHANGELOG.md").write_text(changelog)
    (runner.folder / ".github").mkdir(exist_ok=True)
    (runner.folder / ".github" / "notes.sh").write_text((TOP / ".github" / "notes.sh").read_text())
    return runner.run(script("version", "The tag's version is that of the workspace, and the changelog has it"))


def test_a_tag_that_is_not_the_version_ends_before_anything_is_built(runner):
    assert JOBS["test"]["needs"] == "version"
    assert tagged(runner, "0.1.0").returncode == 0
    other = tagged(runner, "0.1.01")
    assert (other.returncode, other.stdout) == (1, "::error::Cargo.toml has another version than the tag v0.1.0\n")
    without = tagged(runner, "0.1.0", "## Unreleased\n- a\n## 0.1.0\n\n## 0.0.1\n- b\n")
    assert without.returncode == 1
    assert "has no section ## 0.1.0" in without.stderr


def test_the_notes_are_the_changelogs_section_with_links_that_lead_somewhere(runner):
    assert tagged(runner, "0.1.0").returncode == 0
    runner.stand_in("gh", "")
    given = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "ops/ecs-updater"}
    (runner.folder / "dist").mkdir()
    (runner.folder / "dist" / "SHA256SUMS").write_text("")
    run = runner.run(script("publish", "Release"), **given)
    assert run.returncode == 0, run
    assert runner.calls == [
        "gh release create v0.1.0 --repo ops/ecs-updater --verify-tag --notes-file notes.md dist/SHA256SUMS"
    ]
    at = "https://github.com/ops/ecs-updater/blob/v0.1.0"
    assert (runner.folder / "notes.md").read_text().strip() == (
        f"### Added\n- One ([page]({at}/docs/deploy.md#settings)), [two](https://example.com/a), [three](#here), "
        f"[four]({at}/CONTRIBUTING.md)."
    )


def test_what_is_built_says_where_its_documents_are():
    at = "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/blob/$GITHUB_REF_NAME/docs"
    assert f'--build-arg "DOCS={at}"' in script("image", "Build and push, with SBOM and provenance")
    assert f"export ECS_UPDATER_DOCS={at}\n" in script("binary", "Build")


# --- the SBOM

TREE = """\
ecs-updater v0.1.0 (/work/ecs-updater)|Apache-2.0 OR MIT
models v0.1.0 (/work/models)|Apache-2.0 OR MIT
serde v1.0.228|MIT OR Apache-2.0
serde_derive v1.0.228 (proc-macro)|MIT OR Apache-2.0
serde v1.0.228|MIT OR Apache-2.0 (*)
old v0.1.0+build.1|MIT/Apache-2.0
none v2.0.0|
"""


def sbom(tree, name="ecs-updater", version="0.1.0"):
    command = ["jq", "--raw-input", "--null-input", "--arg", "name", name, "--arg", "version", version]
    command += ["--from-file", TOP / ".github" / "sbom.jq"]
    return subprocess.run(command, input=tree, capture_output=True, text=True, check=False)


def test_the_sbom_names_each_crate_once():
    run = sbom(TREE)
    assert run.returncode == 0, run.stderr
    held = json.loads(run.stdout)
    assert (held["bomFormat"], held["specVersion"]) == ("CycloneDX", "1.5")
    assert held["metadata"]["component"]["name"] == "ecs-updater"
    found = {one["purl"]: one.get("licenses", [{}])[0].get("expression") for one in held["components"]}
    assert found == {
        "pkg:cargo/models@0.1.0": "Apache-2.0 OR MIT",
        "pkg:cargo/serde@1.0.228": "MIT OR Apache-2.0",
        "pkg:cargo/serde_derive@1.0.228": "MIT OR Apache-2.0",
        "pkg:cargo/old@0.1.0+build.1": "MIT OR Apache-2.0",
        "pkg:cargo/none@2.0.0": None,
    }
    assert len(held["components"]) == len(found)


@pytest.mark.parametrize("tree", [TREE + "warning: something\n", TREE.replace("ecs-updater v0.1.0", "x v0.1.0"), ""])
def test_an_sbom_that_would_lack_something_is_none(tree):
    run = sbom(tree)
    assert run.returncode != 0
    assert run.stdout == ""


# --- the binaries

PACKAGE = "Static, of this version, and with an SBOM each"


def packaged(runner, elf="  LOAD 0x0", version="0.1.0", fail_at=0):
    folder = runner.folder / "target" / TARGETS[0] / "dist"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ecs-updater", "host-bridge"):
        (folder / name).write_text(f"#!/bin/bash\necho '{name} {version}'\n")
        (folder / name).chmod(0o755)
    runner.stand_in("readelf", f"echo '{elf}'\n")
    tree = "".join(f"{name} v0.1.0 (/w)|MIT\\n" for name in ("ecs-updater", "host-bridge", "models"))
    runner.stand_in("cargo", f"printf '{tree}'\n")
    (runner.folder / ".github").mkdir(exist_ok=True)
    (runner.folder / ".github" / "sbom.jq").write_text((TOP / ".github" / "sbom.jq").read_text())
    subprocess.run(["rm", "-rf", runner.folder / "dist"], check=True)
    return runner.run(script("binary", PACKAGE), fail_at=fail_at, TARGET=TARGETS[0])


def test_each_binary_has_its_name_and_its_sbom(runner):
    run = packaged(runner)
    assert run.returncode == 0, run
    names = [f"{name}-0.1.0-{TARGETS[0]}{end}" for name in ("ecs-updater", "host-bridge") for end in ("", ".cdx.json")]
    assert sorted(path.name for path in (runner.folder / "dist").iterdir()) == sorted(names)
    assert json.loads((runner.folder / "dist" / names[1]).read_text())["components"]
    # Each program is built for itself, and of what the Dockerfiles build.
    build = script("binary", "Build")
    assert "--profile dist" in build and '--package "$name"' in build


@pytest.mark.parametrize(
    ("elf", "version", "says"),
    [
        (" 0x1 (NEEDED) Shared library: [libc.so.6]", "0.1.0", "is not static"),
        ("  INTERP 0x2a8", "0.1.0", "is not static"),
        ("  LOAD 0x0", "0.2.0", "is not 0.1.0"),
    ],
)
def test_what_is_not_static_or_of_another_version_is_refused(runner, elf, version, says):
    run = packaged(runner, elf, version)
    assert run.returncode != 0
    assert says in run.stdout


def test_a_failure_of_a_tool_ends_the_packaging(runner):
    assert packaged(runner).returncode == 0
    count = len(runner.calls)
    assert count == 4
    for at in range(1, count + 1):
        assert packaged(runner, fail_at=at).returncode != 0, at


# --- the checksums


def test_all_that_is_released_has_a_checksum(runner):
    (runner.folder / "dist").mkdir()
    (runner.folder / "images.txt").write_text("x\n")
    (runner.folder / "cloudformation").symlink_to(ROOT)
    files = [f"{name}-0.1.0-{t}{end}" for name in ("a", "b") for t in TARGETS for end in ("", ".cdx.json")]
    for name in files[:-1]:
        (runner.folder / "dist" / name).write_text(name)
    run = runner.run(script("publish", "Checksums"))
    assert run.returncode != 0
    assert "::error::binaries are missing" in run.stdout
    (runner.folder / "dist" / files[-1]).write_text("last")
    run = runner.run(script("publish", "Checksums"))
    assert run.returncode == 0, run
    held = {line.split()[1] for line in (runner.folder / "dist" / "SHA256SUMS").read_text().splitlines()}
    templates = {path.name for path in ROOT.glob("*.yaml")} | {"ecs-updater.json", "people.json"}
    assert held == {*files, "images.txt"} | templates
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=runner.folder / "dist", check=True)
    page = (TOP / "docs" / "release.md").read_text()
    assert all(f"`{name}`" in page for name in templates)


# --- the public registry

IMAGES = [f"ghcr.io/ops/ecs-updater/{name}@sha256:{'a' * 64}" for name in ("ecs-updater", "host-bridge")]
GIVEN = {
    "ROLE": "arn:aws:iam::123456789012:role/release",
    "ALIAS": "x1y2z3",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example.com/?a=b",
}


def pushed(runner, fail_at=0, **more):
    (runner.folder / "images.txt").write_text("".join(f"{image}\n" for image in IMAGES))
    (runner.folder / "copies.txt").unlink(missing_ok=True)
    runner.stand_in("curl", 'echo \'{"value":"token"}\'\n')
    answers = "case $* in *get-login*) echo secret ;; *) printf 'AKIA\\tkey\\tsession\\n' ;; esac\n"
    runner.stand_in("aws", answers)
    digest = json.dumps({"digest": f"sha256:{'a' * 64}"})
    runner.stand_in("docker", f"case $* in *inspect*) echo '{digest}' ;; esac\n")
    return runner.run(script("publish", "The same images in Amazon ECR Public"), fail_at=fail_at, **GIVEN | more)


def test_the_images_are_copied_by_digest(runner):
    run = pushed(runner)
    assert run.returncode == 0, run
    assert sum(call.startswith("docker buildx imagetools create") for call in runner.calls) == 2
    assert f"docker buildx imagetools create --tag public.ecr.aws/x1y2z3/ecs-updater:0.1.0 {IMAGES[0]}" in runner.calls
    lines = (runner.folder / "images.txt").read_text().splitlines()
    assert lines == [*IMAGES, *(image.replace("ghcr.io/ops/ecs-updater", "public.ecr.aws/x1y2z3") for image in IMAGES)]
    for secret in ("token", "key", "session"):
        assert f"::add-mask::{secret}" in run.stdout


@pytest.mark.parametrize("missing", ["ROLE", "ALIAS"])
def test_a_release_without_a_public_registry_says_so(runner, missing):
    run = pushed(runner, **{missing: ""})
    assert (run.returncode, runner.calls) == (0, [])
    assert run.stdout.startswith("::warning::no image is pushed to public.ecr.aws")
    page = (TOP / "docs" / "release.md").read_text()
    assert all(f"`ECR_PUBLIC_{name}`" in page for name in ("ROLE", "ALIAS"))


def test_a_failure_of_a_push_fails_the_release(runner):
    assert pushed(runner).returncode == 0
    count = len(runner.calls)
    assert count == 8
    for at in range(1, count + 1):
        assert pushed(runner, fail_at=at).returncode != 0, at
