#!/usr/bin/env bash
# Installs the client without its prebuilt binary, which lies outside the package registry: librdkafka is built from
# the source inside the package, against Debian's zlib and zstd, then the binding is linked to it.
set -euo pipefail
cd "$(dirname "$0")"
cache=${1:?usage: install.sh CACHE_FOLDER}
package=$PWD/node_modules/@confluentinc/kafka-javascript
stamp=$cache/librdkafka/$(sha256sum package-lock.json | cut -c1-16)

npm ci --ignore-scripts --no-audit --no-fund
if [ ! -e "$stamp" ]; then
  (dpkg -s zlib1g-dev libzstd-dev >/dev/null 2>&1) || apt-get install -y -q --no-install-recommends zlib1g-dev libzstd-dev
  rm -rf "$cache/librdkafka" && mkdir -p "$cache/librdkafka"
  (cd "$package/deps/librdkafka" &&
    ./configure --prefix="$cache/librdkafka" --disable-ssl --disable-gssapi --disable-curl --disable-debug-symbols &&
    make -j2 libs &&
    make -C src install && make -C src-cpp install) > "$cache/librdkafka/build.log" 2>&1 ||
    { tail -30 "$cache/librdkafka/build.log"; exit 1; }
  touch "$stamp"
fi
export BUILD_LIBRDKAFKA=0 npm_config_build_from_source=@confluentinc/kafka-javascript JOBS=2
export CPLUS_INCLUDE_PATH=$cache/librdkafka/include/librdkafka:$cache/librdkafka/include
export LDFLAGS="-L$cache/librdkafka/lib -Wl,-rpath,$cache/librdkafka/lib"
npm rebuild @confluentinc/kafka-javascript > "$cache/librdkafka/binding.log" 2>&1 || { tail -30 "$cache/librdkafka/binding.log"; exit 1; }
