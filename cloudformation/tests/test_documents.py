"""The four documents, run under bash on a stand-in host, as the template embeds them (contract: docs/documents.md)."""

import json
import re
import shutil
import subprocess
import time

import pytest

import generate
from conftest import BOOT, DOCUMENTS, Refused, content, fill_in, template, terminate

OTHER_BOOT = "11111111-2222-4333-8444-555555555555"


def lock(output):
    return output.report["settings"]["version_lock"]


# inspect


def test_inspect_reads_without_a_refresh(host):
    report = host.run("Inspect", Refresh="no").report
    assert report == {
        "v": 1,
        "step": "inspect",
        "boot_id": BOOT,
        "booted_at": 1795400000,
        "os": {"version": "1.26.1", "variant": "aws-ecs-2", "arch": "x86_64"},
        "settings": {"version_lock": "latest", "ignore_waves": False},
        "agent": {"state": "registered", "container_instance": host.ARN, "tasks": 0},
    }
    assert not [call for call in host.state["calls"] if not call.startswith("GET")]


def test_inspect_refreshes(host):
    update = host.run("Inspect", Refresh="yes").report["update"]
    assert update == {
        "state": "Available",
        "chosen": "1.27.0",
        "staged": None,
        "available": ["1.27.0", "1.26.1", "1.26.0"],
        "last": {"type": "refresh", "status": "Success"},
    }


def test_inspect_reads_on_after_a_failed_refresh(host):
    host.set(fails={"refresh": 1})
    output = host.run("Inspect", Refresh="yes")
    assert output.error == ("refresh", "failed")
    assert output.report["error"]["detail"] == "Failed to fetch the update repository\nno route"
    assert output.report["update"]["last"] == {"type": "refresh", "status": "Failed"}
    assert "settings" in output.report


def test_inspect_knows_an_image_without_in_place_updates(host):
    host.set(in_place_updates=False)
    assert host.run("Inspect", Refresh="yes").error == ("refresh", "no_in_place_updates")


@pytest.mark.parametrize(
    "words",
    ["Update dispatcher failed", "Unable to start the update dispatcher: Cannot allocate memory (os error 12)"],
)
def test_a_dispatcher_that_fails_says_nothing_of_the_image(host, words):
    host.set(dispatcher_fails=words)
    output = host.run("Inspect", Refresh="yes")
    assert output.error == ("refresh", "dispatcher_failed")
    assert output.report["error"]["detail"] == f"{words} (its run directory, partition table or status file)"


def test_a_killed_worker_costs_seconds(host):
    host.set(killed={"refresh": 1})
    begun = host.uptime
    output = host.run("Inspect", Refresh="yes", Timeout="600")
    assert output.error == ("refresh", "unsure")
    assert output.report["error"]["detail"] == "its worker is gone without a result"
    assert 15 <= host.uptime - begun < 30


def test_a_command_that_does_not_end_is_reported_in_time(host):
    host.set(slow={"refresh": 1000})
    begun = host.uptime
    output = host.run("Inspect", Refresh="yes", Timeout="60")
    assert output.error == ("refresh", "unsure")
    assert 55 <= host.uptime - begun < 60


def test_an_earlier_commands_success_is_not_taken_for_this_ones(host):
    assert host.run("Inspect", Refresh="yes").error is None
    host.set(killed={"refresh": 1})
    output = host.run("Inspect", Refresh="yes", Timeout="30")
    assert (output.error, output.report["update"]["last"]["status"]) == (("refresh", "unsure"), "Success")

    host.staged()
    host.set(killed={"prepare": 1})
    output = host.run("Stage", Version="1.27.0", Timeout="60")
    assert output.error == ("prepare", "unsure")
    assert "wrote" not in output.report


def test_a_lock_that_somebody_else_keeps_is_busy(host):
    host.set(held=True)
    begun = host.uptime
    output = host.run("Inspect", Refresh="yes", Timeout="30")
    assert output.error == ("refresh", "busy")
    assert output.report["error"]["detail"].startswith("Unable to obtain shared lock")
    assert host.uptime - begun < 30


def test_a_lock_taken_just_before_the_request_is_waited_for(host):
    host.set(races=2)
    assert host.run("Inspect", Refresh="yes").error is None
    host.set(races=100)
    assert host.run("Inspect", Refresh="yes", Timeout="30").error == ("refresh", "busy")


def test_inspect_goes_on_without_settings(host):
    host.set(lockdown=True)
    output = host.run("Inspect")
    assert output.error is None
    assert ("settings" in output.report, output.report["locked_down"]) == (False, True)


def test_a_blocked_api_is_asked_again(host):
    host.set(blocked=3)
    assert host.run("Inspect", Refresh="yes").error is None
    host.staged()
    host.set(blocked=4)
    assert host.run("Reboot", Version="1.27.0", Boot=BOOT).error is None


