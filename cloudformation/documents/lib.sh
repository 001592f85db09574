# Shared by the four documents, whose contract is docs/documents.md.
#
# Runs in Bottlerocket's control container: bash, coreutils, jq, apiclient. Functions
# answer in variables, since an error noted in a subshell would be lost; they note
# their error and return 1. Whatever ends the script, finish() prints the report.
set -euo pipefail
shopt -s extglob
export LC_ALL=C

readonly POLL=2     # seconds between two looks at a status
readonly CALL=10    # seconds for one request to the host API
readonly MARGIN=5   # seconds before Timeout at which no command is waited for any longer
readonly WAY_OUT=4  # seconds of these for the lock and the last look
readonly SETTLE=90  # seconds after which a pinned version that is not chosen will not be
readonly GONE=15    # seconds without the update lock held after which a command's worker was killed
readonly TX=ecs-updater-$$-$RANDOM$RANDOM
room=2400           # bytes that may still be printed: all of it arrives, or the end is cut off
readonly SEMVER='(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){2}(-[0-9A-Za-z.-]{1,32})?(\+[0-9A-Za-z.-]{1,32})?'

step='' part=start boot='' btime=''
error_at='' error_code='' error_detail=''
os=null settings=null locked_down='' update=null agent=null tasks='' wrote=''
lock=keep found_lock='' restores='' looks='' printed=''
body='' code=0 unanswered='' hangs='' worker='' now=0

# note AT CODE DETAIL: the first error counts.
note() {
  if [[ -z $error_code ]]; then
    error_at=$1 error_code=$2 error_detail=${3:0:4000}
  fi
}

# Seconds since the boot, by the kernel: no clock that somebody sets.
tick() {
  local uptime rest
  read -r uptime rest </proc/uptime
  now=${uptime%%.*}
}

in_time() {
  tick
  ((now < deadline))
}

# Parameters ------------------------------------------------------------------------

# bad NAME VALUE
bad() {
  if [[ -z $2 ]]; then
    note parameters bad_parameter "$1 is missing"
  else
    note parameters bad_parameter "$1 cannot be '$2'"
  fi
  return 1
}

is_version() { [[ $1 =~ ^${SEMVER}$ ]]; }

take_version() { is_version "$1" || bad Version "$1"; }

take_lock() {
  lock=${1:-keep}
  [[ $lock == keep || $lock == latest ]] || is_version "${lock#v}" || bad Lock "$lock"
}

# Ends the visit unless this is the boot that the command is meant for: one host's, or one of
# up to fifty hosts' with a blank between them. No two boots have the same id.
take_boot() {
  local id='[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'
  [[ $1 =~ ^$id(\ $id){0,49}$ ]] || bad Boot "${1:0:80}" || return 1
  if [[ -z $boot || " $1 " != *" $boot "* ]]; then
    note boot other_boot "meant for boot $1, this is boot ${boot:-unknown}"
    return 1
  fi
}

# begin STEP TIMEOUT
begin() {
  local key value rest
  step=$1
  tick
  deadline=$((now + 600 - MARGIN))
  trap finish EXIT
  # The sender of the signal does not wait long: nothing is waited for on the way out.
  trap 'note "$part" unsure "ended by a signal"; tick; deadline=$now; exit 1' HUP INT TERM
  if read -r value </proc/sys/kernel/random/boot_id && [[ $value =~ ^[0-9a-f-]{36}$ ]]; then
    boot=$value
  fi
  while read -r key value rest; do
    if [[ $key == btime && $value =~ ^[0-9]{1,15}$ ]]; then btime=$value; fi
  done </proc/stat
  value=${2:-600}
  if [[ ! $value =~ ^[1-9][0-9]{1,3}$ ]] || ((value < 30 || value > 3600)); then
    bad Timeout "$value"
  fi
  deadline=$((now + value - MARGIN))
}

# The host API ----------------------------------------------------------------------

