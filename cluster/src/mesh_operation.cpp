#include "mesh_operation.hpp"

#include "combine.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace troupe::cluster {

namespace {

std::string quoted(std::uint64_t number) { return std::to_string(number); }

/// What terms the two sides do not share; they differ.
Error disagreement(const MeshTerms& mine, const MeshTerms& theirs) {
  const auto differ = [](ErrorCode code, std::string_view what, std::string_view a, auto&& b) {
    return Error(
        code,
        "says " + std::string(what) + " " + std::string(b) + " where this rank says " +
            std::string(a));
  };
  if (mine.kind != theirs.kind)
    return differ(
        ErrorCode::invalid_argument, "operation", name_of(mine.kind), name_of(theirs.kind));
  if (mine.dtype != theirs.dtype) {
    const bool known = static_cast<std::size_t>(theirs.dtype) < dtype_count;
    return differ(
        ErrorCode::dtype_mismatch,
        "dtype",
        name_of(mine.dtype),
        known ? name_of(theirs.dtype) : std::string_view("unknown"));
  }
  if (mine.bytes != theirs.bytes)
    return differ(ErrorCode::shape_mismatch, "bytes", quoted(mine.bytes), quoted(theirs.bytes));
  if (mine.reduction != theirs.reduction)
    return differ(
        ErrorCode::invalid_argument,
        "reduction",
        name_of(mine.reduction),
        name_of(theirs.reduction));
  if (mine.shards != theirs.shards)
    return differ(
        ErrorCode::invalid_argument, "shards", quoted(mine.shards), quoted(theirs.shards));
  if (mine.root != theirs.root)
    return differ(ErrorCode::invalid_argument, "root", quoted(mine.root), quoted(theirs.root));
  return Error(ErrorCode::invalid_argument, "has other MeshOptions than this rank")
      .hint("give all ranks the same");
}

}  // namespace

MeshTerms MeshOperation::terms_of(
    const CollectiveCall& call, std::uint32_t ranks, const MeshOptions& options) noexcept {
  MeshTerms terms;
  terms.kind = call.kind;
  terms.dtype = call.dtype;
  terms.reduction = call.reduction;
  terms.shards = call.shards;
  terms.root = call.root;
  terms.bytes = call.bytes;
  terms.piece_bytes = options.piece_bytes;
  const std::uint64_t n = ranks;
  // By parts a rank sends 2(N−1)/N of the bytes and waits for two latencies; otherwise N−1 times
  // the bytes and one. Parts are right where what they save takes longer than a latency.
  if (call.kind == CollectiveKind::reduce_scatter) {
    terms.parted = true;
  } else if (call.kind == CollectiveKind::all_reduce) {
    terms.parted = n > 2 && call.bytes * (n - 1) * (n - 2) / n > options.latency_bytes;
  } else if (call.kind == CollectiveKind::broadcast) {
    const std::uint64_t copies = std::min<std::uint64_t>(options.fan_out, n - 1);
    terms.parted = copies > 1 && call.bytes * (copies - 1) > options.latency_bytes;
  }
  return terms;
}

MeshOperation::MeshOperation(Setting setting, std::vector<Bytes> inputs, Buffers& buffers)
    : setting_(std::move(setting)), buffers_(&buffers), inputs_(std::move(inputs)) {
  if (setting_.ranks == 1) return;  // the input is the result
  for (const Bytes& input : inputs_) shared_inputs_.push_back(std::make_shared<const Bytes>(input));
  incoming_.resize(std::size_t{mesh_phases} * setting_.ranks);
  sending_.resize(std::size_t{mesh_phases} * setting_.ranks);
  turn_ = setting_.rank;  // ranks begin at different ones
  const MeshTerms& terms = setting_.terms;
  if (reduces())
    lay_out_reduction();
  else if (terms.kind == CollectiveKind::broadcast)
    lay_out_broadcast();
  else
    lay_out_gathering();
  if (output_stretch_.bytes > 0) output_ = buffers.take(output_stretch_.bytes);
}

// --- the layout of each operation

void MeshOperation::expect(
    std::uint32_t from, MeshPhase phase, Stretch stretch, std::uint32_t inputs) {
  Incoming& in = incoming_[stream(from, phase)];
  in.stretch = stretch;
  in.inputs = inputs;
  in.pieces = pieces_of(stretch) * inputs;
  in.seen.resize(in.pieces);
  left_ += in.pieces;
}