@pytest.mark.parametrize(("answered", "at"), [(0, "os"), (1, "refresh")])
def test_an_api_that_stays_blocked_is_busy(host, answered, at):
    host.set(blocked=1000)
    if answered:
        host.set(blocked=0)
        host.set(api={"calls": len(host.state["calls"]) + answered, "then": "blocked"})
    begun = host.uptime
    output = host.run("Inspect", Refresh="yes", Timeout="30")
    assert output.error == (at, "busy")
    assert host.uptime - begun < 30


def test_inspect_tells_an_agent_that_is_not_there(host):
    host.stop_agent()
    assert host.run("Inspect").report["agent"] == {"state": "down"}


def test_inspect_tells_an_agent_without_a_container_instance(host):
    host.agent.answers = {"/v1/metadata": {"ContainerInstanceArn": None}, "/v1/tasks": None}
    assert host.run("Inspect").report["agent"] == {"state": "unregistered"}


def test_inspect_counts_tasks_that_have_not_stopped(host):
    tasks = [{"KnownStatus": status} for status in ("RUNNING", "STOPPED", "NONE")]
    # An answer far longer than any argument may be.
    host.agent.answers["/v1/tasks"] = {"Tasks": tasks + [{"KnownStatus": "STOPPED", "Family": "f" * 300}] * 1000}
    assert host.run("Inspect").report["agent"]["tasks"] == 2


def test_a_bash_that_cannot_ask_the_agent_leaves_it_out(host):
    output = host.run("Inspect", edit=[("3<>/dev/tcp/", "3<>/dev/no-such/")])
    assert output.error is None
    assert "agent" not in output.report


def test_a_nul_in_what_a_worker_or_the_agent_says_makes_no_noise(host):
    host.set(fails={"prepare": 1}, failure_text="no\0 route\n")
    output = host.run("Stage", Version="1.27.0")
    assert (output.error, output.report["error"]["detail"]) == (("prepare", "failed"), "no route")
    host.agent.answers["/v1/metadata"] = b'{"ContainerInstanceArn": "' + host.ARN.encode() + b'"}\0'
    assert host.run("Inspect").report["agent"]["state"] == "registered"


def test_an_agent_that_does_not_answer_is_not_waited_for(host):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        host.port = silent.getsockname()[1]
        begun = time.monotonic()
        assert host.run("Inspect").report["agent"] == {"state": "down"}
        assert time.monotonic() - begun < 8


@pytest.mark.parametrize("registers_after", [0, 1, 20, 43])
def test_inspect_waits_no_longer_than_for_the_agent(host, registers_after):
    begun = host.uptime
    host.agent.answers["/v1/metadata"] = lambda: {
        "ContainerInstanceArn": host.ARN if host.uptime >= begun + registers_after else None
    }
    output = host.run("Inspect", Wait="45")
    assert (output.error, output.report["agent"]["state"]) == (None, "registered")
    assert registers_after <= host.uptime - begun < registers_after + 2


@pytest.mark.parametrize("wait", ["1", "45", "100"])
def test_inspect_reports_in_time_an_agent_that_never_registers(host, wait):
    host.agent.answers = {"/v1/metadata": {"ContainerInstanceArn": None}}
    begun = host.uptime
    output = host.run("Inspect", Wait=wait)
    assert (output.error, output.report["agent"]) == (None, {"state": "unregistered"})
    assert int(wait) <= host.uptime - begun < int(wait) + 2
    assert output.report["os"]["version"] == "1.26.1", "the rest is read all the same"


def test_inspect_waits_for_an_agent_that_is_down(host):
    host.stop_agent()
    begun = host.uptime
    output = host.run("Inspect", Wait="30")
    assert (output.error, output.report["agent"]) == (None, {"state": "down"})
    assert 30 <= host.uptime - begun < 32


def test_inspect_does_not_wait_unless_it_is_told_to(host):
    host.stop_agent()
    begun = host.uptime
    for parameters in ({}, {"Wait": "0"}):
        assert host.run("Inspect", **parameters).report["agent"] == {"state": "down"}
    assert host.uptime == begun


def test_inspect_does_not_wait_where_there_is_no_way_to_ask(host):
    begun = host.uptime
    output = host.run("Inspect", Wait="300", edit=[("3<>/dev/tcp/", "3<>/dev/no-such/")])
    assert (output.error, "agent" in output.report, host.uptime) == (None, False, begun)


def test_the_deadline_of_the_visit_ends_the_wait(host):
    host.stop_agent()
    begun = host.uptime
    output = host.run("Inspect", Wait="300", Timeout="60")
    assert (output.error, output.report["agent"]) == (None, {"state": "down"})
    assert 55 <= host.uptime - begun < 60


