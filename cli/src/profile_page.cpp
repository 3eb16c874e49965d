#include "profile_page.hpp"

#include "picture_text.hpp"
#include "profile.hpp"

#include <algorithm>
#include <cstdio>

namespace troupe::cli {

namespace {

// As in pictures of graphs.
constexpr const char* forward_color = "#93c5fd";
constexpr const char* backward_color = "#fca5a5";
constexpr const char* update_color = "#86efac";

constexpr double page_width = 1080;

constexpr const char* style =
    "body{font:14px sans-serif;color:#111827;background:white;margin:24px;max-width:1080px}"
    "h1{font-size:20px}h2{font-size:16px;margin-top:28px}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{padding:3px 10px;text-align:right;border-bottom:1px solid #e5e7eb}"
    "th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}"
    "p{color:#374151}svg{display:block}i{display:inline-block;width:12px;height:12px}";

std::string fixed(double x, int digits = 1) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", digits, x);
  return text;
}

std::string milliseconds(double seconds) { return fixed(1e3 * seconds, 3) + " ms"; }

std::string told(const ProfileRow& row) {
  const std::string rate = rate_text(row);
  return milliseconds(row.seconds) + ", " + fixed(100 * row.share) + " %" +
         (rate.empty() ? ""
                       : ", " + rate + ", " + fixed(100 * row.of_limit(), 0) + " % of the limit");
}

std::string rectangle(
    double x, double y, double width, double height, const char* color, const std::string& more) {
  return "<rect x=\"" + fixed(x) + "\" y=\"" + fixed(y) + "\" width=\"" +
         fixed(std::max(width, 0.5)) + "\" height=\"" + fixed(height) + "\" fill=\"" + color +
         "\"" + more + "</rect>";
}

std::string text_at(double x, double y, const std::string& text) {
  return "<text x=\"" + fixed(x) + "\" y=\"" + fixed(y) + "\">" + escaped(text) + "</text>";
}

std::string picture_of_size(double height) {
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + fixed(page_width, 0) +
         "\" height=\"" + fixed(height, 0) + "\" font-family=\"sans-serif\" font-size=\"12\">\n";
}

std::string bars(const std::vector<ProfileRow>& rows) {
  constexpr double row_height = 24, bars_left = 330, bars_width = 420;
  double longest = 0;
  for (const ProfileRow& row : rows) longest = std::max(longest, row.seconds);
  std::string svg = picture_of_size(row_height * static_cast<double>(rows.size()));
  double y = 0;
  for (const ProfileRow& row : rows) {
    const double width = longest > 0 ? bars_width * row.seconds / longest : 0;
    svg += "<g><title>" + escaped(row.name) + "</title>";
    svg += text_at(
        0, y + 16, shortened(row.name) + (row.calls > 1 ? " ×" + std::to_string(row.calls) : ""));
    svg += rectangle(bars_left, y + 4, width, row_height - 8, "#bfdbfe", ">");
    if (row.least_seconds > 0)
      svg += rectangle(
          bars_left, y + 4, width * std::min(row.of_limit(), 1.0), row_height - 8, "#1d4ed8", ">");
    svg += text_at(bars_left + width + 8, y + 16, told(row)) + "</g>\n";
    y += row_height;
  }
  return svg + "</svg>\n";
}

std::string timeline(const ProgramProfile& profile) {
  constexpr double lane_height = 30, lanes_left = 80, below = 24;
  constexpr const char* lanes[] = {"forward", "backward", "update"};
  constexpr const char* colors[] = {forward_color, backward_color, update_color};
  double end = 0;
  for (const ProgramProfile::Op& op : profile.ops) end = std::max(end, op.ended);
  const double width = page_width - lanes_left - 60;
  const double scale = end > 0 ? width / end : 0;
  std::string svg = picture_of_size(3 * lane_height + below);
  for (int lane = 0; lane < 3; ++lane) {
    const double y = lane * lane_height;
    svg += text_at(0, y + 19, lanes[lane]);
    svg += rectangle(lanes_left, y + 2, width, lane_height - 4, "#f3f4f6", ">");
  }
  svg += "\n";
  for (const ProgramProfile::Op& op : profile.ops) {
    const int lane = op.late ? 2 : op.vjp_of.empty() ? 0 : 1;
    const double x = lanes_left + op.began * scale;
    const double wide = (op.ended - op.began) * scale;
    // A line between neighbors; it would hide what is hardly wider.
    const std::string title = std::string(wide > 3 ? " stroke=\"white\"" : "") + "><title>" +
                              escaped(op.name + " → " + op.result) +
                              (op.vjp_of.empty() ? "" : ", gradient of " + std::string(op.vjp_of)) +
                              "\n" + milliseconds(op.ended - op.began) + "</title>";
    svg += rectangle(x, lane * lane_height + 2, wide, lane_height - 4, colors[lane], title);
    constexpr double letter_width = 7;
    if (wide > letter_width * static_cast<double>(op.name.size()) + 6)
      svg += text_at(x + 4, lane * lane_height + 19, op.name);
    svg += "\n";
  }
  constexpr int marks = 5;
  for (int i = 0; i <= marks; ++i)
    svg += text_at(
        lanes_left + width * i / marks - 14, 3 * lane_height + 16, milliseconds(end * i / marks));
  return svg + "\n</svg>\n";
}

std::string table(const ProgramProfile& profile, const std::vector<ProfileRow>& rows) {
  std::string html =
      "<table><tr><th>op</th><th>makes</th><th>time</th><th>share</th><th>rate</th>"
      "<th>of the limit</th></tr>\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ProfileRow& row = rows[i];
    html += "<tr><td>" + escaped(row.name) + "</td><td>" + escaped(profile.ops[i].result) +
            "</td><td>" + milliseconds(row.seconds) + "</td><td>" + fixed(100 * row.share) +
            " %</td><td>" + rate_text(row) + "</td><td>" +
            (row.rate == 0 ? "" : fixed(100 * row.of_limit(), 0) + " %") + "</td></tr>\n";
  }
  return html + "</table>\n";
}

}  // namespace

std::string page_of(
    const ProgramProfile& profile, const cpu::Limits& limits, std::string_view title) {
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" +
         escaped(title) + "</title><style>" + style + "</style></head><body>\n<h1>" +
         escaped(title) + "</h1>\n<p>" + milliseconds(profile.seconds_in_ops()) + " in " +
         std::to_string(profile.ops.size()) + " ops, " + milliseconds(profile.seconds) +
         " from a step's first op to its end; means of " + std::to_string(profile.steps) +
         " steps, in which ops ran one at a time. Limits of " + std::to_string(limits.threads) +
         " threads: " + escaped(limits_text(limits)) + ".</p>\n" +
         "<h2>By name</h2>\n<p><i style=\"background:#bfdbfe\"></i> time taken; "
         "<i style=\"background:#1d4ed8\"></i> what the limit would have taken: of computing, or "
         "of the nearest memory that all of an op's values fit into</p>\n" +
         bars(rows_by_name(profile, limits)) +
         "<h2>One step in time</h2>\n<p>The last that was measured.</p>\n" + timeline(profile) +
         "<h2>All ops</h2>\n" + table(profile, rows_by_op(profile, limits)) + "</body></html>\n";
}

}  // namespace troupe::cli
