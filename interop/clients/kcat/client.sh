#!/usr/bin/env bash
# kcat (librdkafka as Debian ships it) against one broker.
source "$(dirname "$0")/../lib/checks.sh"

K() { timeout 20 kcat -b "$bootstrap" "$@"; }
name() { echo "kcat-$1-$run_id"; }
produce() { local topic=$1; shift; K -P -t "$topic" -X acks=all "$@"; }
consume() { local topic=$1; shift; K -C -q -e -X fetch.wait.max.ms=50 -o beginning -t "$topic" "$@"; }

connect() { K -L > "$work/list"; grep -q '^ 1 brokers' "$work/list"; }

# kcat creates no topics: every topic here is one that the broker creates by itself at the first produce.
produce_consume() {
  local topic; topic=$(name produce)
  for i in {0..99}; do echo "k$i=v$i"; done | produce "$topic" -K= -p 0 -H n=1
  consume "$topic" -f '%o %k %s %h %T\n' > "$work/read"
  same "$(for i in {0..99}; do echo "k$i v$i n=1"; done)" "$(cut -d' ' -f2-4 "$work/read")" "keys, values, headers"
  same "$(seq 0 99)" "$(cut -d' ' -f1 "$work/read")" "offsets"
  local now; now=$(date +%s%3N)
  awk -v now="$now" '$5 < now - 60000 || $5 > now + 60000 { print "timestamp", $5; exit 1 }' "$work/read" >&2
}

group_consume() {
  local topic group; topic=$(name group); group=$(name group)
  seq 0 99 | produce "$topic" -p 0
  same "$(seq 0 39)" "$(K -G "$group" -q -c 40 -X auto.offset.reset=earliest "$topic")" "the first 40"
  same "$(seq 40 99)" "$(K -G "$group" -q -c 60 -X auto.offset.reset=earliest "$topic")" "the rest"
}

rebalance() {
  local strategy=${1:-range} topic group
  topic=$(name "rebalance-$strategy"); group=$topic
  seq 0 9 | produce "$topic" -p 0
  member() {
    timeout 40 kcat -b "$bootstrap" -G "$group" -X session.timeout.ms=6000 -X heartbeat.interval.ms=300 \
      -X partition.assignment.strategy="$strategy" -X auto.offset.reset=earliest -u "$topic" 2> "$work/$1.log" > "$work/$1.out" &
  }
  # One partition: it is the first member's, and the second takes over when the first leaves.
  member one; local one=$!
  wait_until grep -q "assign.*$topic" "$work/one.log"
  member two; local two=$!
  wait_until grep -q 'rebalanced' "$work/two.log"
  wait_until grep -hq "assign.*$topic" "$work/one.log" "$work/two.log"
  kill -TERM $one; wait $one || true
  seq 10 19 | produce "$topic" -p 0
  wait_until grep -q '^19$' "$work/two.out"
  kill -TERM $two; wait $two || true
}

idempotence() {
  local topic; topic=$(name idempotence)
  seq 0 499 | produce "$topic" -p 0 -X enable.idempotence=true -X batch.num.messages=10
  same "$(seq 0 499)" "$(consume "$topic")" "values"
}

compression() {
  local topic; topic=$(name "compression-$1")
  seq -f "value $(printf 'x%.0s' {1..200}) %g" 0 99 > "$work/sent"
  produce "$topic" -p 0 -z "$1" < "$work/sent"
  same "$(cat "$work/sent")" "$(consume "$topic")" "values"
}

headers() {
  local topic; topic=$(name headers)
  echo v | produce "$topic" -p 0 -H a=1 -H a=2 -H empty=
  same 'a=1,a=2,empty=' "$(consume "$topic" -f '%h\n')" "headers"
}

large_value() {
  local topic; topic=$(name large)
  head -c 1000000 /dev/urandom > "$work/large"
  produce "$topic" -p 0 -X message.max.bytes=2000000 "$work/large"
  consume "$topic" -D '' > "$work/read"
  cmp "$work/large" "$work/read"
}

empty_values() {
  local topic; topic=$(name empty)
  printf 'k:\n' | produce "$topic" -p 0 -K: -Z
  printf 'k:v\n' | produce "$topic" -p 0 -K:
  same $'k -1\nk 1' "$(consume "$topic" -f '%k %S\n')" "a null, then a value"
}

offsets_for_times() {
  local topic; topic=$(name times)
  local before; before=$(date +%s%3N)
  seq 0 9 | produce "$topic" -p 0
  wait_until [ "$(date +%s%3N)" -gt "$before" ]
  same "$topic [0] offset 0" "$(K -Q -t "$topic:0:$before")" "the offset at the start"
}

check connect connect
check produce-consume produce_consume
check group-consume group_consume
check rebalance rebalance
not_applicable admin "kcat has no admin commands"
check idempotence idempotence
for codec in none gzip snappy lz4 zstd; do check "compression-$codec" compression "$codec"; done
check headers headers
not_applicable create-time "kcat cannot set a record's time"
not_applicable append-time "kcat cannot create a topic with a configuration"
check large-value large_value
check empty-null-values empty_values
check offsets-for-times offsets_for_times
not_applicable static-membership "kcat's lines do not tell a rejoin from a new member"
check cooperative-sticky rebalance cooperative-sticky
