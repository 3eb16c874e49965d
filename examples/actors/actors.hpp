#pragma once

// The messages and the two actors of this example: see main.cpp for the picture.
#include <troupe/autograd/backward.hpp>
#include <troupe/core/stream.hpp>
#include <troupe/data/loader.hpp>
#include <troupe/nn/adam.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/argmax.hpp>
#include <troupe/tensor/ops/cross_entropy.hpp>
#include <troupe/tensor/ops/eq.hpp>
#include <troupe/tensor/ops/sum.hpp>
#include <troupe/tensor/scope.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

using namespace troupe;
using data::Batch;

// --- messages: structs with a number, a name, and their fields shown to a visitor ----------------
/// Backward to Forward: the weights are being updated; calls made from now on see the new ones.
struct StepDone {
  static constexpr MessageId id{70'001};
  static constexpr std::string_view name = "step_done";
  void fields(auto&) {}
};
/// Forward to Backward: a batch's loss and right answers, which need not have been computed yet.
struct Scored {
  static constexpr MessageId id{70'002};
  static constexpr std::string_view name = "scored";
  Tensor loss, right;
  std::int64_t samples = 0;
  Address<StepDone> done;
  void fields(auto& visit) { visit.field("samples", samples); }
};
/// Forward to Backward: no batch will come any more, because that was the last, or because the
/// loader failed.
struct EpochOver {
  static constexpr MessageId id{70'003};
  static constexpr std::string_view name = "epoch_over";
  std::optional<Error> failure;
  void fields(auto&) {}
};
/// Backward to the thread that watches: one step.
struct StepReport {
  static constexpr MessageId id{70'004};
  static constexpr std::string_view name = "step_report";
  Tensor loss;
  void fields(auto&) {}
};
/// What an epoch came to, and the question for it, which carries the address of the answer.
struct Totals {
  static constexpr MessageId id{70'005};
  static constexpr std::string_view name = "totals";
  Tensor right;
  std::int64_t samples = 0;
  void fields(auto& visit) { visit.field("samples", samples); }
};
struct AskTotals {
  static constexpr MessageId id{70'006};
  static constexpr std::string_view name = "ask_totals";
  Address<Totals> reply_to;
  void fields(auto&) {}
};

// --- actors ------------------------------------------------------------------------------------
/// Receives batches on a stream, gives them to the model, one step at a time.
class Forward final : public Actor<StreamItem<Batch>, StepDone> {
 public:
  Forward(Device& device, nn::Sequential model, Address<Scored, EpochOver> backward)
      : device_(&device), model_(std::move(model)), backward_(std::move(backward)) {}

 private:
  friend ActorAccess;

  void on(StreamItem<Batch>&& item) { batches_.on(std::move(item)), work(); }
  void on(const StepDone&) { busy_ = false, work(); }

  void work() {
    if (busy_) return;
    const auto batch = batches_.take();  // its credit goes back to the loader
    if (!batch) {
      if (batches_.finished()) {
        const Error* failure = batches_.error();
        backward_.send(EpochOver{failure ? std::optional(*failure) : std::nullopt});
      }
      return;
    }
    busy_ = true;
    const Scope scope(system(), *device_);  // the device that the calls below use
    const EnableGrad record;
    const Tensor scores = model_(batch->inputs);
    const Tensor loss = cross_entropy(scores, batch->labels);
    const Tensor right = sum(eq(argmax(scores, 1), batch->labels));
    backward_.send(Scored{loss, right, batch->samples(), self()});
  }

  Device* device_;
  nn::Sequential model_;
  Address<Scored, EpochOver> backward_;
  StreamSink<Batch> batches_{{.messages = 4}};
  bool busy_ = false;
};

/// Sends the gradients back and steps the optimizer. Forward goes on only while there is credit for
/// the report, so a watcher that is slow slows the training and fills no mailbox.
class Backward final : public Actor<Scored, EpochOver, StreamCredit, AskTotals> {
 public:
  Backward(Device& device, optim::Adam optimizer, Address<StreamItem<StepReport>> reports)
      : device_(&device), optimizer_(std::move(optimizer)), reports_(std::move(reports), self()) {}

 private:
  friend ActorAccess;

  void on(Scored&& step) {
    const Scope scope(system(), *device_);
    optimizer_.zero_grad();
    backward(step.loss);  // gradient messages are on their way
    optimizer_.step();    // the parameters update themselves when they have arrived
    totals_.right = totals_.right ? totals_.right + step.right : step.right;
    totals_.samples += step.samples;
    reports_.offer(StepReport{step.loss.detach()});
    waiting_ = std::move(step.done);
    go_on();
  }
  void on(const StreamCredit& credit) { reports_.on(credit), go_on(); }
  void on(EpochOver&& over) {
    if (over.failure)
      reports_.fail(*std::move(over.failure));  // the thread that watches throws it
    else
      reports_.end();
  }
  void on(const AskTotals& ask) { ask.reply_to.send(Totals(totals_)); }

  void go_on() {
    if (waiting_ && reports_.ready_for_more()) std::exchange(waiting_, {}).send(StepDone{});
  }

  Device* device_;
  optim::Adam optimizer_;
  StreamSource<StepReport> reports_;
  Address<StepDone> waiting_;
  Totals totals_;
};
