#!/bin/sh
# Installs AWS's runtime client for Node (aws-lambda-ric) into the folder given and prints the path of its entry file,
# for NEARSIDE_RIC. It is no dependency of the project because it compiles C++ on installation.
# Needs: autoconf automake libtool cmake g++ make, and Node's headers (npm config "nodedir", else node-gyp loads them).
set -eu
VERSION=4.0.2
folder=${1:?usage: install-ric.sh FOLDER}
entry=$folder/node_modules/aws-lambda-ric/index.mjs
if [ ! -f "$folder/node_modules/aws-lambda-ric/rapid-client.node" ]; then
  for tool in autoconf automake libtoolize cmake g++ make; do
    command -v "$tool" >/dev/null || { echo "install-ric.sh: $tool is missing" >&2; exit 1; }
  done
  mkdir -p "$folder"
  [ -f "$folder/package.json" ] || echo '{"private":true,"allowScripts":{"aws-lambda-ric":true}}' >"$folder/package.json"
  npm install --prefix "$folder" --save-exact --no-audit --no-fund "aws-lambda-ric@$VERSION" >&2
fi
echo "$entry"
