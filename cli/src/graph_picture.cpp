#include "graph_picture.hpp"

#include "picture_text.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace troupe::cli {

namespace {

constexpr int row_height = 74;
constexpr int box_height = 36;
constexpr int letter_width = 7;
constexpr int gap = 18;
constexpr int margin = 24;
constexpr int title_height = 40;

struct Box {
  std::string name;
  std::string below;  // its first output
  std::string told;
  const char* color = "#e5e7eb";
  bool round = false;
  bool thick = false;
  std::size_t row = 0;
  double x = 0;  // of its middle
  int width = 0;
  std::vector<std::size_t> from;  // boxes
};

class Picture {
 public:
  explicit Picture(const Graph& graph) : graph_(graph), box_of_(graph.metas.size(), none) {
    add_ops();
    add_sources();
    place();
  }

  [[nodiscard]] std::string svg(std::string_view title) const {
    std::string text = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(width_) +
                       "\" height=\"" + number(height()) +
                       "\" font-family=\"sans-serif\" font-size=\"12\">\n"
                       "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"" +
                       number(margin) + "\" y=\"26\" font-size=\"15\">" + escaped(title) +
                       "</text>\n";
    for (const Box& box : boxes_)
      for (const std::size_t from : box.from) text += line(boxes_[from], box);
    for (const Box& box : boxes_) text += drawn(box);
    return text + "</svg>\n";
  }

 private:
  static constexpr std::size_t none = ~std::size_t{0};
  static std::string number(double x) { return std::to_string(static_cast<long>(x)); }

  [[nodiscard]] std::string meta(Graph::Cell cell) const { return to_string(graph_.metas[cell]); }

  void add_ops() {
    for (const Graph::Op& op : graph_.ops) {
      Box box;
      box.name = name_of(op);
      box.below = meta(op.outputs[0]);
      box.thick = op.nodes.size() > 1;
      box.color = op.late ? "#dcfce7" : op.nodes.front().vjp_of.empty() ? "#dbeafe" : "#fee2e2";
      for (const Graph::Node& node : op.nodes) {
        const std::string file(node.where.file ? node.where.file : "");
        box.told += std::string(node.op) + " #" + std::to_string(node.number) +
                    (node.vjp_of.empty() ? "" : ", gradient of " + std::string(node.vjp_of)) +
                    (file.empty() ? ""
                                  : ", " + file.substr(file.rfind('/') + 1) + ":" +
                                        std::to_string(node.where.line)) +
                    "\n";
      }
      for (const Graph::Cell cell : op.inputs) box.told += "reads " + meta(cell) + "\n";
      for (const Graph::Cell cell : op.outputs) {
        box.told += "makes " + meta(cell) + "\n";
        box_of_[cell] = boxes_.size();
      }
      for (const Graph::Cell cell : op.inputs) {
        const std::size_t from = box_of_[cell];
        if (from == none) continue;
        box.row = std::max(box.row, boxes_[from].row + 1);
        if (std::find(box.from.begin(), box.from.end(), from) == box.from.end())
          box.from.push_back(from);
      }
      boxes_.push_back(std::move(box));
    }
  }

  /// What no op makes, above the first that reads it.
  void add_sources() {
    const std::size_t ops = boxes_.size();
    // Room for sources of the first ops.
    for (Box& box : boxes_) ++box.row;
    for (std::size_t o = 0; o < ops; ++o)
      for (const Graph::Cell cell : graph_.ops[o].inputs) {
        std::size_t from = box_of_[cell];
        if (from == none) {
          Box source;
          source.told = graph_.source_of(cell) + "\n";
          // Each update has as many as parameters again, or twice: its box tells of them.
          if (source.told.starts_with("a state ")) continue;
          from = box_of_[cell] = boxes_.size();
          source.name = source.told.substr(0, source.told.find(meta(cell)));
          source.name.erase(source.name.find_last_not_of(", ") + 1);
          for (const std::string_view word : {"the program's ", "the "})
            if (source.name.starts_with(word)) source.name.erase(0, word.size());
          source.below = meta(cell);
          source.round = true;
          source.row = boxes_[o].row - 1;
          boxes_.push_back(std::move(source));
        }
        std::vector<std::size_t>& to = boxes_[o].from;
        if (from >= ops && std::find(to.begin(), to.end(), from) == to.end()) to.push_back(from);
      }
  }