def test_an_api_that_is_down_is_reported_with_the_boot(host):
    host.set(api="down")
    output = host.run("Inspect")
    assert (output.error, output.report["boot_id"]) == (("os", "api_down"), BOOT)
    assert "Connection refused" in output.report["error"]["detail"]


def test_an_api_that_hangs_is_down(host):
    host.set(api="hang")
    output = host.run("Inspect", edit=[("CALL=10", "CALL=1")])
    assert output.error == ("os", "api_down")
    assert "no answer within 1 s" in output.report["error"]["detail"]


def test_an_answer_that_is_no_json_is_a_failure(host):
    host.set(api="garbage")
    assert host.run("Inspect").error == ("os", "failed")


def test_warnings_of_the_tool_do_not_matter(host):
    host.set(noise=True)
    assert host.run("Inspect", Refresh="yes").report["update"]["chosen"] == "1.27.0"


def test_a_host_without_jq_still_says_so(host):
    tools = host.root / "tools"
    tools.mkdir()
    for name in ("bash", "timeout", "cat"):
        (tools / name).symlink_to(shutil.which(name))
    environment = {"PATH": f"{tools}:{host.bin}"}
    output = host.finish(host.start(fill_in("Inspect", {}, template()), environment.items()), complains=True)
    assert output.code == 1
    assert output.report["step"] == "inspect"
    assert output.error[1] == "failed"
    assert output.report["error"]["detail"].startswith("no jq: ")


def test_a_newer_host_is_understood(host):
    strange = {"update_state": "Paused", "available_updates": None, "chosen_update": 7, "staging_partition": "x"}
    host.strange = True
    host.set(status_patch=strange | {"more": {}})
    update = host.run("Inspect", Refresh="yes").report["update"]
    assert update["state"] == "Paused"
    assert (update["chosen"], update["staged"], update["available"]) == (None, None, [])


# stage


def test_stage_writes_and_stays(host):
    output = host.run("Stage", Version="1.27.0")
    assert output.error is None
    assert output.report["wrote"] == "1.27.0"
    assert (output.report["update"]["state"], output.report["update"]["staged"]) == ("Staged", "1.27.0")
    assert not [call for call in host.state["calls"] if "PATCH" in call or "activate" in call]


def test_stage_always_prepares(host):
    host.staged()
    before = host.state["calls"].count("POST /actions/prepare-update")
    output = host.run("Stage", Version="1.27.0")
    assert (output.error, output.report["wrote"]) == (None, "1.27.0")
    assert host.state["calls"].count("POST /actions/prepare-update") == before + 1


def test_stage_pins_another_version_and_puts_the_lock_back(host):
    host.set(repository=["1.28.0", "1.27.0", "1.26.1"])
    output = host.run("Stage", Version="1.27.0", Lock="keep")
    assert (output.error, output.report["wrote"], lock(output)) == (None, "1.27.0", "latest")
    patches = [call for call in host.state["calls"] if call.startswith("PATCH")]
    assert [json.loads(call.split(" ", 2)[2])["updates"]["version-lock"] for call in patches] == ["1.27.0", "latest"]
    assert host.state["pending"] == {}
    names = {call.split("tx=")[1].split()[0] for call in patches}
    assert len(names) == 1 and names.pop() != "ecs-updater"
    host.set(pending={"ecs-updater": {"version-lock": "1.0.0"}})
    assert host.run("Stage", Version="1.27.0", Lock="keep").error is None
    assert host.state["pending"] == {"ecs-updater": {"version-lock": "1.0.0"}}, "what others have pending is theirs"


def test_stage_leaves_the_lock_that_it_was_told(host):
    for wanted in ("1.27.0", "latest", "v1.27.0"):
        assert lock(host.run("Stage", Version="1.27.0", Lock=wanted)) == wanted


def test_stage_puts_the_lock_back_after_a_failure(host):
    host.set(repository=["1.28.0", "1.27.0"], fails={"prepare": 1})
    output = host.run("Stage", Version="1.27.0")
    assert (output.error, lock(output)) == (("prepare", "failed"), "latest")


def test_stage_puts_the_lock_back_when_nothing_gets_chosen(host):
    host.set(repository=["1.28.0", "1.27.0"], settings_stuck=True)
    output = host.run("Stage", Version="1.27.0", Timeout="60")
    assert (output.error, lock(output)) == (("pin", "failed"), "latest")
    assert "1.28.0 stays chosen" in output.report["error"]["detail"]


@pytest.mark.parametrize("sent", ["refresh", "prepare"])
def test_stage_puts_the_lock_back_after_sigterm(host, sent):
    host.set(repository=["1.28.0", "1.27.0"])
    process = host.start(fill_in("Stage", {"Version": "1.27.0"}, template()))
    host.wait_for_call(f"POST /actions/{'refresh-updates' if sent == 'refresh' else 'prepare-update'}")
    terminate(process)
    output = host.finish(process)
    assert output.error[1] == "unsure"
    assert lock(output) == "latest"


