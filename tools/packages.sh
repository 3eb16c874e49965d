# Sourced by the commands in this folder: says what it is about to install, installs only that, and
# ends with the reason and the fix when it cannot. Changes no package source.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
packages=$top/build/packages # what is unpacked instead of installed

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }

# fail REASON FIX...: a line each.
fail() {
  printf '\nerror: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '  fix: %s\n' "$@" >&2
  exit 1
}

# Sets `distribution` to something like "debian 12".
know_distribution() {
  local wanted="$*"
  distribution=$(. "${OS_RELEASE:-/etc/os-release}" 2>/dev/null && printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-}" ||
    printf unknown)
  case "$distribution" in
    "debian 12" | "debian 13" | "ubuntu 24.04") ;;
    *)
      # Another system may well do, if it has what the build needs.
      command -v apt-get >/dev/null && command -v dpkg-query >/dev/null && return
      fail "this is '$distribution'; packages can be installed for you on Debian 12, Debian 13 and Ubuntu 24.04" \
        "install the counterparts of: $wanted" \
        "then: cmake --workflow --preset release"
      ;;
  esac
}

# missing_packages NAME...: those not installed, one a line.
missing_packages() {
  local name
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || say "$name"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install_packages NAME...: does nothing, and needs neither root nor network, when all are there.
install_packages() {
  local missing log
  missing=$(missing_packages "$@" | tr '\n' ' ')
  [ -n "$missing" ] || return 0
  say "To be installed with apt-get: $missing"
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    fail "installing needs root, and there is no sudo" "as root: apt-get install $missing" \
      "then run this again as yourself"
  fi
  need_disk /usr 1500
  log=$(mktemp)
  # A list that is out of date is no failure by itself: what is needed may be known already.
  as_root apt-get update -q >"$log" 2>&1 || say "apt-get update failed; trying with the lists that are here"
  if ! as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends $missing >>"$log" 2>&1; then
    tail -n 15 "$log" >&2
    case "$(cat "$log")" in
      *"Unable to locate package"* | *"has no installation candidate"*)
        fail "the package sources of this machine do not have all of them" \
          "enable the main archive (on Ubuntu also 'universe') in /etc/apt, then run this again" ;;
      *"Could not resolve"* | *"Failed to fetch"* | *"Could not connect"* | *"Connection failed"*)
        fail "the package server cannot be reached" "check the network and the proxy, then run this again" ;;
      *"Could not get lock"* | *"is held by process"*)
        fail "another program is installing packages" "wait until it has ended, then run this again" ;;
      *"No space left"* | *"enough free space"*)
        fail "the disk is full" "free about 1.5 GB, then run this again" ;;
      *)
        fail "apt-get could not install them (log: $log)" "apt-get install $missing" ;;
    esac
  fi
  rm -f "$log"
}

# need_disk FOLDER MEGABYTES
need_disk() {
  local free
  free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$2" ] ||
    fail "$1 has $free MB free, and this needs $2 MB" "free some space there, then run this again"
}

# need_memory MEGABYTES: what can be had without swapping, within the container's limit if there is one.
need_memory() {
  local free limit
  free=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' "${MEMINFO:-/proc/meminfo}")
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || say max)
  [ "$limit" = max ] || [ $((limit / 1048576)) -ge "$free" ] || free=$((limit / 1048576))
  [ "$free" -ge "$1" ] ||
    fail "$free MB of memory are free, and this needs $1 MB" \
      "close other programs or give the machine more memory, then run this again"
}

# build_jobs: as many compilers as there are processors and, at 700 MB each, memory.
build_jobs() {
  local by_memory
  by_memory=$(awk '/^MemAvailable:/ { print int($2 / 1024 / 700) }' "${MEMINFO:-/proc/meminfo}")
  [ "$by_memory" -ge 1 ] || by_memory=1
  [ "$by_memory" -lt "$(nproc)" ] && say "$by_memory" || nproc
}

# What compiling the library and the program takes; each is said in README.md with its reason.
build_packages="g++ cmake ninja-build libxsimd-dev nlohmann-json3-dev zlib1g-dev libcli11-dev"
build_packages+=" libvulkan-dev libvulkan-volk-dev glslang-dev glslang-tools libcereal-dev libssl-dev"
build_packages+=" libboost1.81-dev"
data_packages="dataset-fashion-mnist"

# Every C++ file of the project, tracked or about to be.
sources() { git ls-files -co --exclude-standard -- '*.hpp' '*.cpp' | sort -u | while read -r file; do
  [ ! -e "$file" ] || say "$file"; done; }

# Prints the formatter whose verdict counts; other versions lay out some lines differently.
find_formatter() {
  local name
  for name in clang-format-14 clang-format; do
    "$name" --version 2>/dev/null | grep -q 'version 14\.' && say "$name" && return
  done
  return 1
}