void MeshOperation::send(std::uint32_t to, MeshPhase phase, Sending out) {
  out.pieces = pieces_of(out.stretch) * out.inputs;
  left_ += out.pieces + (ends_when_taken() ? 1 : 0);
  sending_[stream(to, phase)] = out;
}

void MeshOperation::give(std::uint32_t to, Stretch stretch, std::uint32_t inputs) {
  Sending out;
  out.stretch = stretch;
  out.inputs = inputs;
  send(to, MeshPhase::give, out);
}

void MeshOperation::pass_on(std::uint32_t to, MeshPhase phase) {
  Sending out;
  out.from_result = true;
  out.stretch = own_;
  out.inputs = 1;
  send(to, phase, out);
}

void MeshOperation::lay_out_reduction() {
  const auto& [rank, ranks, fan_out, terms, plan] = setting_;
  const Stretch whole{0, terms.bytes};
  const auto part = [&](std::uint32_t r) {
    return terms.parted ? part_of(terms.bytes, size_of(terms.dtype), r, ranks) : whole;
  };
  const bool scattered = terms.kind == CollectiveKind::reduce_scatter;
  own_ = part(rank);
  output_stretch_ = scattered ? own_ : whole;
  ready_.resize(pieces_of(own_));
  sums_.resize(pieces_of(own_));
  for (std::uint32_t r = 0; r < ranks; ++r) {
    if (r == rank) continue;
    give(r, part(r), plan->contributions(rank));
    expect(r, MeshPhase::give, own_, plan->contributions(r));
    if (scattered || !terms.parted) continue;
    pass_on(r, MeshPhase::result);
    expect(r, MeshPhase::result, part(r), 1);
  }
}

void MeshOperation::lay_out_gathering() {
  // A barrier gathers nothing from everybody.
  const std::uint64_t bytes = setting_.terms.bytes;
  output_stretch_ = {0, bytes * setting_.ranks};
  for (std::uint32_t r = 0; r < setting_.ranks; ++r) {
    if (r == setting_.rank) continue;
    give(r, {0, bytes}, 1);
    expect(r, MeshPhase::give, {r * bytes, bytes}, 1);
  }
}

void MeshOperation::lay_out_broadcast() {
  const auto& [rank, ranks, fan_out, terms, plan] = setting_;
  // Counted from the root, which is 0.
  const std::uint64_t place = (rank + ranks - terms.root) % ranks;
  const auto rank_at = [&, root = terms.root, n = ranks](std::uint64_t at) {
    return static_cast<std::uint32_t>((at + root) % n);
  };
  const bool is_root = place == 0;
  const Stretch whole{0, terms.bytes};
  if (!is_root) output_stretch_ = whole;
  if (!terms.parted) {
    own_ = whole;
    ready_.resize(pieces_of(own_));
    if (!is_root) {
      expect(rank_at((place - 1) / fan_out), MeshPhase::give, own_, 1);
      incoming_[stream(rank_at((place - 1) / fan_out), MeshPhase::give)].is_own = true;
    }
    for (std::uint64_t at = place * fan_out + 1; at <= (place + 1) * fan_out && at < ranks; ++at) {
      if (is_root)
        give(rank_at(at), whole, 1);
      else
        pass_on(rank_at(at), MeshPhase::give);
    }
    return;
  }
  // The root gives each other rank a part, and those give it to one another.
  const auto part = [&](std::uint64_t at) {
    return part_of(terms.bytes, 1, static_cast<std::uint32_t>(at - 1), ranks - 1);
  };
  if (!is_root) {
    own_ = part(place);
    ready_.resize(pieces_of(own_));
    expect(terms.root, MeshPhase::give, own_, 1);
    incoming_[stream(terms.root, MeshPhase::give)].is_own = true;
  }
  for (std::uint64_t at = 1; at < ranks; ++at) {
    if (at == place) continue;
    if (is_root) {
      give(rank_at(at), part(at), 1);
    } else {
      pass_on(rank_at(at), MeshPhase::result);
      expect(rank_at(at), MeshPhase::result, part(at), 1);
    }
  }
}

