# Sourced, after packages.sh, by what prints figures: runs benchmark programs and sets what they
# measured beside goals and peers. Files go to the folder `results`.

figures=$results/figures.tsv
: >"$figures"
# figure WHAT OURS UNIT GOAL [PEER PEERS TIMES]: one line of it. GOAL is "<= n", ">= n" or empty; TIMES
# is how many times better than the peer ours must be. Smaller is better where GOAL says "<=".
figure() {
  [ -n "${2:-}" ] || return 0
  awk -v what="$1" -v ours="$2" -v unit="$3" -v goal="$4" -v peer="${5:-}" -v theirs="${6:-}" \
    -v times="${7:-}" 'BEGIN {
      OFS = "\t"
      less = goal ~ /^</ || unit ~ /^(ns|us|ms|s|MB|bytes)$/
      n = goal; sub(/^[<>]= */, "", n)
      met = goal == "" ? 1 : less ? ours + 0 <= n + 0 : ours + 0 >= n + 0
      if (theirs != "") {
        ratio = less ? theirs / ours : ours / theirs
        if (times != "" && ratio < times + 0) met = 0
        beside = sprintf("%s %.4g, %.2f times", peer, theirs, ratio)
        if (times != "") goal = goal (goal == "" ? "" : ", ") times " times " peer
      }
      print what, sprintf("%.4g %s", ours, unit), beside, goal, met ? (goal == "" ? "" : "ok") : "missed"
    }' >>"$figures"
}
# value PROGRAM BENCHMARK FIELD: a median; nothing if there is none.
value() {
  [ ! -e "$results/$1.json" ] || awk -F '": ' -v name="$2" -v field="$3" '
    { gsub(/^ *"|"?,?$/, ""); sub(/^"/, "", $2) }
    $1 == "name" { here = $2 == name "_median" || $2 == name }
    here && $1 == field { found = $2 }
    END { print found }' "$results/$1.json"
}
percent() { [ -z "$1" ] || [ -z "$2" ] || awk "BEGIN { printf \"%.1f\", 100 * $1 / $2 }"; }
share_more() { [ -z "$1" ] || [ -z "$2" ] || awk "BEGIN { printf \"%.2f\", 100 * ($1 / $2 - 1) }"; }

# measure NAME COMMAND...: prints medians and spread (cv); all runs are in the JSON file. Runs the
# benchmarks that `filter` says.
measure() {
  local name=$1
  shift
  step "$name"
  "$@" --benchmark_filter="$filter" --benchmark_repetitions=5 --benchmark_min_time=0.1 \
    --benchmark_enable_random_interleaving=true --benchmark_format=json \
    >"$results/$name.json" 2>"$results/$name.log" || say "ended early; see $results/$name.log"
  awk -F '": ' '
    { gsub(/^ *"|"?,?$/, ""); sub(/^"/, "", $2) }
    $1 == "name" { name = $2; counters = "" }
    $1 == "run_name" { run = $2 }
    $1 == "real_time" { time[name] = $2 }
    $1 == "cpu_time" { past_times = 1; next }
    $1 == "time_unit" { unit[name] = $2 }
    past_times && $1 != "time_unit" && $2 ~ /^[-+0-9.e]+$/ { counters = counters sprintf("  %s=%.4g", $1, $2) }
    /^}/ || /^ *}/ {
      past_times = 0
      if (name ~ /_median$/) { order[++count] = run; line[run] = counters }
    }
    END {
      for (i = 1; i <= count; ++i) {
        run = order[i]
        printf "%-58s %12.2f %s%s  ±%.0f %%\n", run, time[run "_median"], unit[run "_median"],
          line[run], 100 * time[run "_cv"]
      }
    }' "$results/$name.json"
}

# Prints the table.
print_figures() {
  step "figures"
  awk -F '\t' '{ printf "%-62s %-20s %-36s %-22s %s\n", $1, $2, $3, $4, $5 }' "$figures"
}
