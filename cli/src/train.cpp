#include "train.hpp"

#include "devices.hpp"
#include "interrupt.hpp"
#include "models.hpp"
#include "open_data.hpp"
#include "profile.hpp"
#include "profile_page.hpp"
#include "progress_line.hpp"
#include "run_folder.hpp"
#include "session.hpp"
#include "together.hpp"

#include <troupe/core/clock.hpp>
#include <troupe/core/disk.hpp>
#include <troupe/core/random.hpp>
#include <troupe/core/trace.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/cpu/limits.hpp>
#include <troupe/data/loader.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/scope.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <utility>

namespace troupe::cli {

namespace {

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * share);
  return text;
}

/// A loss, and what it comes to: "0.2412, accuracy 91.20 %", "1.4512, 2.094 bits per byte".
std::string result_text(double loss, double accuracy, DataKind kind) {
  char text[64];
  if (kind == DataKind::text)
    std::snprintf(text, sizeof text, "%.4f, %.3f bits per byte", loss, bits_per_byte(loss));
  else
    std::snprintf(text, sizeof text, "%.4f, accuracy %s", loss, percent(accuracy).c_str());
  return text;
}

/// Draws the progress line, tells each epoch's result, saves, and carries Ctrl-C to the trainer.
class Reporter final : public nn::Callback {
 public:
  Reporter(
      Console& console,
      Clock& clock,
      std::stop_source stop,
      RunFolder& folder,
      io::Tree about,
      DataKind kind)
      : console_(console),
        clock_(clock),
        stop_(std::move(stop)),
        folder_(folder),
        about_(std::move(about)),
        kind_(kind) {}

  void on_fit_start(nn::Trainer& trainer) override { saved_step_ = trainer.step(); }
  void on_batch_end(nn::Trainer&, const nn::Progress& progress) override {
    if (Interrupt::requested() && !stop_.stop_requested()) stop_.request_stop();
    const bool last = progress.batch == progress.batches;
    if (!redraw_.due(clock_.now_ns(), last)) return;
    char label[64];
    std::snprintf(
        label,
        sizeof label,
        "%s %lld/%lld",
        progress.testing ? "Test " : "Epoch",
        static_cast<long long>(progress.epoch + 1),
        static_cast<long long>(progress.max_epochs));
    char line[512];
    const std::string_view bar = format_progress(
        {.label = label,
         .done = progress.batch,
         .total = progress.batches,
         .seconds = progress.seconds,
         .before = progress.first_batch,
         .loss = progress.loss},
        console_.options().width,
        line);
    if (below_)
      console_.draw(std::string(bar) + below_(console_.options().width));
    else
      console_.draw(bar);
    if (last) console_.end_drawing();
  }

  void on_epoch_end(nn::Trainer& trainer, const nn::EpochMetrics& epoch) override {
    char times[96];
    const int size = std::snprintf(
        times,
        sizeof times,
        "; %.1f s, %.0f %s/s",
        epoch.seconds,
        epoch.samples_per_second,
        kind_ == DataKind::text ? "bytes" : "samples");
    if (waited_)
      std::snprintf(
          times + size,
          sizeof times - static_cast<std::size_t>(size),
          ", %.1f s waiting for peers",
          waited_());
    console_.say(
        "epoch " + std::to_string(epoch.epoch) + ": train loss " +
        result_text(epoch.train_loss, epoch.train_accuracy, kind_) + "; test loss " +
        result_text(epoch.test_loss, epoch.test_accuracy, kind_) + times);
    save(trainer);
  }

  void on_device_lost(nn::Trainer& trainer, Device& lost, const Error& reason) override {
    about_["numeric_profile"] = numeric_profile(trainer.device());
    console_.say(
        "warning: " + std::string(lost.name()) + " is lost (" + reason.message() +
        "); going on with " + std::string(trainer.device().name()) + " after step " +
        std::to_string(trainer.step()));
  }

  /// What is drawn below the progress line: lines of at most so many columns, each begun by '\n'.
  void set_below(std::function<std::string(std::size_t width)> below) { below_ = std::move(below); }

  /// Where an epoch's line has it from, how long peers were waited for.
  void set_waited(std::function<double()> waited) { waited_ = std::move(waited); }

  void save(nn::Trainer& trainer) {
    folder_.save(trainer, about_, kind_);
    saved_step_ = trainer.step();
  }
  /// What to do about a device that was lost for good.
  [[nodiscard]] std::string way_on() const {
    return "the last checkpoint, in " + folder_.checkpoint_path() + ", is of step " +
           std::to_string(saved_step_) + "; go on from it with\n    troupe train --resume " +
           folder_.path() + " --device cpu\n  or let a run go on by itself: --fallback cpu";
  }