std::uint64_t MeshOperation::pieces_of(Stretch stretch) const noexcept {
  // An empty stretch is one empty piece: it says that the sender has begun.
  const std::uint64_t size = setting_.terms.piece_bytes;
  return std::max<std::uint64_t>(1, (stretch.bytes + size - 1) / size);
}

Stretch MeshOperation::piece_of(Stretch stretch, std::uint64_t piece) const noexcept {
  const std::uint64_t size = setting_.terms.piece_bytes;
  return {stretch.begin + piece * size, std::min(size, stretch.bytes - piece * size)};
}

// --- what comes

Result<void> MeshOperation::check(const MeshPiece& piece) const {
  if (piece.terms != setting_.terms) return disagreement(setting_.terms, piece.terms);
  if (static_cast<std::uint32_t>(piece.phase) >= mesh_phases)
    return Error(ErrorCode::wire_corrupt, "sent a piece of an unknown phase");
  const Incoming* const in =
      setting_.ranks == 1 ? nullptr : &incoming_[stream(piece.from, piece.phase)];
  if (!in || piece.index >= in->pieces)
    return Error(
        ErrorCode::wire_corrupt,
        "sent piece " + quoted(piece.index) + " of " + quoted(in ? in->pieces : 0));
  if (in->seen[piece.index])
    return Error(ErrorCode::wire_corrupt, "sent piece " + quoted(piece.index) + " twice");
  const Stretch expected = piece_of(in->stretch, piece.index / in->inputs);
  if (piece.data.size() != expected.bytes)
    return Error(
        ErrorCode::wire_corrupt,
        "sent a piece of " + quoted(piece.data.size()) + " bytes where it has " +
            quoted(expected.bytes));
  return {};
}

void MeshOperation::take(const MeshPiece& piece) {
  Incoming& in = incoming_[stream(piece.from, piece.phase)];
  in.seen[piece.index] = true;
  ++in.came;
  --left_;
  const std::uint64_t place = piece.index / in.inputs;
  if (reduces() && piece.phase == MeshPhase::give) {
    begin_sum(place);
    const std::uint32_t node = setting_.plan->contribution(
        piece.from, static_cast<std::uint32_t>(piece.index % in.inputs));
    return add(place, node, {piece.data.span().data(), true, piece.data, {}});
  }
  copy(piece_of(in.stretch, place).begin, piece.data.span());
  if (in.is_own) ready_[place] = true;
  if (setting_.terms.kind == CollectiveKind::all_gather) copy_own_piece();
}

void MeshOperation::copy(std::uint64_t to, std::span<const std::byte> from) noexcept {
  if (!from.empty())
    std::memcpy(output_.get() + (to - output_stretch_.begin), from.data(), from.size());
}

// As many pieces come from any other rank as there are of this one's own.
void MeshOperation::copy_own_piece() {
  const Stretch block{0, setting_.terms.bytes};
  if (own_copied_ == pieces_of(block)) return;
  const Stretch piece = piece_of(block, own_copied_++);
  copy(
      setting_.rank * block.bytes + piece.begin,
      inputs_.front().span().subspan(piece.begin, piece.bytes));
}

void MeshOperation::begin_sum(std::uint64_t piece) {
  if (!sums_[piece].empty()) return;
  sums_[piece].resize(setting_.plan->nodes().size());
  const Stretch stretch = piece_of(own_, piece);
  for (std::uint32_t i = 0; i < inputs_.size(); ++i)
    add(piece,
        setting_.plan->contribution(setting_.rank, i),
        {inputs_[i].span().data() + stretch.begin, true, {}, {}});
}

/// Puts a node's value in its place, and sums upwards as far as siblings are there.
void MeshOperation::add(std::uint64_t piece, std::uint32_t node, Term term) {
  const auto& nodes = setting_.plan->nodes();
  std::vector<Term>& terms = sums_[piece];
  const Stretch stretch = piece_of(own_, piece);
  terms[node] = std::move(term);
  while (node != setting_.plan->root()) {
    const std::uint32_t parent = nodes[node].parent;
    Term& left = terms[nodes[parent].left];
    Term& right = terms[nodes[parent].right];
    if (!left.there || !right.there) return;
    Term sum{nullptr, true, {}, {}};
    std::byte* to = nullptr;
    if (parent == setting_.plan->root()) {
      to = output_.get() + (stretch.begin - output_stretch_.begin);
    } else {
      // In place where one of the two was summed here: nothing that came, or was given to a
      // message, is written to.
      if (left.scratch) {
        sum.scratch = std::move(left.scratch);
      } else if (right.scratch) {
        sum.scratch = std::move(right.scratch);
      } else {
        sum.scratch = buffers_->take(stretch.bytes);
      }
      to = sum.scratch.get();
    }
    combine(
        setting_.terms.dtype, setting_.terms.reduction, to, left.data, right.data, stretch.bytes);
    sum.data = to;
    left = {};
    right = {};
    terms[parent] = std::move(sum);
    node = parent;
  }
  ready_[piece] = true;
  terms = std::vector<Term>();
}

