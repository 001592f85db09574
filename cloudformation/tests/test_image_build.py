"""image.yaml: made in moto's server and read back, and its build, run up to what Docker and AWS would do.

Nobody has run these here: a build in CodeBuild, `docker build` of the Dockerfile with the compiler's image from
public.ecr.aws, pushes to Amazon ECR and what they answer to a tag that is taken, the scan, the lifecycle, and the event
that starts the first build. moto's CloudFormation makes no AWS::CodeBuild::Project and says CREATE_COMPLETE all the
same: the projects are handed to CodeBuild's own API.
"""

import json
import re
import subprocess

import pytest
import yaml

from cloud import Cloud
from conftest import ROOT, moto_server, template
from resolve import policies, resolve

TOP = ROOT.parent
GIT = {"Version": "0.1.0", "Source": "https://git.example.com/ops/ecs-updater.git"}
ARCHIVE = GIT | {"Source": "s3://my-bucket/source/ecs-updater-0.1.0.tar.gz"}
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecs-updater"


def resolved(**parameters):
    return resolve(template("image.yaml"), GIT | parameters, stack="image")


def environment(project):
    return {pair["Name"]: pair["Value"] for pair in project["Environment"]["EnvironmentVariables"]}


# --- the stack


@pytest.fixture(scope="module")
def cloud():
    with moto_server() as url:
        yield Cloud(url)