# api METHOD URI [DATA]: 0, and body is the answer if that is a JSON object; or 1, code is
# the HTTP status and body the host's words. Without an answer code is 0, and unanswered
# says what that makes of the part: api_down, or unsure where the request may have got through.
# 408 means again: the one worker of the API was blocked, and it has done nothing.
api() {
  until request "$@"; do
    if ((code != 408)) || ! in_time; then return 1; fi
    sleep "$POLL"
  done
}

# request METHOD URI [DATA]: once.
request() {
  local method=$1 uri=$2 out status=0 limit arguments=(raw -u "$2" -m "$1")
  if (($# > 2)); then arguments+=(-d "$3"); fi
  code=0 unanswered=api_down
  if [[ -n $hangs ]]; then
    body="$method $uri: the host API no longer answers"
    return 1
  fi
  tick
  limit=$((deadline + WAY_OUT - now))
  limit=$((limit > CALL ? CALL : limit < 1 ? 1 : limit))
  # A NUL in an answer makes bash complain.
  { out=$(timeout -k 1 "$limit" apiclient "${arguments[@]}" 2>&1) || status=$?; } 2>/dev/null
  if ((status == 0)); then
    # A warning of the tool may stand beside the answer.
    body=$(printf '%s' "$out" | jq -cRn '[inputs | fromjson? | objects] | last // empty')
    code=200
    return 0
  fi
  body=${out:0:4000} body=${body//$'\e['*([0-9;])m/}
  if [[ $body =~ Status\ ([0-9]{3})\ when\ [^:]*:\ ?(.*) ]]; then
    code=${BASH_REMATCH[1]} body=${BASH_REMATCH[2]}
  elif ((status == 124 || status == 137)); then
    body="$method $uri: no answer within $limit s"
    if [[ $method != GET ]]; then unanswered=unsure; fi
    # One such call may end after the deadline; then the report has to go out.
    if ! in_time; then hangs=yes; fi
  elif [[ $method != GET && $body != *@(refused|'trying to connect'|'No such file'|denied)* ]]; then
    unanswered=unsure
  fi
  return 1
}

# The last answer was no success: the error at this part.
complain() {
  case $code:$body in
    0:*) note "$1" "$unanswered" "$body" ;;
    408:*) note "$1" busy "the host API was blocked the whole time (408)" ;;
    500:*'Live datastore missing'* | 500:*'Required key not available'*)
      note "$1" host_locked_down "the host is under API lockdown: $body"
      ;;
    *) note "$1" failed "$code: $body" ;;
  esac
  return 1
}

# fetch AT URI: a JSON object into body.
fetch() {
  api GET "$2" || complain "$1" || return 1
  if [[ -z $body ]]; then
    note "$1" failed "the answer to GET $2 is no JSON object"
    return 1
  fi
}

# get FILTER: a string out of body, without NUL, which bash cannot hold; empty where it has none.
get() { printf '%s' "$body" | jq -r "[($1)?] | first | strings | explode | map(select(. != 0)) | implode"; }

read_os() {
  part=os
  fetch os /os || return 1
  os=$body
}

# A host that runs the version already has nothing to do with this command.
not_running_yet() {
  read_os || return 1
  if [[ $(get .version_id) == "$1" ]]; then
    note os other_boot "$1 already runs"
    return 1
  fi
}

# Update commands -------------------------------------------------------------------

# The status into body as soon as no command runs; empty before the first of a boot.
read_status() {
  until api GET /updates/status; do
    case $code in
      404)
        body=''
        return 0
        ;;
      423)
        if ! in_time; then
          note status busy "$body"
          return 1
        fi
        sleep "$POLL"
        ;;
      *) complain status || return 1 ;;
    esac
  done
  if [[ -z $body ]]; then
    note status failed "the answer to GET /updates/status is no JSON object"
    return 1
  fi
}

