"""What the tests share: the templates, the documents as SSM would run them, and a host with a stand-in `apiclient`."""

import contextlib
import functools
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import generate  # noqa: E402
from standin import host as standin  # noqa: E402

TEMPLATES = [
    "ecs-updater.yaml",
    "demo-cluster.yaml",
    "fleet.yaml",
    "image.yaml",
    "dashboard.yaml",
    "events.yaml",
    "min-size.yaml",
    "reports.yaml",
    "hooks.yaml",
]
DOCUMENTS = ["Inspect", "Stage", "Reboot", "Revert"]
BOOT = "0b8d4f6e-7c59-4a31-9a63-7e2f1d5c4b3a"


@contextlib.contextmanager
def serving(handler):
    """A server of this process for a `BaseHTTPRequestHandler`, on a free port; gives its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def moto_server():
    """The URL of moto's server on a free port, for as long as it is used. It is empty: what moto holds, it holds for the
    whole process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server.start()
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST")).close()
        yield url
        server.stop()


@functools.cache
def program(name):
    """A program of this work tree, built where nobody has built it yet, with the features that `cargo test` has."""
    try:
        build = ["cargo", "build", "--quiet", "--workspace", "--bins", "--locked"]
        build += ["--features", "ecs-updater/broken"]
        subprocess.run(build, cwd=ROOT.parent, check=True)
        described = subprocess.run(
            ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"],
            cwd=ROOT.parent,
            check=True,
            stdout=subprocess.PIPE,
        )
    except FileNotFoundError:
        pytest.fail(f"these tests run the real {name}: cargo is needed (https://rustup.rs)", pytrace=False)
    return Path(json.loads(described.stdout)["target_directory"]) / "debug" / name


@functools.cache
def template(name="ecs-updater.yaml"):
    """A template, read once: nobody changes it."""
    return generate.load((ROOT / name).read_text())


def content(document, tree=None):
    return (tree or template())["Resources"][f"{document}Document"]["Properties"]["Content"]


def run_command(document, tree):
    """The script as Systems Manager joins it, its parameters not yet filled in."""
    scripts = tree["Mappings"]["Scripts"]
    lines = content(document, tree)["mainSteps"][0]["inputs"]["runCommand"]
    texts = [line if isinstance(line, str) else scripts[line["Fn::FindInMap"][1]]["Text"] for line in lines]
    return "\n".join(texts)


class Refused(Exception):
    """Systems Manager's InvalidParameters."""


def fill_in(document, parameters, tree):
    """The script with its parameters, checked and filled in as Systems Manager does."""
    known = content(document, tree)["parameters"]
    values = {name: spec["default"] for name, spec in known.items() if "default" in spec} | parameters
    if set(values) != set(known):
        raise Refused(f"{set(values) ^ set(known)}")
    text = run_command(document, tree)
    for name, value in values.items():
        spec = known[name]
        if not re.search(spec["allowedPattern"], value) or value not in spec.get("allowedValues", [value]):
            raise Refused(name)
        text = re.sub(r"\{\{ *" + name + r" *\}\}", lambda _, value=value: value, text)
    assert "{{" not in text
    return text


@dataclass
class Output:
    code: int
    lines: list

    @property
    def report(self):
        return self.lines[-1]

    @property
    def error(self):
        """Where and what, `None` without one."""
        error = self.report.get("error")
        return error and (error["at"], error["code"])


class Agent(http.server.BaseHTTPRequestHandler):
    """The ECS agent's introspection port."""

    def do_GET(self):
        body = self.server.answers.get(self.path)
        body = body() if callable(body) else body
        self.send_response(200 if body is not None else 404)
        self.end_headers()
        self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def log_message(self, *_):
        pass