 private:
  Console& console_;
  Clock& clock_;
  std::stop_source stop_;
  RunFolder& folder_;
  io::Tree about_;
  DataKind kind_;
  std::function<std::string(std::size_t width)> below_;
  std::function<double()> waited_;
  std::int64_t saved_step_ = 0;
  Redraw redraw_;
};

/// Throws when a file cannot be written, which is better known before the steps than after.
void check_writable(Disk& disk, const std::string& path, const std::string& option) {
  auto file = disk.create(path);
  if (!file) throw Error(file.error()).hint(option + " takes the name of a file to be written");
  file.value().reset();
  disk.remove(path).value();
}

/// Steps before those that are looked at: in the first, programs are captured and memory is taken.
/// Half of them where there are few; none where there is one.
std::int64_t warm_up_steps(std::int64_t steps) { return std::min<std::int64_t>(20, steps / 2); }

/// Records the messages of a few steps and writes them to a file: `--trace`.
class TraceSteps final : public nn::Callback {
 public:
  /// @param steps  of the whole run
  TraceSteps(System& system, std::string path, std::int64_t steps, Console& console)
      : system_(system), path_(std::move(path)), steps_of_run_(steps), console_(console) {
    check_writable(system_.disk(), path_, "--trace");
  }

  void on_fit_start(nn::Trainer& trainer) override {
    warm_up_ = warm_up_steps(steps_of_run_ - trainer.step());
    if (warm_up_ == 0) begin();
  }
  void on_batch_end(nn::Trainer&, const nn::Progress& progress) override {
    if (done_ || progress.testing) return;
    if (!system_.tracer().on()) {
      if (--warm_up_ <= 0) begin();
      return;
    }
    // Steps are under way while others end: a span is from the end of one to the end of the next.
    system_.tracer().span("step", began_);
    if (++recorded_ == recorded_max || progress.batch == progress.batches) return finish();
    began_ = system_.tracer().now();
  }
  /// Writes what there is, and says so; also when there is nothing.
  void finish() {
    if (std::exchange(done_, true)) return;
    if (recorded_ == 0)
      return console_.say(
          "warning: there is no trace in " + path_ +
          ", for the run ended before a step was traced");
    system_.tracer().write(system_.disk(), path_).value();
    console_.say(
        "the trace of " + std::to_string(recorded_) + " steps is in " + path_ +
        "; ui.perfetto.dev opens it");
  }

 private:
  static constexpr int recorded_max = 3;

  void begin() {
    system_.tracer().start();
    began_ = system_.tracer().now();
  }

  System& system_;
  std::string path_;
  std::int64_t steps_of_run_;
  Console& console_;
  std::int64_t warm_up_ = 0;  // steps still to do before recording begins
  std::uint64_t began_ = 0;
  int recorded_ = 0;
  bool done_ = false;
};

/// Measures some steps op by op, and tells of them: `--profile`.
class ProfileSteps final : public nn::Callback {
 public:
  /// @param steps  of the whole run
  ProfileSteps(std::string path, std::int64_t steps, Console& console)
      : path_(std::move(path)), steps_of_run_(steps), console_(console) {}

  void on_fit_start(nn::Trainer& trainer) override {
    warm_up_ = warm_up_steps(steps_of_run_ - trainer.step());
    if (warm_up_ == 0) trainer.measure(true);
  }
  void on_batch_end(nn::Trainer& trainer, const nn::Progress& progress) override {
    if (progress.testing || measured_ == measured_max) return;
    if (warm_up_ > 0) {
      if (--warm_up_ == 0) trainer.measure(true);
    } else if (++measured_ == measured_max) {
      trainer.measure(false);
    }
  }
  /// Prints and writes what there is; says so where there is nothing.
  void finish(nn::Trainer& trainer, System& system, const std::string& title) {
    const ProgramProfile profile = trainer.profile();
    if (profile.steps == 0)
      return console_.say("warning: there is no profile, for the run ended before it was measured");
    const cpu::Limits limits = cpu::measure_limits(trainer.device(), limits_seconds);
    console_.print(profile_text(profile, limits));
    const std::string page = page_of(profile, limits, title);
    const std::unique_ptr<DiskFile> file = system.disk().create(path_).value();
    file->append(std::as_bytes(std::span(page.data(), page.size()))).value();
    file->sync().value();
    console_.say("the profile is in " + path_ + "; any browser opens it");
  }

 private:
  static constexpr int measured_max = 20;
  static constexpr double limits_seconds = 2;

  std::string path_;
  std::int64_t steps_of_run_;
  Console& console_;
  std::int64_t warm_up_ = 0;  // steps still to do before they are measured
  int measured_ = 0;
};