# issue COMMAND: sends it as soon as nobody holds the update lock; before is the timestamp
# that a status showed until then.
issue() {
  local path=/actions/$1-update
  if [[ $1 == refresh ]]; then path=/actions/refresh-updates; fi
  while :; do
    before=null
    if api GET /updates/status; then
      before=$(get '"\(.most_recent_command.timestamp)"')
    elif ((code == 0 || code == 408)); then
      complain "$1" || return 1
    fi
    if ((code != 423)); then
      if api POST "$path"; then return 0; fi
      case $code in
        423) ;;
        404 | 409)
          note "$1" refused "$body"
          return 1
          ;;
        500)
          case $body in
            *'Unable to start the update dispatcher'*'No such file or directory'*)
              note "$1" no_in_place_updates "$body"
              ;;
            *'Unable to start the update dispatcher'* | *'Update dispatcher failed'*)
              note "$1" dispatcher_failed "$body (its run directory, partition table or status file)"
              ;;
          esac
          complain "$1" || return 1
          ;;
        *) complain "$1" || return 1 ;;
      esac
    fi
    if ! in_time; then
      note "$1" busy "$body"
      return 1
    fi
    sleep "$POLL"
  done
}

# The version that the prepare in the status wrote, by the worker's own word: its last line says so.
written() {
  get '.most_recent_command.stderr / "\n"
    | map(select(startswith("Starting update to "))[19:]) | last | rtrimstr("\r")'
}

# command_ COMMAND: issues it, and waits for its end; worker is what the worker printed, and
# wrote the version that a prepare wrote.
command_() {
  local before last free=''
  part=$1
  issue "$1" || return 1
  while :; do
    sleep "$POLL"
    if api GET /updates/status; then
      last=$(get '.most_recent_command | "\(.cmd_type) \(.timestamp)"')
      if [[ $last == "$1 "* && $last != "$1 $before" && $last != "$1 null" ]]; then
        worker=$(get '.most_recent_command.stderr[:4000]')
        if [[ $(get .most_recent_command.cmd_status) != Success ]]; then
          note "$1" failed "$worker"
          return 1
        fi
        if [[ $1 == prepare ]]; then
          wrote=$(written)
        fi
        return 0
      fi
    fi
    # Nobody holds the lock, and nothing came of it: the worker was killed.
    tick
    case $code in
      200 | 404) free=${free:-$now} ;;
      *) free='' ;;
    esac
    if [[ -n $free ]] && ((now - free >= GONE)); then
      note "$1" unsure "its worker is gone without a result"
      return 1
    fi
    if ! in_time; then
      note "$1" unsure "the deadline passed before the command ended"
      return 1
    fi
  done
}

# activate_: what is staged boots next; nothing to do in Ready.
activate_() {
  local state
  read_status || return 1
  if [[ $(get .update_state) == Staged ]]; then
    command_ activate || return 1
    read_status || return 1
  fi
  state=$(get .update_state)
  if [[ $state != Ready ]]; then
    note activate refused "the update state is ${state:-unknown}, not Ready"
    return 1
  fi
}

deactivate_if_ready() {
  read_status || return 1
  if [[ $(get .update_state) == Ready ]]; then
    command_ deactivate || return 1
  fi
}

# offered VERSION: whether the status offers it to this host.
offered() {
  if [[ $(printf '%s' "$body" | jq --arg version "$1" 'any(.available_updates[]?; . == $version)') != true ]]; then
    note refresh not_offered "$1 is not offered to this host"
    return 1
  fi
}

# write_ VERSION: onto the inactive partition set, by the worker's own word.
write_() {
  local locked chosen
  command_ refresh || return 1
  read_status || return 1
  if [[ -z $body ]]; then
    note refresh failed "the host has no update status after a refresh"
    return 1
  fi
  # What is refused is refused before anything is changed: a version that is not offered, and then a pin where the
  # host is under API lockdown.
  offered "$1" || return 1
  chosen=$(get .chosen_update.version)
  if [[ $chosen != "$1" ]]; then
    read_lock pin || return 1
  fi
  deactivate_if_ready || return 1
  if [[ $chosen != "$1" ]]; then
    pin "$1" || return 1
  fi
  command_ prepare || return 1
  if [[ -z $wrote ]]; then
    note prepare wrote_nothing "$worker"
    return 1
  elif [[ $wrote != "$1" ]]; then
    note prepare wrote_other "wrote $wrote, not $1"
    return 1
  fi
}

# The version lock ------------------------------------------------------------------

