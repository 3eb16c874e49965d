#!/usr/bin/env bash
# Goal: tools/tidy finds each kind of fault.
# Method: a project of a few files in a scratch folder, one fault put into it at a time.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
command -v git >/dev/null || { echo "git is not here" && exit 1; }
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
faults=0

sound_project() {
  rm -rf "$box/p"
  mkdir -p "$box/p"/{tools,core/include/troupe/core,core/src,tests/core,cmake}
  cd "$box/p" || exit 1
  cp "$top"/tools/{tidy,packages.sh} tools/
  cp "$top/.clang-format" .
  : >tools/exceptions
  : >cmake/none.cmake
  printf '#pragma once\n\nint one();\n' >core/include/troupe/core/one.hpp
  printf '#include <troupe/core/one.hpp>\n\nint one() { return 1; }\n' >core/src/one.cpp
  printf '#include <troupe/core/one.hpp>\n' >tests/core/one_test.cpp
  printf 'troupe_library(core HEADERS include/troupe/core/one.hpp SOURCES src/one.cpp)\n' >core/CMakeLists.txt
  printf 'troupe_test(core_test SOURCES one_test.cpp)\n' >tests/core/CMakeLists.txt
  : >tests/CMakeLists.txt
  git init -q . && git add -A
}

# finds TEXT: tools/tidy must fail and say it.
finds() {
  local out
  out=$(tools/tidy 2>&1) && { echo "not found: $1" && faults=$((faults + 1)); }
  case "$out" in
    *"$1"*) ;;
    *) echo "does not say '$1': $out" && faults=$((faults + 1)) ;;
  esac
}

sound_project
out=$(tools/tidy 2>&1) || { echo "a sound project fails: $out" && faults=$((faults + 1)); }

sound_project && rm tests/core/one_test.cpp
finds "core/src/one.cpp: has no test tests/core/one_test.cpp"

sound_project && rm tests/core/one_test.cpp && echo "mirror core/src/one.cpp" >tools/exceptions
finds "gives no reason"

sound_project && echo "mirror core/src/one.cpp for fun" >tools/exceptions
finds "has its test now"

sound_project && echo "mirror core/src/two.cpp for fun" >tools/exceptions
finds "there is no such file any more"

sound_project && printf '#pragma once\n' >core/include/troupe/core/two.hpp
finds "core/include/troupe/core/two.hpp: named in no CMakeLists.txt"

sound_project && printf '#pragma once\n' >core/src/two.hpp
finds "core/src/two.hpp: included by none"

sound_project && printf 'int one();\n' >core/include/troupe/core/one.hpp
finds "core/include/troupe/core/one.hpp: does not start with #pragma once"

sound_project && printf '#include "troupe/core/one.hpp"\n' >core/src/one.cpp
finds "core/src/one.cpp:1: spell it"

sound_project && printf '#include <iostream>\n' >core/src/one.cpp
finds "core/src/one.cpp:1: a library never prints"

# Two of the rules that hold for net alone.
net_source() {
  sound_project
  mkdir -p net/src tests/net
  printf '%s\n' "$1" >net/src/two.cpp
  : >tests/net/two_test.cpp
  printf 'troupe_library(net SOURCES src/two.cpp)\n' >net/CMakeLists.txt
  printf 'troupe_test(net_test SOURCES two_test.cpp)\n' >tests/net/CMakeLists.txt
}
net_source 'int two();'
out=$(tools/tidy 2>&1) || { echo "a sound source of net fails: $out" && faults=$((faults + 1)); }
net_source '#include <cereal/types/vector.hpp>'
finds "net/src/two.cpp:1: cereal's own readers"
net_source 'auto t = std::chrono::steady_clock::now();'
finds "net/src/two.cpp:1: time comes through calls"

sound_project && printf 'int TODO;\n' >core/src/one.cpp
finds "core/src/one.cpp:1: finish it"

sound_project && printf '// %0101d\n' 0 >core/src/one.cpp
finds "core/src/one.cpp:1: longer than 100 columns"

sound_project && printf 'const char* p = "/%s/x/y";\n' home/somebody >core/src/one.cpp
finds "core/src/one.cpp:1: a path of one machine"

# A shader for newer compilers, with its SPIR-V kept for older ones.
kept_shader() {
  sound_project
  mkdir -p shaders/spirv
  printf '// newer: GL_SOME\n// variants: float32\n' >shaders/one.comp
  for way in address descriptor; do
    (cd shaders && sha256sum one.comp | sed 's#^#// #' >spirv/one_float32_$way.h)
  done
  git add -A
}
kept_shader
out=$(tools/tidy 2>&1) || { echo "kept SPIR-V that fits fails: $out" && faults=$((faults + 1)); }

kept_shader && echo >>shaders/one.comp
finds "shaders/spirv/one_float32_address.h: shaders/one.comp has changed"

kept_shader && rm shaders/spirv/one_float32_descriptor.h
finds "shaders/spirv/one_float32_descriptor.h: is not there"

kept_shader && : >shaders/spirv/one_float32_address.h
finds "does not say what it was made of"

if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
  sound_project && printf 'int   one();\n' >core/src/one.cpp
  finds "core/src/one.cpp:1: not laid out"
fi

[ "$faults" = 0 ] && echo "all faults are found"
