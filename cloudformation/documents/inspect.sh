# EcsUpdater-Inspect: reads; with Refresh=yes refreshes the update status first, and waits
# up to Wait seconds for the ECS agent to be registered.
begin inspect "${Timeout-}"
case ${Refresh:-no} in
  yes | no) ;;
  *) bad Refresh "$Refresh" ;;
esac
case ${Wait:-0} in
  [0-9] | [1-9][0-9] | [12][0-9][0-9] | 300) ;;
  *) bad Wait "$Wait" ;;
esac
wait_for_agent "${Wait:-0}"
read_os
looks=yes
# A failed refresh does not keep the rest from being read.
if [[ ${Refresh:-no} == yes ]]; then command_ refresh || exit 1; fi
