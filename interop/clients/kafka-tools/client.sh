#!/usr/bin/env bash
# Apache Kafka's own command-line tools against one broker. JARS is their class path. A JVM starts for every command.
source "$(dirname "$0")/../lib/checks.sh"
: "${JARS:?the class path of the tools}"

name() { echo "tools-$1-$run_id"; }
tool() {
  local main=$1; shift
  timeout 40 java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -cp "$JARS" "org.apache.kafka.tools.$main" \
    --bootstrap-server "$bootstrap" "$@" 2> >(grep -v SLF4J >&2)
}
config() {
  timeout 40 java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$JARS" kafka.admin.ConfigCommand \
    --bootstrap-server "$bootstrap" "$@" 2> >(grep -v SLF4J >&2)
}
groups() { tool consumer.group.ConsumerGroupCommand "$@"; }
produce() { local topic=$1; shift; tool ConsoleProducer --topic "$topic" "$@"; }
consume() { local topic=$1; shift; tool consumer.ConsoleConsumer --topic "$topic" --timeout-ms 15000 "$@"; }

connect() { tool BrokerApiVersionsCommand > "$work/api"; grep -q 'Produce(0)' "$work/api"; }

produce_consume() {
  local topic; topic=$(name produce)
  tool TopicCommand --create --topic "$topic" --partitions 1 --replication-factor 1 > /dev/null
  for i in {0..99}; do echo "n:$i|k$i=v$i"; done > "$work/in"
  produce "$topic" --property parse.key=true --property key.separator== \
    --property parse.headers=true --property headers.delimiter='|' < "$work/in"
  consume "$topic" --from-beginning --max-messages 100 --property print.key=true \
    --property print.offset=true --property print.headers=true \
    --property print.timestamp=true > "$work/read"
  same "$(for i in {0..99}; do printf 'Offset:%s\tn:%s\tk%s\tv%s\n' $i $i $i $i; done)" \
    "$(cut -f2- "$work/read")" "records"
  grep -q '^CreateTime:' "$work/read"
}

group_consume() {
  local topic group; topic=$(name produce); group=$(name group)
  same 40 "$(consume "$topic" --group "$group" --from-beginning --max-messages 40 | wc -l)" "records of the first member"
  groups --describe --group "$group" > "$work/group"
  awk -v t="$topic" '$2 == t { print $4, $5, $6 }' "$work/group" > "$work/lag"
  same "40 100 60" "$(cat "$work/lag")" "committed, end, lag"
  groups --group "$group" --topic "$topic" --reset-offsets --to-offset 90 --execute > /dev/null
  same 10 "$(consume "$topic" --group "$group" --max-messages 10 | wc -l)" "records after the reset"
  groups --list | grep -qx "$group"
  groups --delete --group "$group" > /dev/null
}

admin() {
  local topic; topic=$(name admin)
  tool TopicCommand --create --topic "$topic" --partitions 2 --replication-factor 1 --config retention.ms=3600000 > /dev/null
  tool TopicCommand --describe --topic "$topic" > "$work/described"
  grep -q 'PartitionCount: 2' "$work/described"
  grep -q 'retention.ms=3600000' "$work/described"
  config --alter --entity-type topics --entity-name "$topic" --add-config retention.ms=7200000 > /dev/null
  config --describe --entity-type topics --entity-name "$topic" | grep -q 'retention.ms=7200000'
  tool TopicCommand --alter --topic "$topic" --partitions 4 > /dev/null
  tool GetOffsetShell --topic "$topic" > "$work/offsets"
  same "$(for p in 0 1 2 3; do echo "$topic:$p:0"; done)" "$(cat "$work/offsets")" "offsets of four partitions"
  tool TopicCommand --delete --topic "$topic" > /dev/null
  ! tool TopicCommand --list | grep -qx "$topic"
}

idempotence() {
  local topic; topic=$(name idempotence)
  tool TopicCommand --create --topic "$topic" --partitions 1 --replication-factor 1 > /dev/null
  seq 0 499 | produce "$topic" --producer-property enable.idempotence=true --producer-property acks=all
  same "$topic:0:500" "$(tool GetOffsetShell --topic "$topic")" "the end offset"
}

compression() {
  local topic; topic=$(name "compression-$1")
  seq 1000 1099 > "$work/in"
  produce "$topic" --compression-codec "$1" < "$work/in"
  same "$(cat "$work/in")" "$(consume "$topic" --from-beginning --max-messages 100)" "values"
}

append_time() {
  local topic; topic=$(name append-time)
  tool TopicCommand --create --topic "$topic" --partitions 1 --replication-factor 1 --config message.timestamp.type=LogAppendTime > /dev/null
  echo v | produce "$topic"
  consume "$topic" --from-beginning --max-messages 1 --property print.timestamp=true | grep -q '^LogAppendTime:'
}

large_value() {
  local topic; topic=$(name large)
  tool TopicCommand --create --topic "$topic" --partitions 1 --replication-factor 1 --config max.message.bytes=2097152 > /dev/null
  head -c 786432 /dev/urandom | base64 -w 0 > "$work/large"
  echo >> "$work/large"
  produce "$topic" --max-memory-bytes 8388608 --producer-property max.request.size=2097152 < "$work/large"
  consume "$topic" --from-beginning --max-messages 1 > "$work/read"
  cmp "$work/large" "$work/read"
}

offsets_for_times() {
  same "$(name produce):0:100" "$(tool GetOffsetShell --topic "$(name produce)" --time latest)" "latest"
  same "$(name produce):0:0" "$(tool GetOffsetShell --topic "$(name produce)" --time earliest)" "earliest"
  same "$(name produce):0:0" "$(tool GetOffsetShell --topic "$(name produce)" --time 1000)" "the first record after a time"
}

check connect connect
check produce-consume produce_consume
check group-consume group_consume
not_applicable rebalance "a JVM for each member; the Java client's check covers it"
check admin admin
check idempotence idempotence
check compression-none compression none
for codec in gzip snappy lz4 zstd; do check "compression-$codec" compression "$codec"; done
not_applicable headers "part of produce-consume"
not_applicable create-time "the console producer cannot set a record's time"
check append-time append_time
check large-value large_value
not_applicable empty-null-values "the console producer reads lines; the Java client's check covers it"
check offsets-for-times offsets_for_times
not_applicable static-membership "a JVM for each member; the Java client's check covers it"
not_applicable cooperative-sticky "a JVM for each member; the Java client's check covers it"