class Host:
    """A host whose /proc, agent port, `apiclient` and `sleep` are stand-ins."""

    ARN = "arn:aws:ecs:eu-west-1:123456789012:container-instance/web/4b5f3c0e9d1a4f7c8e2b6a7d90c1e2f3"

    def __init__(self, root):
        self.root, self.bin = root, root / "bin"
        self.bin.mkdir()
        self.server = standin.Server(self.bin)
        (root / "boot_id").write_text(f"{BOOT}\n")
        (root / "stat").write_text("cpu  1 2 3\nbtime 1795400000\nprocesses 4\n")
        self.agent = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Agent)
        self.agent.answers = {"/v1/metadata": {"ContainerInstanceArn": self.ARN}, "/v1/tasks": {"Tasks": []}}
        threading.Thread(target=self.agent.serve_forever, args=(0.02,), daemon=True).start()
        self.port = self.agent.server_port
        self.compact = False
        self.strange = False  # says what no host says today

    def close(self):
        self.server.close()
        self.stop_agent()

    def stop_agent(self):
        self.agent.shutdown()
        self.agent.server_close()

    @property
    def state(self):
        return self.server.state

    def set(self, **changes):
        self.state.update(changes)

    @property
    def uptime(self):
        return self.server.now

    def wait_for_call(self, wanted):
        """Until the list of calls since the lock was set holds this one."""

        def seen():
            calls = self.state["calls"]
            pins = [index for index, call in enumerate(calls) if call.startswith("POST /tx/")]
            return pins and wanted in calls[pins[0] :]

        with self.server.asked:
            assert self.server.asked.wait_for(seen, 30), f"never asked: {wanted}"

    def reboot(self, version):
        """Boots this version, as after an accepted reboot."""
        (self.root / "boot_id").write_text(f"{uuid.uuid4()}\n")
        state = standin.fresh(settings=self.state["settings"], applied_lock=self.state["settings"]["version-lock"])
        state["os"]["version_id"] = version
        self.set(**state)

    def here(self, text):
        """The script with the places that it reads moved to this stand-in."""
        moves = {
            "/proc/uptime": f"{self.bin}/uptime",
            "/proc/sys/kernel/random/boot_id": f"{self.root}/boot_id",
            "/proc/stat": f"{self.root}/stat",
            "127.0.0.1/51678": f"127.0.0.1/{self.port}",
        }
        for old, new in moves.items():
            assert old in text, f"the scripts no longer read {old}"
            text = text.replace(old, new)
        return text

    def start(self, text, environment=(), edit=None):
        text = self.here(text)
        for old, new in edit or ():
            assert old in text
            text = text.replace(old, new)
        path = self.root / "script.sh"
        path.write_text(text)
        return subprocess.Popen(
            ["bash", path],
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", **dict(environment)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process, complains=False):
        stdout, stderr = process.communicate(timeout=60)
        lines = stdout.splitlines()
        assert lines, f"no report; {stderr}"
        assert len(stdout.encode()) <= 2400
        assert complains or stderr == ""
        output = Output(process.returncode, [json.loads(line) for line in lines])
        assert output.code == (1 if output.error else 0), output
        self.check(output, [*lines, listed(stdout, output.code)])
        return output

    def check(self, output, texts):
        """Nothing is lost on the updater's side: not of a line, not of the whole as a listing shows it."""
        for text, report in zip(texts, [*output.lines, output.report], strict=True):
            read, unknown = read_report(text)
            assert read == without_nulls(report)
            assert unknown == [] or self.strange, unknown
        for report in output.lines:
            assert report["step"] in ("inspect", "stage", "reboot", "revert")
            assert len(report.get("update", {}).get("available", [])) <= 40
            assert len(report.get("error", {}).get("detail", "")) <= 400

    def run(self, document, edit=None, **parameters):
        """The document as the template embeds it."""
        tree = json.loads((ROOT / "ecs-updater.json").read_text()) if self.compact else template()
        return self.finish(self.start(fill_in(document, parameters, tree), edit=edit))

    def run_raw(self, document, **environment):
        """The script without Systems Manager's check of its parameters, which stand in the environment."""
        texts = [generate.script("lib"), generate.script(document.lower())]
        return self.finish(self.start("\n".join(texts), environment.items()))

    def staged(self):
        output = self.run("Stage", Version="1.27.0")
        assert (output.error, output.report["wrote"]) == (None, "1.27.0")
        return self


def listed(stdout, code):
    """What a listing of commands shows of an output: the agent adds its own word on a failure, and cuts what is longer
    than 2,500 bytes (`TruncateOutput` of amazon-ssm-agent); a report that is cut is lost."""
    text = stdout if code == 0 else f"{stdout}\n----------ERROR-------\nfailed to run commands: exit status {code}"
    assert len(text.encode()) < 2500
    return text


def read_report(output):
    """A document's output as the updater itself reads it (`models::host::HostReport`), and the values that it does not
    know."""
    run = subprocess.run(
        [program("fleet-sim"), "read-report"], input=output, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"the updater cannot read {output!r}: {run.stderr}"
    return without_nulls(json.loads(run.stdout)), run.stderr.splitlines()


def without_nulls(value):
    """What is null or missing is the same to the updater."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    yield host
    host.close()


def terminate(process):
    process.send_signal(signal.SIGTERM)