def test_stage_replaces_another_ready_version(host):
    host.staged()
    host.run("Reboot", Version="1.27.0", Boot=BOOT)
    host.set(repository=["1.28.0", "1.27.0"])
    output = host.run("Stage", Version="1.28.0")
    assert (output.error, output.report["wrote"], output.report["update"]["state"]) == (None, "1.28.0", "Staged")


def test_stage_deactivates_the_same_ready_version_first(host):
    host.staged()
    host.run("Reboot", Version="1.27.0", Boot=BOOT)
    output = host.run("Stage", Version="1.27.0")
    assert (output.error, output.report["update"]["state"]) == (None, "Staged")


def test_stage_refuses_what_is_not_offered_or_runs_already(host):
    assert host.run("Stage", Version="1.99.0").error == ("refresh", "not_offered")
    assert host.run("Stage", Version="1.26.1").error == ("os", "other_boot")
    host.set(wave_open=False)
    assert host.run("Stage", Version="1.27.0").error == ("refresh", "not_offered")
    assert "POST /actions/prepare-update" not in host.state["calls"]


def test_what_is_refused_undoes_no_activation_and_asks_for_no_settings(host):
    host.staged()
    host.set(inhibited=True)
    host.run("Reboot", Version="1.27.0", Boot=BOOT)
    before = len(host.state["calls"])
    output = host.run("Stage", Version="1.99.0")
    assert (output.error, output.report["update"]["state"]) == (("refresh", "not_offered"), "Ready")
    made = host.state["calls"][before:]
    assert not [call for call in made if "deactivate" in call]
    # The only look at the settings is the one for the report.
    assert len([call for call in made if "/settings" in call]) == 1
    host.set(lockdown=True)
    assert host.run("Stage", Version="1.99.0").error == ("refresh", "not_offered")


def test_the_error_of_a_refresh_does_not_stand_beside_a_later_success(host):
    # The second refresh is the first one under the pin.
    host.set(repository=["1.28.0", "1.27.0"], fails_at={"refresh": [2]})
    output = host.run("Stage", Version="1.27.0")
    assert (output.error, output.report["wrote"]) == (None, "1.27.0")


def test_a_pin_is_not_refreshed_for_longer_than_its_settings_take(host):
    begun = host.uptime
    host.set(repository=["1.28.0", "1.27.0"], fails_at={"refresh": range(2, 99)})
    output = host.run("Stage", Version="1.27.0")
    assert (output.error, lock(output)) == (("refresh", "failed"), "latest")
    assert host.uptime - begun < 120, "and not for the whole Timeout"


def test_stage_sees_that_prepare_wrote_another_version(host):
    host.set(on_prepare="publish")
    output = host.run("Stage", Version="1.27.0")
    assert (output.error, output.report["wrote"]) == (("prepare", "wrote_other"), "1.28.0")


def test_of_two_versions_the_last_one_was_written(host):
    host.set(prepare_says="Starting update to 1.26.0\n")
    assert host.run("Stage", Version="1.27.0").report["wrote"] == "1.27.0"


@pytest.mark.parametrize("trap", ["publish", "withdraw"])
def test_reboot_refuses_what_the_last_prepare_did_not_write(host, trap):
    host.set(on_prepare=trap)
    host.run("Stage", Version="1.27.0")
    output = host.run("Reboot", Version="1.27.0", Boot=BOOT)
    assert (output.error, output.report["update"]["staged"]) == (("staged", "refused"), "1.27.0")
    assert output.report["error"]["detail"].startswith("the last prepare wrote ")
    assert not [call for call in host.state["calls"] if "activate" in call]


def test_stage_sees_that_prepare_wrote_nothing(host):
    host.set(on_prepare="withdraw")
    output = host.run("Stage", Version="1.27.0")
    assert (output.error, output.report["error"]["detail"]) == (("prepare", "wrote_nothing"), "No update required")
    assert "wrote" not in output.report
    # The status still calls it staged; another stage must not believe that.
    assert output.report["update"]["staged"] == "1.27.0"
    assert host.run("Stage", Version="1.27.0").error == ("refresh", "not_offered")


def test_stage_says_why_there_is_no_way(host):
    text = "Reached end of migration chain at 1.26.1 but target is 1.27.0\n"
    host.set(fails={"prepare": 1}, failure_text=text)
    output = host.run("Stage", Version="1.27.0")
    assert (output.error, output.report["error"]["detail"]) == (("prepare", "failed"), text.strip())


def test_stage_is_unsure_of_a_request_that_may_have_got_through(host):
    calls = len(host.state["calls"])
    host.set(api={"calls": calls + 2, "then": "reset"})
    # /os and the status answer; the POST of the refresh does not.
    assert host.run("Stage", Version="1.27.0").error == ("refresh", "unsure")


