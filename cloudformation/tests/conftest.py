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

TEMPLATES = ["ecs-updater.yaml", "demo-cluster.yaml", "fleet.yaml"]
DOCUMENTS = ["Inspect", "Stage", "Reboot", "Revert"]
BOOT = "0b8d4f6e-7c59-4a31-9a63-7e2f1d5c4b3a"


@contextlib.contextmanager
def moto_server():
    """The URL of moto's server on a free port, for as long as it is used."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


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
    stderr: str

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
        self.send_response(200 if body is not None else 404)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

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

    def finish(self, process):
        stdout, stderr = process.communicate(timeout=60)
        lines = stdout.splitlines()
        assert lines, f"no report; {stderr}"
        assert all(len(line.encode()) < 2400 for line in lines)
        output = Output(process.returncode, [check_report(json.loads(line)) for line in lines], stderr)
        assert output.code == (1 if output.error else 0), output
        return output

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


KEYS = {
    "": {"v", "step", "boot_id", "booted_at", "os", "update", "settings", "agent", "wrote", "error"},
    "os": {"version", "variant", "arch"},
    "update": {"state", "chosen", "staged", "available", "last"},
    "settings": {"version_lock", "ignore_waves"},
    "agent": {"state", "container_instance", "tasks"},
    "error": {"at", "code", "detail"},
}
CODES = [
    "failed",
    "refused",
    "busy",
    "unsure",
    "wrote_nothing",
    "wrote_other",
    "not_offered",
    "no_in_place_updates",
    "other_boot",
    "tasks_running",
    "api_down",
    "bad_parameter",
]


def check_report(report):
    """Holds a report to models::host::HostReport."""
    assert report["v"] == 1
    assert report["step"] in ("inspect", "stage", "reboot", "revert")
    assert set(report) <= KEYS[""]
    for part, keys in KEYS.items():
        if part and part in report:
            assert set(report[part]) <= keys, part
    if "update" in report:
        assert len(report["update"]["available"]) <= 40
    if "error" in report:
        assert len(report["error"]["detail"]) <= 400
        assert report["error"]["code"] in CODES
    return report


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    yield host
    host.close()


def terminate(process):
    process.send_signal(signal.SIGTERM)
