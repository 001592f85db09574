# EcsUpdater-Revert: Version=none undoes an activation; a version is written and activated.
begin revert "${Timeout-}"
if [[ ${Version-} != none ]]; then take_version "${Version-}"; fi
take_lock "${Lock-}"
take_boot "${Boot-}"
if [[ $Version == none ]]; then
  read_os
  restores=yes looks=yes
  deactivate_if_ready
else
  not_running_yet "$Version"
  restores=yes looks=yes
  write_ "$Version"
  activate_
fi