def test_stage_is_unsure_of_a_request_without_an_answer(host):
    host.set(api={"calls": 2, "then": "hang"})
    assert host.run("Stage", Version="1.27.0", edit=[("CALL=10", "CALL=1")]).error == ("refresh", "unsure")


def test_stage_reports_a_refusal(host):
    """The status promises what another client has undone since."""
    shown = {"available_updates": ["1.27.0"], "chosen_update": {"version": "1.27.0"}}
    host.set(wave_open=False, status_patch=shown)
    output = host.run("Stage", Version="1.27.0")
    assert output.error == ("prepare", "refused")
    assert output.report["error"]["detail"] == "Update action not allowed according to update state"


def test_an_api_that_dies_in_the_middle_is_waited_for(host):
    host.set(api={"calls": 4, "then": "down"})
    begun = host.uptime
    assert host.run("Stage", Version="1.27.0", Timeout="90").error == ("refresh", "unsure")
    assert host.uptime - begun < 90


def test_an_api_that_begins_to_hang_does_not_keep_the_report_back(host):
    """Each call that hangs takes 10 s here; the one that ends after the deadline is the last."""
    host.set(api={"calls": 4, "then": "hang"})
    output = host.run("Stage", Version="1.27.0", Timeout="30", edit=[("CALL=10", "CALL=1"), ("WAY_OUT=4", "WAY_OUT=1")])
    assert output.error == ("refresh", "unsure")
    assert host.state["calls"][4:] == ["GET /updates/status"] * 2


def test_a_failed_prepare_wrote_nothing_that_counts(host):
    host.set(fails={"prepare": 1}, failure_text="Starting update to 1.27.0\nno space left\n")
    output = host.run("Stage", Version="1.27.0")
    assert output.error == ("prepare", "failed")
    assert "wrote" not in output.report


def test_stage_under_lockdown_works_where_no_pin_is_needed(host):
    host.set(lockdown=True)
    assert host.run("Stage", Version="1.27.0").error is None
    host.set(repository=["1.28.0", "1.27.0"])
    output = host.run("Stage", Version="1.27.0")
    assert output.error == ("pin", "host_locked_down")
    assert output.report["locked_down"] is True


def test_under_lockdown_nothing_is_undone_before_a_pin_is_refused(host):
    host.staged()
    host.set(inhibited=True)
    host.run("Reboot", Version="1.27.0", Boot=BOOT)
    host.set(lockdown=True, repository=["1.28.0", "1.27.0", "1.26.1", "1.26.0"])
    output = host.run("Revert", Version="1.26.0", Boot=BOOT)
    assert (output.error, output.report["update"]["state"]) == (("pin", "host_locked_down"), "Ready")
    assert host.run("Revert", Version="none", Boot=BOOT).report["update"]["state"] == "Staged"


# reboot


def test_reboot_activates_and_reboots_once(host):
    host.staged()
    output = host.run("Reboot", Version="1.27.0", Boot=BOOT)
    assert (output.error, output.report["update"]["state"], len(output.lines)) == (None, "Ready", 1)
    assert host.state["rebooted"]
    assert host.state["calls"][-1] == "POST /actions/reboot"

    host.reboot("1.27.0")
    late = host.run("Reboot", Version="1.27.0", Boot=BOOT)
    assert late.error == ("boot", "other_boot")
    assert not host.state["rebooted"]


def test_reboot_goes_on_where_it_is_active_already(host):
    host.staged()
    host.set(inhibited=True)
    host.run("Reboot", Version="1.27.0", Boot=BOOT)
    host.set(inhibited=False)
    activations = host.state["calls"].count("POST /actions/activate-update")
    assert host.run("Reboot", Version="1.27.0", Boot=BOOT).error is None
    assert host.state["calls"].count("POST /actions/activate-update") == activations


def test_reboot_takes_no_release_that_was_withdrawn(host):
    """updog would: docs/facts/host-api.md#trap-15."""
    host.staged()
    host.set(repository=["1.26.1", "1.26.0"])
    output = host.run("Reboot", Version="1.27.0", Boot=BOOT)
    assert (output.error, output.report["update"]["state"]) == (("refresh", "not_offered"), "Staged")
    assert not [call for call in host.state["calls"] if "activate" in call or "reboot" in call]


def test_a_refresh_that_fails_before_the_reboot_is_no_withdrawal(host):
    host.staged()
    host.set(fails={"refresh": 1})
    output = host.run("Reboot", Version="1.27.0", Boot=BOOT)
    assert (output.error, output.report["update"]["state"]) == (("refresh", "failed"), "Staged")
    assert host.run("Reboot", Version="1.27.0", Boot=BOOT).error is None
    assert host.state["rebooted"]


