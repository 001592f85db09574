# EcsUpdater-Inspect: reads; with Refresh=yes refreshes the update status first.
begin inspect "${Timeout-}"
case ${Refresh:-no} in
  yes | no) ;;
  *) bad Refresh "$Refresh" ;;
esac
read_agent
read_os
looks=yes
# A failed refresh does not keep the rest from being read.
if [[ ${Refresh:-no} == yes ]]; then command_ refresh || exit 1; fi
