#include "moeram/pim/nmp_reuse.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>

#include "moeram/base/errors.h"

namespace moeram {
namespace {

using Numbers = ExpertMemo::Numbers;

// A state mostly depends on the last one or two experts.
constexpr std::size_t kWarmUp = 2;
enum Piece : std::int64_t { kBegin, kExpert, kFinish };

bool rows_meet(const LayerTask& task, std::size_t rows) {
  std::vector<std::int64_t> first(task.experts.size());
  std::transform(task.experts.begin(), task.experts.end(), first.begin(), [](const ExpertTask& expert) { return expert.first_row; });
  std::sort(first.begin(), first.end());
  return std::adjacent_find(first.begin(), first.end(), [&](auto a, auto b) { return b - a < static_cast<std::int64_t>(rows); }) != first.end();
}

// The pieces of a layer, numbered: its beginning, its experts, its end.
class ReusingLayer {
 public:
  ReusingLayer(const NmpLayerParts& parts, const LayerTask& task, ExpertMemo& memo, EngineWork& work) : parts_(parts), task_(task), memo_(memo), work_(work) {}

  Numbers run() {
    Numbers total;
    ExpertMemo::State state = 0;  // of no interest to the first piece
    for (std::size_t piece = 0; piece <= task_.experts.size() + 1; ++piece) {
      const Numbers program = program_of(piece);
      const ExpertMemo::Step* known = memo_.find(state, program);
      const ExpertMemo::Step step = known != nullptr ? *known : simulate(piece, state, program);
      total.resize(step.grown.size(), 0);
      std::transform(total.begin(), total.end(), step.grown.begin(), total.begin(), std::plus<>());
      state = step.next;
    }
    work_.experts += static_cast<std::int64_t>(task_.experts.size());
    return total;
  }

 private:
  // Runs of rows of one latency class.
  void add_classes(std::int64_t row, std::int64_t rows, Numbers& out) const {
    for (std::size_t i = 0; i < parts_.spec.classes.size(); ++i) {
      const auto& one = parts_.spec.classes[i];
      const std::int64_t inside = std::min<std::int64_t>(row + rows, one.row_end) - std::max<std::int64_t>(row, one.row_begin);
      if (inside > 0) out.insert(out.end(), {static_cast<std::int64_t>(i), inside});
    }
  }

  Numbers program_of(std::size_t piece) const {
    const auto experts = task_.experts.size();
    if (piece == 0) return {kBegin, parts_.options.simulated_channels, task_.batch};
    if (piece > experts) {
      const std::int64_t rows = parts_.shape.result_rows(task_.batch);
      Numbers out = {kFinish, rows};
      add_classes(parts_.options.result_row, rows, out);
      return out;
    }
    const auto rows = static_cast<std::int64_t>(parts_.layout.size());
    const ExpertTask& expert = task_.experts[piece - 1];
    Numbers out = {kExpert, expert.tokens};
    add_classes(expert.first_row, rows, out);
    // Rows of these may be asked for before the expert is done.
    std::int64_t left = parts_.unit.row_latches;
    for (std::size_t i = piece; i < experts && left > 0; ++i, left -= rows) {
      out.push_back(-1);
      add_classes(task_.experts[i].first_row, std::min(left, rows), out);
    }
    return out;
  }

  ExpertMemo::Step simulate(std::size_t piece, ExpertMemo::State state, const Numbers& program) {
    bring_to(piece, state);
    const Numbers before = live_->counts();
    advance();
    ExpertMemo::Step step;
    step.grown = live_->counts();
    std::transform(step.grown.begin(), step.grown.end(), before.begin(), step.grown.begin(), std::minus<>());
    const bool finished = piece > task_.experts.size();
    step.next = finished ? 0 : memo_.state(live_->canonical(task_));
    if (!memo_.add(state, program, step)) return step;
    if (piece > 0 && !finished) ++work_.experts_simulated;
    const auto commands = result_of(parts_, task_, step.grown).commands;
    work_.commands_simulated += std::accumulate(commands.begin(), commands.end(), std::int64_t{0});
    return step;
  }

  // Have a live layer that is about to do `piece` and is in this state: the present one, or a new one that warms up on the experts before.
  void bring_to(std::size_t piece, ExpertMemo::State state) {
    if (live_ && at_ <= piece && piece - at_ <= kWarmUp) {
      while (at_ < piece) advance();
      return;
    }
    const std::size_t before = piece == 0 ? 0 : piece - 1;
    for (std::size_t warm_up = std::min(kWarmUp, before);; warm_up = std::min(2 * warm_up, before)) {
      start(before - warm_up);
      while (at_ < piece) advance();
      if (piece == 0 || memo_.is(state, live_->canonical(task_))) return;
      if (warm_up == before) throw EngineError("a layer's own experts do not lead to the state that is kept before expert " + std::to_string(before));
    }
  }

  void start(std::size_t first) {
    live_ = std::make_unique<NmpLayer>(parts_);
    at_ = 0;
    if (first == 0) return;
    live_->begin(task_, first);
    at_ = first + 1;
  }

  void advance() {
    if (at_ == 0) {
      live_->begin(task_);
    } else if (at_ <= task_.experts.size()) {
      live_->run_expert(task_);
    } else {
      live_->finish(task_);
    }
    ++at_;
  }

  const NmpLayerParts& parts_;
  const LayerTask& task_;
  ExpertMemo& memo_;
  EngineWork& work_;
  std::unique_ptr<NmpLayer> live_;
  std::size_t at_ = 0;  // the piece that the live layer does next
};

}  // namespace

void EngineWork::add(const LayerTask& task, const NmpLayerResult& result) {
  const auto count = static_cast<std::int64_t>(task.experts.size());
  add({count, count, std::accumulate(result.commands.begin(), result.commands.end(), std::int64_t{0})});
}

void EngineWork::add(const EngineWork& other) {
  experts += other.experts;
  experts_simulated += other.experts_simulated;
  commands_simulated += other.commands_simulated;
}

NmpLayerResult run_reusing(const NmpLayerParts& parts, const LayerTask& task, ExpertMemo& memo, EngineWork& work) {
  check_capacity(parts.shape, parts.unit, task);
  if (!rows_meet(task, parts.layout.size())) return result_of(parts, task, ReusingLayer(parts, task, memo, work).run());
  NmpLayerResult result = NmpLayer(parts).run(task);
  work.add(task, result);
  return result;
}

}  // namespace moeram
