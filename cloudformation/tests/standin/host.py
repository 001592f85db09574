"""A Bottlerocket host behind stand-ins for `apiclient` and `sleep`.

It behaves as the recorded exchanges with the real host API do (tests/tests/suite/host_api), traps included
(docs/facts/host-api.md#traps). Its clock is the file `uptime`, which stands in for /proc/uptime and which the stand-in
`sleep` moves: a deadline of minutes passes in milliseconds.
"""

import json
import shutil
import socketserver
import threading
import urllib.parse

SECONDS = {"refresh": 3, "prepare": 40, "activate": 1, "deactivate": 1}
FROM_STATES = {
    "refresh": {"Idle", "Available", "Staged", "Ready"},
    "prepare": {"Available", "Staged"},
    "activate": {"Staged"},
    "deactivate": {"Ready"},
}
SETTINGS_APPLY_S = 2
NOT_ALLOWED = "Update action not allowed according to update state"
UNINITIALIZED = "Update status is uninitialized, refresh-updates to initialize it"
NO_SHARED_LOCK = (
    "Unable to obtain shared lock for reading update status: Resource temporarily unavailable (os error 11)"
)


def fresh(**changes):
    """The state of a host that has just booted 1.26.1, 1.27.0 being the newest release."""
    state = {
        "os": {
            "arch": "x86_64",
            "build_id": "1a2b3c4d0",
            "pretty_name": "Bottlerocket OS 1.26.1 (aws-ecs-2)",
            "variant_id": "aws-ecs-2",
            "version_id": "1.26.1",
        },
        "repository": ["1.27.0", "1.26.1", "1.26.0"],
        "settings": {"version-lock": "latest", "ignore-waves": False},
        "applied_lock": "latest",  # what the update tools know of version-lock
        "pending": {},  # by transaction
        "apply_at": None,
        "status": None,
        "running": None,  # [command, when it ends]
        "valid": False,  # whether the staged image was really written
        "written": None,
        "rebooted": False,
        "calls": [],
        # Traps. Numbers count down at each use.
        "api": "up",  # up, down, hang, garbage
        "blocked": 0,  # so many requests find the one worker of the API blocked
        "lockdown": False,
        "in_place_updates": True,
        "dispatcher_fails": "",  # what it says
        "held": False,  # somebody else keeps the update lock
        "races": 0,  # so often somebody else takes it between our status and our request
        "wave_open": True,
        "fails": {},  # command: how often
        "fails_at": {},  # command: which of its runs, counted from the first
        "runs": {},  # command: how many have ended
        "killed": {},  # command: how often its worker dies
        "slow": {},  # command: by how many seconds
        "failure_text": "Failed to fetch the update repository\nno route\n",
        "on_prepare": None,  # publish or withdraw, just before the worker chooses
        "prepare_says": "",  # before the line with the version
        "settings_stuck": False,
        "inhibited": False,
        "reboot_silent": None,  # the answer to the reboot never comes: taken or lost
        "inhibitor": 'Operation inhibited by "test" (PID 1 "x").',
        "noise": False,  # the tool warns on its standard error
        "status_patch": {},  # a newer or stranger host
    }
    state.update(changes)
    return state


def version_key(version):
    return [int(part) for part in version.split("-")[0].split("+")[0].split(".")]


