# EcsUpdater-Stage: writes Version to the inactive partition set, and no more.
begin stage "${Timeout-}"
take_version "${Version-}"
take_lock "${Lock-}"
not_running_yet "$Version"
restores=yes looks=yes
write_ "$Version"