# read_lock AT: into locked.
read_lock() {
  fetch "$1" '/settings?prefix=updates' || return 1
  locked=$(get '.updates["version-lock"]')
  locked=${locked:-latest}
}

# set_lock AT LOCK, in a transaction of this visit alone, whose name nobody can know: no
# pending settings of others are committed.
set_lock() {
  local data
  data=$(jq -cn --arg lock "$2" '{updates: {"version-lock": $lock}}')
  api PATCH "/settings?tx=$TX" "$data" || complain "$1" || return 1
  api POST "/tx/commit_and_apply?tx=$TX" || complain "$1"
}

# pin VERSION: locks the host to it and refreshes until it is chosen, since settings reach
# the update tools after the answer. A refresh can fail just while its settings are rewritten:
# its error does not stand beside a later success.
pin() {
  local chosen locked settled
  part=pin
  read_lock pin || return 1
  found_lock=$locked
  if [[ $locked != "$1" ]]; then
    set_lock pin "$1" || return 1
  fi
  tick
  settled=$((now + SETTLE))
  while :; do
    if command_ refresh; then
      part=pin
      read_status || return 1
      chosen=$(get .chosen_update.version)
      if [[ $chosen == "$1" ]]; then return 0; fi
      note pin failed "locked to $1, but ${chosen:-nothing} stays chosen"
    fi
    if [[ $error_code != failed ]] || ! in_time || ((now >= settled)); then return 1; fi
    error_at='' error_code='' error_detail=''
    sleep "$POLL"
  done
}

# The lock as it is wanted, or as it was found.
leave_lock() {
  local locked wanted=$lock
  if [[ $lock == keep ]]; then wanted=$found_lock; fi
  if [[ -n $wanted ]]; then
    read_lock lock || return 1
    if [[ $locked != "$wanted" ]]; then set_lock lock "$wanted"; fi
  fi
}

# The report ------------------------------------------------------------------------

# Status and settings for the report.
look() {
  settings=null update=null locked_down=''
  if api GET '/settings?prefix=updates'; then
    settings=${body:-null}
  elif [[ $code == 500 && $body == *'Live datastore missing'* ]]; then
    locked_down=yes
  fi
  read_status || return 1
  if [[ -n $body ]]; then update=$body; fi
}