class Host:
    def __init__(self, state, now):
        self.state, self.now = state, now

    def image(self, version):
        os_ = self.state["os"]
        return {"arch": os_["arch"], "version": version, "variant": os_["variant_id"]}

    def choose(self):
        running, offered, lock = self.state["os"]["version_id"], self.offered(), self.state["applied_lock"].lstrip("v")
        if lock != "latest":
            return lock if lock in offered and lock != running else None
        newest = max(offered, key=version_key, default=None)
        return newest if newest and newest != running else None

    def offered(self):
        running = version_key(self.state["os"]["version_id"])
        versions = sorted(self.state["repository"], key=version_key, reverse=True)
        return [v for v in versions if self.state["wave_open"] or version_key(v) <= running]

    def take(self, kind, command):
        left = self.state[kind].get(command, 0)
        self.state[kind][command] = max(0, left - 1)
        return left > 0

    def catch_up(self):
        state = self.state
        if state["apply_at"] is not None and self.now >= state["apply_at"] and not state["settings_stuck"]:
            state["applied_lock"], state["apply_at"] = state["settings"]["version-lock"], None
        if state["running"] and self.now >= state["running"][1]:
            command, end = state["running"]
            state["running"] = None
            if not self.take("killed", command):
                self.end(command, end)

    def end(self, command, at):
        status = self.state["status"]
        run = self.state["runs"][command] = self.state["runs"].get(command, 0) + 1
        stderr, failed = "", self.take("fails", command) or run in self.state["fails_at"].get(command, [])
        if failed:
            stderr = self.state["failure_text"]
            if command == "refresh" and status["update_state"] == "Available":
                status["update_state"] = "Idle"
        elif command == "refresh":
            chosen = self.choose()
            status["available_updates"] = self.offered()
            status["chosen_update"] = chosen and self.image(chosen)
            if status["update_state"] in ("Idle", "Available"):
                status["update_state"] = "Available" if chosen else "Idle"
        elif command == "prepare":
            shown = status["chosen_update"]["version"]
            if self.state["on_prepare"] == "publish":
                self.state["repository"].append("1.28.0")
            elif self.state["on_prepare"] == "withdraw":
                self.state["repository"].remove(shown)
            # The version is chosen again, and the status does not learn of it.
            chosen = self.choose()
            status["update_state"] = "Staged"
            status["staging_partition"] = {"image": self.image(shown), "next_to_boot": False}
            self.state["valid"] = chosen is not None
            if chosen is None:
                stderr = "No update required\n"
            else:
                stderr = f"{self.state['prepare_says']}Starting update to {chosen}\n"
                self.state["written"] = chosen
        elif command == "activate" and not self.state["valid"]:
            failed, stderr = True, "Inactive partition has not been marked valid for upgrade\n"
        else:
            status["update_state"] = "Ready" if command == "activate" else "Staged"
            status["staging_partition"]["next_to_boot"] = command == "activate"
            status["active_partition"]["next_to_boot"] = command != "activate"
        seconds = f"{int(at) % 86400 // 3600:02}:{int(at) % 3600 // 60:02}:{int(at) % 60:02}"
        status["most_recent_command"] = {
            "cmd_type": command,
            "cmd_status": "Failed" if failed else "Success",
            "timestamp": f"2026-11-23T{seconds}.294534475Z",
            "exit_status": int(failed),
            "stderr": stderr,
        }

    def answer(self, method, target, data):
        """Status and body of a request."""
        url = urllib.parse.urlsplit(target)
        query = dict(urllib.parse.parse_qsl(url.query))
        self.catch_up()
        state = self.state
        if state["blocked"] > 0:
            state["blocked"] -= 1
            return 408, ""
        match method, url.path:
            case "GET", "/os":
                return 200, json.dumps(state["os"])
            case "GET", "/updates/status":
                if state["running"] or state["held"]:
                    return 423, NO_SHARED_LOCK
                if state["status"] is None:
                    return 404, UNINITIALIZED
                return 200, json.dumps(state["status"] | state["status_patch"])
            case "GET", "/settings":
                if state["lockdown"]:
                    return 500, "Live datastore missing"
                return 200, json.dumps({"updates": state["settings"]})
            case "PATCH", "/settings":
                if state["lockdown"]:
                    return 500, "Unable to write to the data store: Required key not available (os error 126)"
                state["pending"].setdefault(query["tx"], {}).update(json.loads(data)["updates"])
                return 204, ""
            case "POST", "/tx/commit_and_apply":
                changes = state["pending"].pop(query["tx"], None)
                if not changes:
                    return 422, "Tried to commit with no pending changes"
                state["settings"].update(changes)
                state["apply_at"] = self.now + SETTINGS_APPLY_S
                return 200, json.dumps([f"settings.updates.{key}" for key in changes])
            case "POST", "/actions/reboot":
                if state["inhibited"]:
                    return 500, f"Failed to reboot, exit code: 1, stderr: {state['inhibitor']}\n"
                state["rebooted"] = True
                return 204, ""
            case "POST", path if path.startswith("/actions/"):
                return self.action(path.removeprefix("/actions/").split("-")[0])
        return 404, ""

    def action(self, command):
        state = self.state
        if not state["in_place_updates"]:
            return 500, "Unable to start the update dispatcher: No such file or directory (os error 2)"
        if state["dispatcher_fails"]:
            return 500, state["dispatcher_fails"]
        if state["races"] > 0:
            state["races"] -= 1
            return 423, "Update lock held"
        if state["running"] or state["held"]:
            return 423, "Update lock held"
        if state["status"] is None:
            active = {"image": self.image(state["os"]["version_id"]), "next_to_boot": True}
            state["status"] = {
                "update_state": "Idle",
                "available_updates": [],
                "chosen_update": None,
                "active_partition": active,
                "staging_partition": None,
                "most_recent_command": None,
            }
        if state["status"]["update_state"] not in FROM_STATES[command]:
            return 409, NOT_ALLOWED
        state["running"] = [command, self.now + SECONDS[command] + state["slow"].get(command, 0)]
        return 204, ""