/// Throws for what cannot be told of a run.
void check_profile(const TrainOptions& options, const Device& device) {
  if (options.door != "program")
    throw Error(
        ErrorCode::unsupported,
        "--profile measures the ops of a compiled step, and define-by-run has none")
        .hint("leave out --door define-by-run: the results are the same");
  if (options.watch_nan)
    throw Error(
        ErrorCode::unsupported,
        "--watch-nan runs the ops as they were before they were compiled, which --profile measures")
        .hint("use one of them at a time");
  if (!device.reads_at_once())
    throw Error(
        ErrorCode::unsupported,
        "--profile measures op by op, which " + std::string(device.name()) +
            " does not offer: it runs them behind the caller")
        .hint("run it with --device cpu to see where the time goes there");
}

/// The config of the run in `folder`, with what the command line may change. Throws `file_mismatch`
/// listing what it may not.
RunConfig resumed_config(const TrainOptions& options, const RunConfig& saved) {
  const io::Tree before = saved.tree();
  RunConfig of_this_model = options.config;
  of_this_model.model = saved.model;
  io::Tree asked = of_this_model.tree();
  asked["model"] = options.config.model;
  io::Tree merged = before;
  std::string faults;
  for (const std::string& name : options.given) {
    const std::string separator = faults.empty() ? "" : "; ";
    if (RunConfig::may_change(name))
      merged[name] = asked.at(name);
    else if (!RunConfig::applies(name, saved.model))
      faults += separator + "the " + saved.model + " has no " + name;
    else if (!(asked.at(name) == before.at(name)))
      faults += separator + name + " was " + io::to_json(before.at(name)) + ", not " +
                io::to_json(asked.at(name));
  }
  if (!faults.empty())
    throw Error(
        ErrorCode::file_mismatch,
        "this is another run than the one in " + options.resume + ": " + faults)
        .hint("leave these options out to go on, or begin a new run with --out");
  return RunConfig::from(merged);
}

void check_same_data(const DataFacts& saved, const DataFacts& found, const std::string& folder) {
  io::Tree then;
  io::Tree now;
  put_facts(then, saved);
  put_facts(now, found);
  if (then == now) return;
  const auto told = [](const DataFacts& facts) {
    const auto* images = std::get_if<ImageFacts>(&facts);
    return images ? to_string(images->image) + " and " + std::to_string(images->train_count) +
                        " images"
                  : described(facts);
  };
  throw Error(
      ErrorCode::file_mismatch,
      "the data are not those that the run in " + folder + " was trained on: " + told(saved) +
          " then, " + told(found) + " now, or other " +
          (kind_of(found) == DataKind::text ? "bytes" : "pixels"))
      .hint("put the old files back, or begin a new run with --out");
}

void restore(
    nn::Trainer& trainer, RunFolder& folder, DataKind kind, const io::Tree& now, Console& console) {
  const Resumed resumed = folder.resume(trainer, kind);
  for (const std::string& notice : resumed.notices) console.say("warning: " + notice);
  const io::Tree* profile = resumed.about.find("numeric_profile");
  if (profile && !(*profile == now.at("numeric_profile")))
    console.say(
        "warning: the run was on " + io::to_json(*profile) +
        "; results will differ in the last bits");
  console.say(
      "going on after " + std::to_string(trainer.metrics().size()) + " epochs, " +
      std::to_string(trainer.step()) + " steps");
}

}  // namespace