@pytest.fixture(scope="module")
def stack(cloud):
    cloud("cloudformation").create_stack(
        StackName="image",
        TemplateBody=(ROOT / "image.yaml").read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in ARCHIVE.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    assert cloud.stack("image")["StackStatus"] == "CREATE_COMPLETE"
    return cloud.resources("image")


def test_every_resource_is_there_by_its_own_api(cloud, stack):
    tree = resolved(**ARCHIVE)["Resources"]
    projects = {name for name, resource in tree.items() if resource["Type"] == "AWS::CodeBuild::Project"}
    assert projects == {"Build", "BuildArm"}
    read = set()

    (repository,) = cloud("ecr").describe_repositories(repositoryNames=[stack["Repository"]])["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    # What moto's CloudFormation leaves out, ECR's own API takes.
    properties = tree["Repository"]["Properties"]
    assert properties["ImageScanningConfiguration"] == {"ScanOnPush": True}
    given = properties["LifecyclePolicy"]["LifecyclePolicyText"]
    cloud("ecr").put_lifecycle_policy(repositoryName=stack["Repository"], lifecyclePolicyText=given)
    held = cloud("ecr").get_lifecycle_policy(repositoryName=stack["Repository"])["lifecyclePolicyText"]
    assert [rule["selection"]["countNumber"] for rule in json.loads(held)["rules"]] == [14, 60]
    read.add("Repository")

    (group,) = cloud("logs").describe_log_groups(logGroupNamePrefix="/aws/codebuild/image")["logGroups"]
    assert group["retentionInDays"] == 90
    read.add("LogGroup")

    for role, names in [("BuildRole", {"Build", "ReadTheArchive"}), ("StartRole", {"StartABuild"})]:
        iam = cloud("iam")
        trust = iam.get_role(RoleName=stack[role])["Role"]["AssumeRolePolicyDocument"]["Statement"]
        assert [set(statement["Condition"]["StringEquals"]) for statement in trust] == [{"aws:SourceAccount"}]
        assert set(iam.list_role_policies(RoleName=stack[role])["PolicyNames"]) == names
        read.add(role)
    document = cloud("iam").get_role_policy(RoleName=stack["BuildRole"], PolicyName="ReadTheArchive")["PolicyDocument"]
    (statement,) = document["Statement"]
    assert statement["Resource"] == "arn:aws:s3:::my-bucket/source/ecs-updater-0.1.0.tar.gz"
    read.add("ArchivePolicy")

    rule = cloud("events").describe_rule(Name=stack["StackIsDone"])
    pattern = json.loads(rule["EventPattern"])
    assert rule["State"] == "ENABLED"
    assert pattern["detail"]["stack-id"] == [cloud.stack("image")["StackId"]]
    read.add("StackIsDone")
    assert read | projects == set(tree)


def test_codebuild_takes_the_projects(cloud):
    tree = resolved()
    for name in ["Build", "BuildArm"]:
        given = tree["Resources"][name]["Properties"]
        variables = [
            {"name": pair["Name"], "value": pair["Value"]} for pair in given["Environment"]["EnvironmentVariables"]
        ]
        cloud("codebuild").create_project(
            name=given["Name"],
            description=given["Description"],
            serviceRole=given["ServiceRole"],
            timeoutInMinutes=given["TimeoutInMinutes"],
            concurrentBuildLimit=given["ConcurrentBuildLimit"],
            artifacts={"type": given["Artifacts"]["Type"]},
            # moto wants a location of every type; CodeBuild knows none for this one.
            source={"type": given["Source"]["Type"], "location": "-", "buildspec": given["Source"]["BuildSpec"]},
            environment={
                "type": given["Environment"]["Type"],
                "computeType": given["Environment"]["ComputeType"],
                "image": given["Environment"]["Image"],
                "privilegedMode": given["Environment"]["PrivilegedMode"],
                "environmentVariables": variables,
            },
        )
    held = cloud("codebuild").batch_get_projects(names=["image", "image-arm64"])["projects"]
    assert [project["environment"]["type"] for project in held] == ["LINUX_CONTAINER", "ARM_CONTAINER"]
    assert all(yaml.safe_load(project["source"]["buildspec"])["version"] == 0.2 for project in held)


def test_the_outputs_are_parameters_of_the_updaters_stack():
    outputs = {name: output["Value"] for name, output in resolved()["Outputs"].items()}
    given = {name: outputs[name] for name in ("Image", "ImageRepositoryArn")}
    assert given["Image"] == f"{IMAGE}:0.1.0"
    for name, value in given.items():
        assert re.search(template()["Parameters"][name]["AllowedPattern"], value)
    assert outputs["BuildNow"] == "aws codebuild start-build --region eu-west-1 --project-name image"


def test_one_architecture_alone_has_one_project():
    tree = resolved(Architectures="X86_64")["Resources"]
    assert "BuildArm" not in tree
    assert environment(tree["Build"]["Properties"])["ARM_PROJECT"] == ""
    both = resolved()["Resources"]
    assert environment(both["Build"]["Properties"])["ARM_PROJECT"] == both["BuildArm"]["Properties"]["Name"]


def test_no_role_reaches_further_than_its_build():
    for where, document in policies(resolved()):
        for statement in document["Statement"]:
            if "Resource" in statement and statement["Resource"] == "*":
                assert (where, statement["Action"]) == ("BuildRole/Build", "ecr:GetAuthorizationToken")


# --- the build

# Stands for docker, aws and sleep, and runs the real git, tar, unzip, sha256sum and sed; each call is a line of calls, and
# the one whose number is in FAIL_AT fails.
STANDIN = r"""#!/bin/bash
set -euo pipefail
name=${0##*/}
printf '%s %s\n' "$name" "${*//$'\n'/ }" >>"$STATE/calls"
if [ "$(wc -l <"$STATE/calls")" = "$FAIL_AT" ]; then echo "$name fails" >&2; exit 1; fi
push() { if grep -qxF "$1" "$STATE/images"; then echo 'the tag is immutable' >&2; exit 1; fi; echo "$1" >>"$STATE/images"; }
case "$name $*" in
  'aws ecr batch-get-image '*'length(images)'*)
    [[ $* =~ imageTag=([^ ]+) ]]
    grep -cxF "$REPOSITORY_URI:${BASH_REMATCH[1]}" "$STATE/images" || true ;;
  'aws ecr batch-get-image '*imageDigest*) echo sha256:feed ;;
  'aws ecr get-login-password') echo secret ;;
  'aws s3 cp --only-show-errors '*) cp "$STATE/archive" "${@: -1}" ;;
  'aws codebuild start-build '*)
    [[ $* =~ SOURCE_CHECKSUM,value=([0-9a-f]+) ]]
    mkdir "$STATE/arm"
    if (cd "$STATE/arm" && PLATFORM=arm64 ARM_PROJECT='' SOURCE_CHECKSUM=${BASH_REMATCH[1]} bash "$STATE/command" >&2)
    then echo SUCCEEDED; else echo "${ARM_END:-FAILED}"; fi >"$STATE/arm-ended"
    echo image-arm64:0b8d4f6e ;;
  'aws codebuild batch-get-builds '*)
    if [ -e "$STATE/asked" ]; then cat "$STATE/arm-ended"; else touch "$STATE/asked"; echo IN_PROGRESS; fi ;;
  'docker login --username AWS --password-stdin '*) [ "$(cat)" = secret ] ;;
  'docker build '*) [ "${*: -1}" = . ] && [ -f ecs-updater/Dockerfile ] ;;
  'docker push --quiet '*) push "$3" ;;
  'docker buildx imagetools create --tag '*)
    for image in "${@:6}"; do grep -qxF "$image" "$STATE/images" || exit 1; done
    push "$5" ;;
  sleep*) ;;
  git*|tar*|unzip*|sha256sum*|sed*) exec "/usr/bin/$name" "$@" ;;
  *) echo "nobody expected: $name $*" >&2; exit 1 ;;
esac
"""


class Builder:
    """A machine of CodeBuild, a repository, and a source of two files that has the tag v0.1.0."""

    def __init__(self, tmp_path):
        self.state, self.bin, self.git = tmp_path / "state", tmp_path / "bin", tmp_path / "ops" / "ecs-updater.git"
        for folder in (self.state, self.bin, self.git / "ecs-updater"):
            folder.mkdir(parents=True)
        for name in ["aws", "docker", "sleep", "git", "tar", "unzip", "sha256sum", "sed"]:
            (self.bin / name).write_text(STANDIN)
            (self.bin / name).chmod(0o755)
        self.builds, self.images = 0, self.state / "images"
        self.images.write_text("")
        (self.git / "Cargo.toml").write_text("[workspace]\n")
        (self.git / "ecs-updater" / "Dockerfile").write_text((TOP / "ecs-updater" / "Dockerfile").read_text())
        for command in ["init -q -b main", "add .", "commit -q -m one", "tag -a -m v0.1.0 v0.1.0"]:
            identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
            subprocess.run(["git", *identity, *command.split()], cwd=self.git, check=True)

    @property
    def commit(self):
        command = ["git", "rev-parse", "v0.1.0^{commit}"]
        return subprocess.run(command, cwd=self.git, check=True, capture_output=True, text=True).stdout.strip()

    def archive(self, *arguments):
        subprocess.run(["git", "archive", "-o", self.state / "archive", *arguments, "HEAD"], cwd=self.git, check=True)

    def build(self, project="Build", fail_at=0, arm_end="FAILED", **parameters):
        """One build, from an empty folder; returns its exit code and output."""
        self.builds += 1
        given = resolved(**parameters)["Resources"][project]["Properties"]
        (command,) = yaml.safe_load(given["Source"]["BuildSpec"])["phases"]["build"]["commands"]
        (self.state / "command").write_text(command)
        for left in ("calls", "asked", "arm-ended"):
            (self.state / left).unlink(missing_ok=True)
        if (self.state / "arm").exists():
            (self.state / "arm").rename(self.state / f"arm-{self.builds}")
        place = self.state / f"build-{self.builds}"
        place.mkdir()
        run = subprocess.run(
            ["bash", self.state / "command"],
            cwd=place,
            env=environment(given)
            | {
                "PATH": f"{self.bin}:/usr/bin:/bin",
                "HOME": str(self.state),
                "STATE": str(self.state),
                "FAIL_AT": str(fail_at),
                "ARM_END": arm_end,
                # The repository's address leads here.
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"url.file://{self.git.parent}/.insteadOf",
                "GIT_CONFIG_VALUE_0": "https://git.example.com/ops/",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return run.returncode, run.stdout + run.stderr

    @property
    def calls(self):
        return (self.state / "calls").read_text().splitlines()

    @property
    def tags(self):
        return sorted(line.removeprefix(f"{IMAGE}:") for line in self.images.read_text().split())


@pytest.fixture
def builder(tmp_path):
    return Builder(tmp_path)


def test_a_build_makes_one_image_of_both_architectures(builder):
    code, output = builder.build()
    assert code == 0, output
    tag = f"0.1.0-{builder.commit[:12]}"
    assert builder.tags == sorted(["0.1.0", f"{tag}-amd64", f"{tag}-arm64"])
    assert output.splitlines()[-1] == f"built {IMAGE}:0.1.0, which is {IMAGE}@sha256:feed"
    builds = [call for call in builder.calls if call.startswith("docker build ")]
    assert len(builds) == 2
    # The compiler's image comes from the mirror, by the Dockerfile's digest.
    docker = (TOP / "ecs-updater" / "Dockerfile").read_text()
    rust = docker.split("ARG RUST_IMAGE=docker.io/")[1].split()[0]
    assert all(f"--build-arg RUST_IMAGE=public.ecr.aws/docker/{rust} " in call for call in builds)
    assert all(f"--build-arg VERSION=0.1.0 --build-arg REVISION={builder.commit} " in call for call in builds)
    for argument in ("VERSION", "REVISION"):
        assert f"ARG {argument}=" in docker


def test_a_version_that_is_there_is_not_built_again(builder):
    assert builder.build()[0] == 0
    code, output = builder.build()
    assert (code, output) == (0, f"{IMAGE}:0.1.0 is there already, and is not built again\n")
    assert len(builder.calls) == 1


def test_one_architecture_alone(builder):
    assert builder.build(Architectures="X86_64")[0] == 0
    assert builder.tags == ["0.1.0", f"0.1.0-{builder.commit[:12]}-amd64"]


@pytest.mark.parametrize("ref", ["main", "v0.1.0", "COMMIT"])
def test_a_branch_a_tag_or_a_commit(builder, ref):
    command = ["git", "config", "uploadpack.allowAnySHA1InWant", "true"]
    subprocess.run(command, cwd=builder.git, check=True)
    code, output = builder.build(SourceVersion=ref.replace("COMMIT", builder.commit))
    assert code == 0, output


@pytest.mark.parametrize(("name", "prefix"), [("a.tar.gz", "ecs-updater-0.1.0/"), ("a.tgz", ""), ("a.zip", "x/")])
def test_an_archive_with_or_without_a_folder_at_its_top(builder, name, prefix):
    builder.archive(
        "--format", "zip" if name.endswith("zip") else "tar.gz", *([f"--prefix={prefix}"] if prefix else [])
    )
    code, output = builder.build(Source=f"s3://my-bucket/{name}")
    assert code == 0, output
    assert len(builder.tags) == 3


@pytest.mark.parametrize("source", [GIT["Source"], "s3://my-bucket/a.tar.gz"])
def test_a_source_with_another_checksum_is_not_built(builder, source):
    builder.archive("--format", "tar.gz")
    code, output = builder.build(Source=source, SourceChecksum="0" * 40)
    assert code != 0
    assert f"should be {'0' * 40}: it is not built" in output
    assert not any(call.startswith("docker") for call in builder.calls)
    assert builder.tags == []


def test_a_tag_that_moves_makes_no_image_of_two_sources(builder):
    """The first attempt ends after its ARM half; then the tag moves, and that half is of no use any more."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    assert builder.build(project="BuildArm")[0] == 0
    old = builder.commit
    assert builder.tags == [f"0.1.0-{old[:12]}-arm64"]
    subprocess.run([*command, "commit", "-q", "--allow-empty", "-m", "two"], cwd=builder.git, check=True)
    subprocess.run([*command, "tag", "-f", "-a", "-m", "x", "v0.1.0"], cwd=builder.git, check=True, capture_output=True)
    assert builder.commit != old
    assert builder.build()[0] == 0
    (index,) = [call for call in builder.calls if "imagetools create" in call]
    assert old[:12] not in index
    assert index.count(builder.commit[:12]) == 2


@pytest.mark.parametrize("end", ["FAILED", "STOPPED", "TIMED_OUT", "FAULT"])
def test_a_build_whose_arm_half_fails_fails(builder, end):
    assert builder.build()[0] == 0
    started = next(at for at, call in enumerate(builder.calls, 1) if "start-build" in call)
    code, output = builder.build(fail_at=started + 1, arm_end=end, Version="0.1.1", SourceVersion="main")
    assert code == 1
    assert f"the build for ARM ended as {end}: the log stream 0b8d4f6e says why" in output
    assert "0.1.1" not in builder.tags


def run_with_every_failure(builder, parameters):
    """Builds a version for each call of a build that can fail; returns how many there are."""
    assert builder.build(**parameters, Version="1.0.0")[0] == 0
    count = len(builder.calls)
    for at in range(1, count + 1):
        version = f"2.0.{at}"
        code, output = builder.build(fail_at=at, **parameters, Version=version)
        failed = builder.calls[at - 1]
        # The image is there by then, and only its digest is not shown.
        told = "imageDigest" in failed
        assert code != 0, f"the build goes on after: {failed}\n{output}"
        assert (version in builder.tags) == told, failed
        # What was left off is taken up by the next build.
        assert builder.build(**parameters, Version=version)[0] == 0, failed
        assert version in builder.tags, failed
    return count


def test_every_command_fails_the_build_when_it_fails(builder):
    assert run_with_every_failure(builder, {"SourceVersion": "main"}) > 25


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_every_command_fails_the_build_of_an_archive_too(builder, name):
    builder.archive("--format", "zip" if name.endswith("zip") else "tar.gz")
    parameters = {"Source": f"s3://my-bucket/{name}", "Architectures": "X86_64"}
    assert run_with_every_failure(builder, parameters) > 8


def test_the_script_is_sound(tmp_path):
    spec = yaml.safe_load(template("image.yaml")["Mappings"]["Builds"]["Spec"]["Text"])
    assert list(spec["phases"]) == ["build"]
    (command,) = spec["phases"]["build"]["commands"]
    start, script, end = command.split("'")
    assert (start, end) == ("bash -euo pipefail -c ", "\n")
    path = tmp_path / "build.sh"
    path.write_text(f"#!/bin/bash\nset -euo pipefail\n{script}")
    subprocess.run(["shellcheck", "--severity=style", path], check=True)
