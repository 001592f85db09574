# EcsUpdater-Reboot: activates the staged Version if it is not active yet, and reboots.
begin reboot "${Timeout-}"
take_version "${Version-}"
take_boot "${Boot-}"
not_running_yet "$Version"
read_agent
looks=yes
if ((${tasks:-0} > 0)); then
  note tasks tasks_running "$tasks tasks have not stopped"
  exit 1
fi
read_status
staged=$(get .staging_partition.image.version)
if [[ $staged != "$Version" ]]; then
  note staged refused "${staged:-nothing} is staged, not $Version"
  exit 1
fi
if [[ $(get '.most_recent_command | "\(.cmd_type) \(.cmd_status)"') == 'prepare Success' ]]; then
  # The status names what a refresh chose, and the worker what it wrote.
  staged=$(written)
  if [[ $staged != "$Version" ]]; then
    note staged refused "the last prepare wrote ${staged:-nothing}, not $Version"
    exit 1
  fi
fi
if [[ $(get .update_state) == Staged ]]; then
  # A release that was withdrawn since must not spread, and nothing else looks. The way back is activated already.
  command_ refresh
  read_status
  offered "$Version"
fi
activate_
looks=''
look
# The report goes out before the reboot can cut it off, and leaves room for a second one.
report 1100
part=reboot
# Once: between a look at the tasks and the reboot there is no wait.
request POST /actions/reboot || complain reboot