class Server(socketserver.ThreadingTCPServer):
    """Answers the tools of one host, `apiclient` and `sleep`, which tell it their arguments (see TOOL)."""

    daemon_threads = True

    def __init__(self, root, **changes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.state, self.lock = root, fresh(**changes), threading.Lock()
        self.asked = threading.Condition(self.lock)
        self.set_now(5000)
        for tool in ("apiclient", "sleep"):
            path = root / tool
            path.write_text(TOOL.format(bash=shutil.which("bash"), port=self.server_address[1], tool=tool))
            path.chmod(0o755)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def set_now(self, now):
        self.now = now
        (self.root / "uptime").write_text(f"{now:.2f} 1.00\n")

    def close(self):
        self.shutdown()
        self.server_close()

    def run(self, tool, *arguments):
        """Exit code, standard error and standard output of a tool; `None` to never answer."""
        with self.lock:
            if tool == "sleep":
                self.set_now(self.now + float(arguments[0]))
                return 0, "", ""
            return self.apiclient(arguments)

    def apiclient(self, arguments):
        """`apiclient raw -u URI -m METHOD [-d DATA]`."""
        if arguments[:1] != ("raw",):
            return 2, f"Unknown argument '{arguments[0] if arguments else ''}'\n", ""
        options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
        method, uri = options.get("-m", "GET"), options["-u"]
        self.state["calls"].append(f"{method} {uri} {options.get('-d', '')}".strip())
        self.asked.notify_all()
        api = self.state["api"]
        if isinstance(api, dict):  # from this call on
            api = api["then"] if len(self.state["calls"]) > api["calls"] else "up"
        what = f"Failed {method} request to '{uri}'"
        if api == "hang":
            self.set_now(self.now + 10)
            return None
        if api == "down":
            return (
                1,
                f"{what}: Failed to send request: error trying to connect: Connection refused (os error 111)\n",
                "",
            )
        if api == "reset":
            return 1, f"{what}: Failed to send request: connection closed before message completed\n", ""
        if api == "blocked":
            return 1, f"{what}: Status 408 when {method}ing {uri}: \n", ""
        if api == "garbage":
            return 0, "", "<html>\n"
        if self.state["reboot_silent"] and (method, uri) == ("POST", "/actions/reboot"):
            self.state["rebooted"] = self.state["reboot_silent"] == "taken"
            self.set_now(self.now + 10)
            return None
        status, body = Host(self.state, self.now).answer(method, uri, options.get("-d"))
        noise = "03:06:50 \x1b[0m\x1b[33m[WARN] \x1b[0mSomething is deprecated\n" if self.state["noise"] else ""
        if status not in (200, 204):
            return 1, f"{noise}{what}: Status {status} when {method}ing {uri}: {body}\n", ""
        return 0, noise, body and f"{body}\n"


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        data = b""
        while not data.endswith(b"\x1e"):
            part = self.request.recv(65536)
            if not part:
                return
            data += part
        answer = self.server.run(*data[:-2].decode().split("\x1f"))
        if answer is None:
            self.request.recv(1)  # until the tool is killed
            return
        code, stderr, stdout = answer
        self.wfile.write(f"{code}\n{stderr}\x1f{stdout}".encode())


# A tool on the host: small, since a visit calls it dozens of times.
TOOL = """#!{bash}
exec 3<>/dev/tcp/127.0.0.1/{port}
printf '%s\\037' {tool} "$@" >&3
printf '\\036' >&3
IFS= read -r code <&3
IFS= read -r -d $'\\037' errors <&3
printf '%s' "$errors" >&2
while IFS= read -r line; do printf '%s\\n' "$line"; done <&3
exit "$code"
"""