# introspect PATH: the ECS agent's answer into body; 1: nothing answers; 2: there is no way to ask.
introspect() {
  local out status=0
  # A NUL in an answer makes bash complain.
  # shellcheck disable=SC2016 # expands in the inner shell
  { out=$(timeout -k 1 3 bash -c '
    exec 3<>/dev/tcp/127.0.0.1/51678 || exit 1
    printf "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n" "$1" >&3
    cat <&3' introspect "$1" 2>&1) || status=$?; } 2>/dev/null
  if [[ $status != 0 ]]; then
    if [[ $out == *'No such file or directory'* ]]; then return 2; fi
    return 1
  fi
  body=''
  if [[ $out == HTTP/1.[01]' 200'* ]]; then body=${out#*$'\r\n\r\n'}; fi
}

# The ECS agent for the report; left out where this bash has no way to ask it.
read_agent() {
  local status=0 arn
  introspect /v1/metadata || status=$?
  case $status in
    0)
      arn=$(get .ContainerInstanceArn 2>/dev/null) || arn=''
      if introspect /v1/tasks; then
        tasks=$(printf '%s' "$body" |
          jq '.Tasks | arrays | map(select(.KnownStatus != "STOPPED")) | length' 2>/dev/null) || tasks=''
      fi
      agent=$(jq -cn --arg arn "$arn" --arg tasks "$tasks" '
        if $arn == "" then {state: "unregistered"} else {state: "registered", container_instance: $arn} end
        + if $tasks == "" then {} else {tasks: ($tasks | tonumber)} end')
      ;;
    1) agent='{"state":"down"}' ;;
  esac
}

# wait_for_agent SECONDS: reads the ECS agent until it is registered, or the time is over.
wait_for_agent() {
  local until
  tick
  until=$((now + $1))
  read_agent
  while [[ $agent != *'"registered"'* && $agent != null ]]; do
    tick
    if ((now >= until)) || ! in_time; then break; fi
    sleep "$POLL"
    read_agent
  done
}

# shellcheck disable=SC2016 # jq's variables
readonly REPORT='
# What the host names: printable, without quotes, and never longer than this.
def word($most): if type == "string" then
    explode | map(if . < 33 or . > 126 or . == 34 or . == 92 then 63 else . end) | implode | .[:$most]
  else null end;
def at(f): [f?] | first;
# Cut to fit: from the detail, then from the oldest of the offered versions.
def fit: if (tojson | utf8bytelength) < $most then .
  elif (.error.detail // "") != "" then .error.detail |= .[:(length * 3 / 4 | floor)] | fit
  elif (.update.available // []) != [] then .update.available |= .[:-1] | fit
  else . end;
[inputs] as [$os, $settings, $update, $agent]
| {v: 1, step: $step}
+ (if $boot == "" then {} else {boot_id: $boot} end)
+ (if $btime == "" then {} else {booted_at: ($btime | tonumber)} end)
+ (if $os == null then {} else {os: ($os | {
    version: (at(.version_id) | word(40)), variant: (at(.variant_id) | word(40)), arch: (at(.arch) | word(16))})} end)
+ (if $update == null then {} else {update: ($update | {
    state: (at(.update_state) | word(20)),
    chosen: (at(.chosen_update.version) | word(40)),
    staged: (at(.staging_partition.image.version) | word(40)),
    available: [limit(40; .available_updates[]? | strings | word(40))],
    last: (at(.most_recent_command | objects) | if . == null then null else
      {type: (at(.cmd_type) | word(20)), status: (at(.cmd_status) | word(20))} end)})} end)
+ (if $settings == null then {} else {settings: ($settings | {
    version_lock: (at(.updates["version-lock"]) | word(40)),
    ignore_waves: at(.updates["ignore-waves"] | booleans)})} end)
+ (if $locked_down == "" then {} else {locked_down: true} end)
+ (if $agent == null then {} else {agent: ($agent
    | if .container_instance then .container_instance |= word(200) else . end)} end)
+ (if $wrote == "" then {} else {wrote: ($wrote | word(40))} end)
+ (if $code == "" then {} else {error: {at: $at, code: $code, detail: ($detail
    | explode | map(if (. < 32 and . != 10 and . != 9) or . == 127 then 32 else . end)
    | until(. == [] or (.[0] | . > 32); .[1:]) | until(. == [] or (.[-1] | . > 32); .[:-1]) | .[:400] | implode)}} end)
| fit'

# report [MOST]: prints a line of so many bytes at most, of all that is left without it.
report() {
  local line='' most=${1:-$room}
  line=$(printf '%s\n' "$os" "$settings" "$update" "$agent" |
    jq -cn --argjson most "$most" --arg step "$step" --arg boot "$boot" --arg btime "$btime" --arg wrote "$wrote" \
      --arg locked_down "$locked_down" \
      --arg at "$error_at" --arg code "$error_code" --arg detail "$error_detail" "$REPORT") || line=''
  if [[ -z $line ]]; then
    note report failed ''
    if ! command -v jq >/dev/null; then
      error_code=failed error_detail='no jq: the control container is older than 0.5.0 (Bottlerocket 1.0.8)'
    else
      error_detail=''
    fi
    line="{\"v\":1,\"step\":\"$step\",\"error\":{\"at\":\"$error_at\",\"code\":\"$error_code\",\"detail\":\"$error_detail\"}}"
  fi
  printf '%s\n' "$line"
  room=$((room - ${#line} - 1))
  printed=yes
}

# The way out of every visit: the lock, the last look, the report.
finish() {
  local status=$?
  trap '' HUP INT TERM
  trap - EXIT
  set +e
  if ((status != 0)); then note "$part" failed "the document ended with status $status"; fi
  if [[ -n $restores ]]; then leave_lock; fi
  if [[ -n $looks ]]; then look; fi
  if [[ -z $printed || -n $error_code ]]; then report; fi
  if [[ -n $error_code ]]; then exit 1; fi
  exit 0
}