std::uint64_t MeshOperation::acknowledgement(std::uint32_t from, MeshPhase phase) const noexcept {
  const Incoming& in = incoming_[stream(from, phase)];
  if (!has_window(phase) || (in.pieces <= always_allowed && !ends_when_taken())) return 0;
  return in.came % always_allowed == 0 || in.came == in.pieces ? in.came : 0;
}

// --- what goes

Result<void> MeshOperation::acknowledged(
    std::uint32_t by, MeshPhase phase, std::uint64_t pieces, Windows& windows) {
  if (static_cast<std::uint32_t>(phase) >= mesh_phases || setting_.ranks == 1 ||
      pieces > sending_[stream(by, phase)].sent)
    return Error(
        ErrorCode::wire_corrupt, "took " + quoted(pieces) + " pieces, more than it was sent");
  Sending& out = sending_[stream(by, phase)];
  if (pieces <= out.taken) return {};
  out.taken = pieces;
  const std::uint64_t on_the_way = out.sent - out.taken;
  const std::uint64_t needed = on_the_way - std::min(on_the_way, always_allowed);
  if (out.borrowed > needed) windows[by] += std::exchange(out.borrowed, needed) - needed;
  if (ends_when_taken() && out.taken == out.pieces) --left_;
  return {};
}

void MeshOperation::leave(Windows& windows) noexcept {
  for (std::size_t i = 0; i < sending_.size(); ++i)
    windows[i % setting_.ranks] += std::exchange(sending_[i].borrowed, 0);
}

std::optional<MeshOperation::Outgoing> MeshOperation::next(Windows& windows) {
  for (std::size_t tried = 0; tried < sending_.size(); ++tried) {
    turn_ = (turn_ + 1) % sending_.size();
    Sending& out = sending_[turn_];
    if (out.sent == out.pieces) continue;
    const std::uint64_t place = out.sent / out.inputs;
    if (out.from_result && !ready_[place]) continue;
    if (has_window(static_cast<MeshPhase>(turn_ / setting_.ranks)) &&
        out.sent - out.taken >= always_allowed + out.borrowed) {
      std::uint64_t& window = windows[turn_ % setting_.ranks];
      if (window == 0) continue;
      --window;
      ++out.borrowed;
    }
    const Stretch piece = piece_of(out.stretch, place);
    Outgoing next;
    next.to = static_cast<std::uint32_t>(turn_ % setting_.ranks);
    next.phase = static_cast<MeshPhase>(turn_ / setting_.ranks);
    next.index = out.sent;
    if (out.from_result) {
      next.data =
          Bytes({output_.get() + (piece.begin - output_stretch_.begin), piece.bytes}, output_);
    } else {
      const auto& input = shared_inputs_[out.sent % out.inputs];
      next.data = Bytes(input->span().subspan(piece.begin, piece.bytes), input);
    }
    ++out.sent;
    --left_;
    return next;
  }
  return std::nullopt;
}

Bytes MeshOperation::result() const {
  if (setting_.ranks == 1 || (!output_ && !inputs_.empty() && !reduces())) return inputs_.front();
  return {{output_.get(), output_stretch_.bytes}, output_};
}

std::uint32_t MeshOperation::waits_for() const noexcept {
  for (std::size_t i = 0; i < incoming_.size(); ++i)
    if (incoming_[i].came < incoming_[i].pieces)
      return static_cast<std::uint32_t>(i % setting_.ranks);
  for (std::size_t i = 0; i < sending_.size(); ++i)
    if ((ends_when_taken() ? sending_[i].taken : sending_[i].sent) < sending_[i].pieces)
      return static_cast<std::uint32_t>(i % setting_.ranks);
  return setting_.rank;
}

}  // namespace troupe::cluster
