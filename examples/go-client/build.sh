#!/bin/sh
# Generates the stubs from ../../proto into trueframev1/ and builds ./trueframe-frames. Arguments: [OUTPUT].
# Needs Go 1.24 or newer and a protoc: that of the system, else the one in the repository's virtual environment. The
# two plugins of protoc are pinned in go.mod and built into bin/.
set -eu
cd "$(dirname "$0")"
output="${1:-trueframe-frames}"
package=trueframe.example/frames/trueframev1

PATH="$PATH:/usr/local/go/bin"
if ! command -v go > /dev/null; then
    echo "go-client: no go in the path; get Go 1.24 or newer from https://go.dev/dl" >&2
    exit 2
fi
if command -v protoc > /dev/null; then
    protoc=protoc
elif ../../.venv/bin/python -c "import grpc_tools" 2> /dev/null; then
    protoc="../../.venv/bin/python -m grpc_tools.protoc"
else
    echo "go-client: no protoc; on Debian: apt-get install protobuf-compiler, or run make build in the repository" >&2
    exit 2
fi

GOBIN="$PWD/bin" go install tool
# The protos name no Go package of their own: which one they become is this client's affair.
options="--go_opt=module=$package --go-grpc_opt=module=$package"
for file in frames broker; do
    options="$options --go_opt=Mtrueframe/v1/$file.proto=$package --go-grpc_opt=Mtrueframe/v1/$file.proto=$package"
done
mkdir -p trueframev1
# shellcheck disable=SC2086 # a list of words each
PATH="$PWD/bin:$PATH" $protoc -I ../../proto $options --go_out=trueframev1 --go-grpc_out=trueframev1 \
    trueframe/v1/frames.proto trueframe/v1/broker.proto
CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$output" .