def test_the_way_back_needs_no_repository(host):
    host.staged()
    host.set(inhibited=True)
    host.run("Reboot", Version="1.27.0", Boot=BOOT)
    host.set(inhibited=False, repository=["1.26.1"], fails={"refresh": 1})
    assert host.run("Reboot", Version="1.27.0", Boot=BOOT).error is None


def test_reboot_prints_a_second_line_when_it_is_inhibited(host):
    host.staged()
    host.set(inhibited=True)
    output = host.run("Reboot", Version="1.27.0", Boot=BOOT)
    assert len(output.lines) == 2
    assert "error" not in output.lines[0]
    assert output.error == ("reboot", "failed")
    assert "Operation inhibited" in output.report["error"]["detail"]
    assert output.report["update"]["state"] == "Ready"


@pytest.mark.parametrize("fate", ["taken", "lost"])
def test_reboot_is_unsure_where_no_answer_comes(host, fate):
    """The host may go down up to 5 minutes later: which of the two it was, nobody can tell by then."""
    host.staged()
    host.set(reboot_silent=fate)
    output = host.run("Reboot", Version="1.27.0", Boot=BOOT, edit=[("CALL=10", "CALL=1")])
    assert len(output.lines) == 2
    assert "error" not in output.lines[0]
    assert output.error == ("reboot", "unsure")
    assert output.report["error"]["detail"] == "POST /actions/reboot: no answer within 1 s"
    assert output.report["update"]["state"] == "Ready", "the activation is left as it is"
    assert host.state["rebooted"] == (fate == "taken")


def test_reboot_waits_for_no_tasks(host):
    host.staged()
    host.agent.answers["/v1/tasks"] = {"Tasks": [{"KnownStatus": "RUNNING"}]}
    output = host.run("Reboot", Version="1.27.0", Boot=BOOT)
    assert (output.error, output.report["update"]["state"]) == (("tasks", "tasks_running"), "Staged")


def test_reboot_refuses_another_staged_version_and_none(host):
    assert host.run("Reboot", Version="1.27.0", Boot=BOOT).error == ("staged", "refused")
    host.staged()
    assert host.run("Reboot", Version="1.28.0", Boot=BOOT).error == ("staged", "refused")
    assert not host.state["rebooted"]


@pytest.mark.parametrize("trap", [{"fails": {"activate": 1}}, {"killed": {"activate": 1}}, {"valid": False}])
def test_reboot_ends_where_activate_does_not_work(host, trap):
    host.staged()
    host.set(**trap)
    output = host.run("Reboot", Version="1.27.0", Boot=BOOT, Timeout="30")
    assert output.error == ("activate", "unsure" if "killed" in trap else "failed")
    assert not host.state["rebooted"]


@pytest.mark.parametrize("state", ["Available", "Idle", "Paused"])
def test_reboot_refuses_where_the_staged_version_is_not_ready(host, state):
    host.staged()
    host.strange = state == "Paused"
    host.set(status_patch={"update_state": state})
    output = host.run("Reboot", Version="1.27.0", Boot=BOOT)
    assert output.error == ("activate", "refused")
    assert state in output.report["error"]["detail"]
    assert not host.state["rebooted"]


def boots(count, here=None):
    """Ids of other boots, and this one at a place."""
    ids = [f"{number:08x}-2222-4333-8444-555555555555" for number in range(count)]
    if here is not None:
        ids[here] = BOOT
    return " ".join(ids)


@pytest.mark.parametrize(("count", "here"), [(1, 0), (2, 0), (2, 1), (50, 0), (50, 23), (50, 49)])
def test_reboot_finds_its_boot_among_many(host, count, here):
    host.staged()
    output = host.run("Reboot", Version="1.27.0", Boot=boots(count, here))
    assert (output.error, output.report["update"]["state"], host.state["rebooted"]) == (None, "Ready", True)


@pytest.mark.parametrize("count", [1, 2, 50])
def test_reboot_does_nothing_for_other_boots_however_many(host, count):
    output = host.run("Reboot", Version="1.27.0", Boot=boots(count))
    assert output.error == ("boot", "other_boot")
    assert output.report["error"]["detail"].startswith("meant for boot 00000000-2222-")
    assert host.state["calls"] == []


def test_a_late_command_for_many_is_done_once_by_each(host):
    host.staged()
    many = boots(50, 7)
    assert host.run("Reboot", Version="1.27.0", Boot=many).error is None
    host.reboot("1.26.1")  # the loader fell back
    calls = len(host.state["calls"])
    assert host.run("Reboot", Version="1.27.0", Boot=many).error == ("boot", "other_boot")
    assert (host.state["rebooted"], len(host.state["calls"])) == (False, calls)


