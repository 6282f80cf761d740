#!/usr/bin/env bash
# Holds our codec against Apache Kafka's own message classes, both ways, for every version of every
# API that we have. Needs Java 17 and Maven. SEED and CASES (of each version and direction) may be set.
set -euo pipefail
cd "$(dirname "$0")"
top=$(git rev-parse --show-toplevel)
out=target
seed=${SEED:-1} cases=${CASES:-200}
mkdir -p "$out"

if [ ! -d "$out/lib" ] || [ pom.xml -nt "$out/lib" ]; then
  rm -rf "$out/lib"
  mvn -q -B -Dstyle.color=never dependency:copy-dependencies -DoutputDirectory="$out/lib"
  touch "$out/lib"
fi
javac -encoding UTF-8 -cp "$out/lib/*" -d "$out/classes" src/*.java
(cd "$top" && cargo build -q -p levada-wire-kafka --features sample --example oracle)
rust="${CARGO_TARGET_DIR:-$top/target}/debug/examples/oracle"

echo "oracle: seed $seed, $cases cases of each message and version" >&2
"$rust" lists > "$out/lists.tsv"
"$rust" write "$seed" "$cases" > "$out/rust.frames"
# Without -Dorg.slf4j.simpleLogger, slf4j complains once that nobody logs; that is all that is dropped.
java -Xshare:auto -cp "$out/classes:$out/lib/*" Oracle "$out/lists.tsv" "$out/rust.frames" "$out/java.frames" "$seed" "$cases" \
  > "$out/result.tsv" 2> >(grep -v '^SLF4J' >&2)
"$rust" check < "$out/java.frames" >> "$out/result.tsv"

awk -F'\t' '
  { if (!($2 in low)) { order[++apis] = $2; low[$2] = high[$2] = $3 }
    if ($3 < low[$2]) low[$2] = $3
    if ($3 > high[$2]) high[$2] = $3
    passed[$2] += $4; failed[$2] += $5; all += $4; bad += $5 }
  END {
    printf "%-30s %-9s %8s %8s\n", "api", "versions", "cases", "failed"
    for (i = 1; i <= apis; i++) { a = order[i]
      printf "%-30s %-9s %8d %8d\n", a, a ~ /,/ ? "" : low[a] "-" high[a], passed[a] + failed[a], failed[a] }
    printf "%d passed, %d failed\n", all, bad
    exit bad > 0 || all == 0 }
' "$out/result.tsv"