int train(const TrainOptions& options, Console& console, std::shared_ptr<nn::Callback> watcher) {
  Session session(options.machine, console);
  if (options.watch_nan && !session.device().reads_at_once())
    throw Error(
        ErrorCode::unsupported,
        "--watch-nan looks at every value as it is made, which only the CPU offers")
        .hint("run it with --device cpu: the same seed makes the same steps, but for rounding");
  if (options.profile) check_profile(options, session.device());
  // The device itself is none, as where "auto" has found no GPU.
  std::vector<Device*> fallbacks;
  for (const std::string& name : options.fallback) {
    Device& fallback = attach_device(session.system(), name, console);
    if (&fallback != &session.device()) fallbacks.push_back(&fallback);
  }
  Disk& disk = session.system().disk();
  const bool resuming = !options.resume.empty();

  // What is to be done, and whether it can be, before anything is written.
  RunConfig config = options.config;
  RunFolder folder(disk, options.resume);
  DataFacts saved_facts;
  if (resuming) {
    folder.read_config(config, saved_facts);
    config = resumed_config(options, config);
  } else {
    folder = {disk, options.out.empty() ? RunFolder::free_name(disk, config.model) : options.out};
    if (folder.exists())
      throw Error(ErrorCode::invalid_argument, folder.path() + " holds a run already")
          .hint("--resume " + folder.path() + " goes on with it; --out takes another folder");
  }
  const Dataset dataset = open_data(disk, config.data, config.context, console);
  const DataFacts facts = facts_of(dataset);
  const DataKind kind = kind_of(facts);
  if (resuming) check_same_data(saved_facts, facts, folder.path());

  Scope scope(session.system(), session.device());
  scope.seed(static_cast<std::uint64_t>(config.seed));
  const auto loader = [&](Part part) {
    const data::LoaderOptions how = loader_options(config, part == Part::train);
    return make_loader(session.device(), dataset, part, facts, config.context, how);
  };
  data::Loader train_loader = loader(Part::train);
  data::Loader test_loader = loader(Part::test);
  const std::int64_t steps = steps_of(config, train_loader.batches());

  const Interrupt interrupt(
      console.options().quiet,
      "\nstopping after this step and saving; once more ends at once\n",
      "\nended without saving; the last checkpoint is whole\n");
  std::stop_source stop;
  const io::Tree what = about_run(config, facts, session.device());
  const auto reporter =
      std::make_shared<Reporter>(console, session.system().clock(), stop, folder, what, kind);
  nn::TrainerOptions how = trainer_options(config, train_loader.batches());
  how.door = options.door == "program" ? nn::Door::program : nn::Door::define_by_run;
  how.detect_nan = options.watch_nan;
  how.stop = stop.get_token();
  how.callbacks = {reporter};
  how.fallback_devices = std::move(fallbacks);
  how.commit_every_n_steps = options.commit_every;
  std::shared_ptr<TraceSteps> trace;
  if (!options.trace.empty()) {
    trace = std::make_shared<TraceSteps>(
        session.system(), options.trace, config.epochs * steps, console);
    how.callbacks.push_back(trace);
  }
  std::shared_ptr<ProfileSteps> profile;
  if (options.profile) {
    if (!options.profile_page.empty()) check_writable(disk, options.profile_page, "--profile");
    profile = std::make_shared<ProfileSteps>(
        options.profile_page.empty() ? folder.path() + "/profile.html" : options.profile_page,
        config.epochs * steps,
        console);
    how.callbacks.push_back(profile);
  }
  if (watcher) how.callbacks.push_back(std::move(watcher));
  const nn::Task task = make_task(config, facts, steps);
  std::uint64_t run = resuming ? folder.run_number() : 0;
  while (run == 0) run = session.system().random().next() >> 1;  // JSON's integers have a sign
  std::optional<nn::Trainer> alone;
  std::optional<Together> together;
  if (options.peers.empty() && !options.launch)
    alone.emplace(task, std::move(how));
  else
    together.emplace(
        options,
        session,
        console,
        Together::Parts{
            config, &dataset, task, std::move(how), stop.get_token(), folder.next_lease()},
        run);
  if (together) {
    reporter->set_below([&](std::size_t width) { return together->report(width); });
    reporter->set_waited([&] { return together->waited(); });
  }
  const auto trainer = [&]() -> nn::Trainer& { return alone ? *alone : together->trainer(); };
  // Before anything is read: whoever trains here until now could save between the two, and this
  // process would go on from what is old.
  if (resuming) {
    (void)folder.take_lease(run);
    restore(trainer(), folder, kind, what, console);
  }
  folder.write_config(config, facts);
  if (!resuming) (void)folder.take_lease(run);
  if (!resuming) reporter->save(trainer());  // so that even a kill in the first epoch leaves a run
  console.say(
      (resuming ? "training on in " : "training in ") + folder.path() + ": " + config.model +
      " of " + std::to_string(task.model.parameter_count()) + " parameters on " +
      (kind == DataKind::text ? std::to_string(train_loader.samples() * config.context) + " bytes, "
                              : std::to_string(train_loader.samples()) + " images, ") +
      counted(session.system().threads(), "thread") +
      (together ? ", with " + counted(together->peers(), "peer") : ""));

  bool finished = false;
  try {
    finished = alone ? alone->fit(train_loader, &test_loader) : together->fit();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::device_lost) throw;
    throw Error(error).hint(reporter->way_on());
  }
  if (trace) trace->finish();
  if (profile)
    profile->finish(
        trainer(),
        session.system(),
        "A training step of the " + config.model + " in " + folder.path() + ", " +
            std::to_string(config.batch_size) + " in a batch");
  if (!finished) {
    console.end_drawing();
    reporter->save(trainer());
    console.say(
        "stopped in epoch " + std::to_string(trainer().metrics().size() + 1) +
        " and saved; go on with\n" + "  troupe train --resume " + folder.path());
    return Interrupt::exit_code;
  }
  if (!trainer().metrics().empty()) {
    const nn::EpochMetrics& last = trainer().metrics().back();
    if (kind == DataKind::text)
      console.print("test loss " + result_text(last.test_loss, last.test_accuracy, kind) + "\n");
    else
      console.print("test accuracy " + percent(last.test_accuracy) + "\n");
  }
  return 0;
}

}  // namespace troupe::cli