@pytest.mark.parametrize("boot_id", ["", "\n", "unknown\n", BOOT[:-1] + "\n", "*" * 36 + "\n"])
def test_a_host_that_does_not_know_its_boot_is_not_rebooted(host, boot_id):
    host.staged()
    (host.root / "boot_id").write_text(boot_id)
    calls = len(host.state["calls"])
    output = host.run("Reboot", Version="1.27.0", Boot=boots(3, 1))
    assert output.error == ("boot", "other_boot")
    assert output.report["error"]["detail"].endswith("this is boot unknown")
    assert (host.state["rebooted"], len(host.state["calls"])) == (False, calls)


@pytest.mark.parametrize("inhibited", [True, False])
def test_both_lines_of_a_reboot_fit_into_a_listing(host, inhibited):
    """As long as a host can make them."""
    versions = [f"1.30.{patch}-{'x' * 25}" for patch in range(60)]
    host.set(repository=versions)
    wanted = versions[-1]
    assert host.run("Stage", Version=wanted).report["wrote"] == wanted
    host.agent.answers["/v1/metadata"] = {"ContainerInstanceArn": f"arn:aws:ecs:{'r' * 300}"}
    host.set(inhibited=inhibited, inhibitor='"\\' * 3000)
    output = host.run("Reboot", Version=wanted, Boot=boots(50, 49))
    assert output.error == (("reboot", "failed") if inhibited else None)
    assert [report["update"]["state"] for report in output.lines] == ["Ready"] * (1 + inhibited)
    assert output.report["update"]["staged"] == wanted


def test_reboot_refuses_in_the_version_itself(host):
    host.reboot("1.27.0")
    boot = (host.root / "boot_id").read_text().strip()
    assert host.run("Reboot", Version="1.27.0", Boot=boot).error == ("os", "other_boot")


# revert


def test_revert_none_undoes_an_activation_and_puts_the_lock_back(host):
    host.staged()
    host.set(inhibited=True)
    host.run("Reboot", Version="1.27.0", Boot=BOOT)
    output = host.run("Revert", Version="none", Lock="1.26.1", Boot=BOOT)
    assert (output.error, output.report["update"]["state"], lock(output)) == (None, "Staged", "1.26.1")
    again = host.run("Revert", Version="none", Lock="latest", Boot=BOOT)
    assert (again.error, lock(again)) == (None, "latest")


def test_revert_writes_and_activates_the_old_version(host):
    host.reboot("1.27.0")
    boot = (host.root / "boot_id").read_text().strip()
    output = host.run("Revert", Version="1.26.1", Lock="keep", Boot=boot)
    assert (output.error, output.report["wrote"]) == (None, "1.26.1")
    assert (output.report["update"]["state"], lock(output)) == ("Ready", "latest")
    assert not host.state["rebooted"]


def test_revert_in_another_boot_does_nothing(host):
    for version in ("none", "1.26.0"):
        output = host.run("Revert", Version=version, Lock="1.26.1", Boot=OTHER_BOOT)
        assert output.error == ("boot", "other_boot")
    assert host.state["calls"] == []


# Parameters


def hostile():
    bad = ["$(reboot)", "'; reboot; '", "1.27.0'", "1.27.0; reboot", "1.27.0\nreboot", "`id`", "{{ Lock }}", "${IFS}"]
    for name in ("Version", "Lock", "Boot", "Timeout", "Refresh", "Wait"):
        yield from ((name, value) for value in [*bad, "", " ", "é"])
    yield from (("Timeout", value) for value in ("29", "3601", "0x1F", "1e3", "-60", "060", "a[$(reboot)]"))
    yield from (("Wait", value) for value in ("301", "0x1F", "1e2", "-1", "060", "a[$(reboot)]"))
    yield from (("Version", value) for value in ("latest", "1.27", "v1.27.0", "01.2.3", "1.27.0-" + "a" * 40))
    yield from (("Lock", value) for value in ("never", "none", "vlatest"))
    yield from (("Boot", value) for value in ("another", BOOT.upper(), BOOT + "\n" + BOOT, BOOT[:-1], f"{BOOT}0"))
    yield from (
        ("Boot", value) for value in (f"{BOOT}  {BOOT}", f" {BOOT}", f"{BOOT} ", f"{BOOT},{BOOT}", boots(51, 50))
    )
    yield from (
        ("Boot", f"{BOOT}{more}") for more in ("\t" + BOOT, " *", " .*", " latest", " $(reboot)", "'", ";reboot")
    )


GOOD = {"Version": "1.27.0", "Lock": "keep", "Boot": BOOT, "Timeout": "60", "Refresh": "yes", "Wait": "0"}


@pytest.mark.parametrize(("name", "value"), list(hostile()), ids=ascii)
def test_hostile_values_are_refused_by_systems_manager(name, value):
    taking = [document for document in DOCUMENTS if name in content(document)["parameters"]]
    assert taking
    for document in taking:
        parameters = {key: GOOD[key] for key in content(document)["parameters"]} | {name: value}
        with pytest.raises(Refused):
            fill_in(document, parameters, template())