  /// Row by row, each box below the middle of what it reads.
  void place() {
    std::vector<std::vector<std::size_t>> rows;
    for (std::size_t b = 0; b < boxes_.size(); ++b) {
      Box& box = boxes_[b];
      const std::size_t letters = std::max(shortened(box.name).size(), box.below.size());
      box.width = static_cast<int>(letters) * letter_width + 16;
      if (rows.size() <= box.row) rows.resize(box.row + 1);
      rows[box.row].push_back(b);
    }
    rows_ = rows.size();
    for (std::vector<std::size_t>& row : rows) {
      for (const std::size_t b : row) {
        Box& box = boxes_[b];
        double sum = 0;
        double count = 0;
        for (const std::size_t from : box.from)
          if (boxes_[from].row < box.row) {
            sum += boxes_[from].x;
            ++count;
          }
        box.x = count > 0 ? sum / count : 1e9;  // sources to the right of what is there
      }
      std::stable_sort(row.begin(), row.end(), [&](std::size_t a, std::size_t b) {
        return boxes_[a].x < boxes_[b].x;
      });
      double right = margin;
      for (const std::size_t b : row) {
        Box& box = boxes_[b];
        const double least = right + box.width / 2.0;
        box.x = box.x >= 1e9 ? least : std::max(box.x, least);
        right = box.x + box.width / 2.0 + gap;
      }
      width_ = std::max(width_, right + margin);
    }
  }

  [[nodiscard]] double height() const {
    return title_height + static_cast<double>(rows_) * row_height + margin;
  }
  [[nodiscard]] static double top(const Box& box) {
    return title_height + static_cast<double>(box.row) * row_height;
  }

  [[nodiscard]] static std::string line(const Box& from, const Box& to) {
    const double y0 = top(from) + box_height;
    const double y1 = top(to);
    const double bend = std::min((y1 - y0) / 2, 60.0);
    return "<path d=\"M" + number(from.x) + " " + number(y0) + " C" + number(from.x) + " " +
           number(y0 + bend) + " " + number(to.x) + " " + number(y1 - bend) + " " + number(to.x) +
           " " + number(y1) + "\" fill=\"none\" stroke=\"#9ca3af\"/>\n";
  }

  [[nodiscard]] static std::string drawn(const Box& box) {
    const std::string middle = number(box.x);
    return "<g><title>" + escaped(box.told) + "</title><rect x=\"" +
           number(box.x - box.width / 2.0) + "\" y=\"" + number(top(box)) + "\" width=\"" +
           std::to_string(box.width) + "\" height=\"" + std::to_string(box_height) + "\" rx=\"" +
           (box.round ? "18" : "4") + "\" fill=\"" + box.color + "\" stroke=\"#374151\"" +
           (box.thick ? " stroke-width=\"2.5\"" : "") + "/><text x=\"" + middle + "\" y=\"" +
           number(top(box) + 15) + "\" text-anchor=\"middle\">" + escaped(shortened(box.name)) +
           "</text><text x=\"" + middle + "\" y=\"" + number(top(box) + 30) +
           "\" text-anchor=\"middle\" font-size=\"10\" fill=\"#6b7280\">" + escaped(box.below) +
           "</text></g>\n";
  }

  const Graph& graph_;
  std::vector<std::size_t> box_of_;  // for each cell
  std::vector<Box> boxes_;
  std::size_t rows_ = 0;
  double width_ = 400;
};

}  // namespace

std::string picture_of(const Graph& graph, std::string_view title) {
  return Picture(graph).svg(title);
}

}  // namespace troupe::cli
