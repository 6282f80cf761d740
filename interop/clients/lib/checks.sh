# The frame of the shell clients: sourced, not run.
set -uo pipefail
if [ $# -ne 2 ]; then echo "usage: $0 BOOTSTRAP RUN_ID" >&2; exit 2; fi
bootstrap=$1 run_id=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

elapsed() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'; }

# check NAME FUNCTION [ARGUMENTS]: runs it in a subshell that stops at the first failure.
check() {
  local title=$1 started=$EPOCHREALTIME; shift
  # Not inside the `if`: bash would then ignore `set -e`.
  (set -e; "$@") > "$work/out" 2> "$work/err"
  if [ $? -eq 0 ]; then
    printf 'CHECK %s ok %.1f s\n' "$title" "$(elapsed "$started")"
  else
    cat "$work/out" "$work/err" >&2
    printf 'CHECK %s FAIL %s\n' "$title" "$(tail -c 300 "$work/err" | tr '\n' ' ')"
  fi
}

not_applicable() { echo "CHECK $1 n/a $2"; }

# same WANTED ACTUAL WHAT
same() {
  [ "$1" = "$2" ] && return
  echo "$3: wanted '${1:0:120}', got '${2:0:120}'" >&2
  return 1
}

# wait_until COMMAND…: for up to 20 s
wait_until() {
  local end=$((SECONDS + 20))
  until "$@"; do
    [ $SECONDS -lt $end ] || { echo "gave up waiting for: $*" >&2; return 1; }
    sleep 0.1
  done
}