@pytest.mark.parametrize(
    ("name", "value"), [*(pair for pair in hostile() if pair[1]), ("Boot", BOOT + "\n")], ids=ascii
)
def test_hostile_values_are_refused_by_the_scripts_too(host, name, value):
    documents = {"Refresh": ["Inspect"], "Wait": ["Inspect"], "Boot": ["Reboot", "Revert"]}.get(name, ["Revert"])
    for document in documents:
        parameters = {key: GOOD[key] for key in content(document)["parameters"]} | {name: value}
        output = host.run_raw(document, **parameters)
        assert output.error == ("parameters", "bad_parameter")
        assert name in output.report["error"]["detail"]
    assert host.state["calls"] == []


def test_missing_parameters_are_named(host):
    for document, given, missing in [
        ("Stage", {}, "Version"),
        ("Reboot", {"Version": "1.27.0"}, "Boot"),
        ("Revert", {"Version": "none"}, "Boot"),
    ]:
        output = host.run_raw(document, **given)
        assert output.error == ("parameters", "bad_parameter")
        assert output.report["error"]["detail"] == f"{missing} is missing"


def test_every_placeholder_is_a_quoted_parameter():
    tree = template()
    for document in DOCUMENTS:
        header = content(document)["mainSteps"][0]["inputs"]["runCommand"][0]
        names = re.findall(r"(\w+)='\{\{ (\w+) \}\}'", header)
        assert sorted(name for name, _ in names) == sorted(content(document)["parameters"])
        assert all(variable == placeholder for variable, placeholder in names)
        assert header.startswith("#!/bin/bash\n")
        assert header.count("{{") == len(names)
        for spec in content(document)["parameters"].values():
            assert re.fullmatch(r"\^.*\$", spec["allowedPattern"])
            assert "'" not in spec["allowedPattern"]
        assert "{{" not in tree["Mappings"]["Scripts"][document]["Text"]


# The report


def test_a_long_report_is_cut_to_fit(host):
    versions = [f"1.30.{patch}" for patch in range(200)]
    host.set(repository=versions, fails={"activate": 1}, failure_text="no route to the repository\n" * 100)
    host.run("Stage", Version="1.30.199")
    report = host.run("Reboot", Version="1.30.199", Boot=BOOT).report
    assert len(report["update"]["available"]) == 40
    assert report["update"]["available"][0] == "1.30.199"
    assert len(report["error"]["detail"]) == 400


LONG = {
    "control": "\x01" * 5000,
    "emoji": "😀" * 5000,
    "quotes": '"\\' * 5000,
    "colours": "\x1b[31m\r\n" * 2000,
    "blank": " \n\t\n ",
    "nul": "\x00no \x00 route" * 500,
    "cut in a character": "ß" * 3999 + "a",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_whatever_the_worker_says_fits(host, text):
    os_ = host.state["os"] | {"variant_id": "\x00" * 500, "arch": "😀" * 500, "pretty_name": "x" * 5000}
    patch = {"update_state": "S" * 500, "available_updates": ["\x02" * 90] * 90}
    host.strange = True
    host.set(os=os_, fails={"prepare": 9}, failure_text=text)
    assert host.run("Stage", Version="1.27.0").error == ("prepare", "failed")
    host.set(status_patch=patch, fails={"refresh": 1})
    assert host.run("Inspect", Refresh="yes").error == ("refresh", "failed")


def test_the_compact_template_has_the_same_scripts(host):
    host.compact = True
    host.staged()
    assert host.run("Reboot", Version="1.27.0", Boot=BOOT).error is None
    host.reboot("1.27.0")
    boot = (host.root / "boot_id").read_text().strip()
    assert host.run("Revert", Version="1.26.1", Boot=boot).report["wrote"] == "1.26.1"
    host.set(fails={"refresh": 1})
    assert host.run("Inspect", Refresh="yes").error == ("refresh", "failed")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_shellcheck_is_content(document, tmp_path):
    path = tmp_path / f"{document}.sh"
    path.write_text(f"#!/bin/bash\n{generate.script('lib')}\n{generate.script(document.lower())}")
    subprocess.run(["shellcheck", "--severity=style", path], check=True)


def test_the_scripts_use_nothing_but_bash_coreutils_jq_and_apiclient(host):
    """Run with a PATH that holds only these."""
    tools = host.root / "tools"
    tools.mkdir()
    for name in ("bash", "timeout", "cat", "jq"):
        (tools / name).symlink_to(shutil.which(name))
    for document, parameters in [
        ("Inspect", {"Refresh": "yes"}),
        ("Stage", {"Version": "1.27.0"}),
        ("Reboot", {"Version": "1.27.0", "Boot": BOOT}),
    ]:
        environment = {"PATH": f"{host.bin}:{tools}"}
        output = host.finish(host.start(fill_in(document, parameters, template()), environment.items()))
        assert output.error is None
