#!/usr/bin/env bash
# Goal: tools/packages.sh installs only what is missing, and each failure names its reason and a fix.
# Method: apt-get, dpkg-query, id, df and sudo are replaced by scripts in a PATH of the test's own.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
mkdir "$box/bin"
for tool in bash env sh awk sed cat tail tr rm mktemp dirname nproc grep sort; do
  ln -s "$(command -v "$tool")" "$box/bin/$tool"
done
faults=0

# fake NAME SCRIPT: a command in the test's PATH.
fake() { printf '#!/bin/bash\n%s\n' "$2" >"$box/bin/$1" && chmod +x "$box/bin/$1"; }

# The machine that each case starts from: Debian 12, root, nothing installed, apt-get works.
fresh_machine() {
  rm -f "$box/bin/sudo" "$box/calls"
  printf 'ID=debian\nVERSION_ID="12"\n' >"$box/os-release"
  printf 'MemAvailable: 8000000 kB\n' >"$box/meminfo"
  fake id 'echo 0'
  fake df 'printf "Filesystem 1M-blocks Used Available\nx 90000 1 80000\n"'
  fake dpkg-query 'exit 1'
  fake apt-get "echo \"\$*\" >>$box/calls"
}

# expect NAME STATUS COMMAND TEXT...: runs in a clean shell; each text must be in the output.
expect() {
  local name=$1 status=$2 command=$3 out code text
  shift 3
  out=$(env -i PATH="$box/bin" OS_RELEASE="$box/os-release" MEMINFO="$box/meminfo" \
    bash -c "set -euo pipefail; source $top/tools/packages.sh; $command" 2>&1)
  code=$?
  [ "$code" = "$status" ] || { echo "$name: ended with $code, not $status: $out"; faults=$((faults + 1)); }
  for text in "$@"; do
    case "$out" in
      *"$text"*) ;;
      *) echo "$name: does not say '$text': $out" && faults=$((faults + 1)) ;;
    esac
  done
}
# calls NAME TEXT: what apt-get was asked; an empty text means nothing at all.
calls() {
  local seen
  seen=$(cat "$box/calls" 2>/dev/null)
  case "$2" in
    "") [ -z "$seen" ] || { echo "$1: called apt-get $seen" && faults=$((faults + 1)); } ;;
    *) grep -q -e "$2" <<<"$seen" || { echo "$1: no '$2' among '$seen'" && faults=$((faults + 1)); } ;;
  esac
}

fresh_machine
expect "says what it installs" 0 'install_packages alpha beta' "To be installed with apt-get: alpha beta"
calls "says what it installs" 'install .*alpha beta'

fresh_machine
fake dpkg-query 'case "$*" in *alpha) echo installed ;; *) exit 1 ;; esac'
expect "installs only what is missing" 0 'install_packages alpha beta' "apt-get: beta"

fresh_machine
fake dpkg-query 'echo installed'
fake id 'echo 1000'
expect "needs neither root nor network when all is there" 0 'install_packages alpha beta'
calls "needs neither root nor network when all is there" ""

fresh_machine
fake id 'echo 1000'
expect "no root and no sudo" 1 'install_packages alpha' "error: installing needs root" \
  "fix: as root: apt-get install alpha"
calls "no root and no sudo" ""

fresh_machine
fake id 'echo 1000'
fake sudo 'echo sudo >>'"$box/calls"'; exec "$@"'
expect "uses sudo" 0 'install_packages alpha'
calls "uses sudo" sudo

fresh_machine
fake apt-get 'case "$1" in update) exit 100 ;; esac; echo "E: Failed to fetch x  Could not resolve y"; exit 100'
expect "no network" 1 'install_packages alpha' "the package server cannot be reached" "fix: check the network"

fresh_machine
fake apt-get '[ "$1" = update ] && exit 100; exit 0'
expect "old lists are good enough" 0 'install_packages alpha' "trying with the lists that are here"

fresh_machine
fake apt-get 'echo "E: Unable to locate package alpha"; exit 100'
expect "not in the sources" 1 'install_packages alpha' "do not have all of them" "universe"

fresh_machine
fake apt-get 'echo "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7"; exit 100'
expect "locked" 1 'install_packages alpha' "another program is installing" "fix: wait"

fresh_machine
fake apt-get 'echo "E: something new"; exit 100'
expect "any other failure" 1 'install_packages alpha' "E: something new" "apt-get could not install" "fix: "

fresh_machine
fake df 'printf "Filesystem 1M-blocks Used Available\nx 90000 1 20\n"'
expect "full disk" 1 'install_packages alpha' "/usr has 20 MB free" "fix: free some space"

fresh_machine
printf 'MemAvailable: 300000 kB\n' >"$box/meminfo"
expect "little memory" 1 'need_memory 900' "292 MB of memory are free, and this needs 900 MB" "fix: "
expect "little memory builds one file at a time" 0 'build_jobs' 1

fresh_machine
printf 'ID=fedora\nVERSION_ID=40\n' >"$box/os-release"
rm "$box/bin/apt-get"
expect "another distribution" 1 'know_distribution alpha beta' "this is 'fedora 40'" \
  "install the counterparts of: alpha beta"

[ "$faults" = 0 ] && echo "all cases hold"
