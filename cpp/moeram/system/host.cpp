#include "moeram/host.h"

#include <algorithm>

#include "moeram/base/errors.h"
#include "moeram/frontend/external.h"
#include "moeram/system/ramulator_config.h"

namespace moeram {
namespace {

Params prepared(Params config, const HostOptions& options) {
  for (const auto& text : options.overrides) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) throw ConfigError("override '" + text + "': KEY=VALUE is expected");
    config.override_value(text.substr(0, equals), text.substr(equals + 1));
  }
  if (!config.has("Frontend")) config.override_value("Frontend.impl", "GEM5");
  const Params frontend = config.child("Frontend");
  if (frontend.is_map() && frontend.text("impl") != "GEM5") {
    frontend.child("impl").fail("a host program sends the requests itself: leave Frontend out or take {impl: GEM5}");
  }
  return config;
}

}  // namespace

struct HostedMemory::State {
  State(const Params& config, const HostOptions& options)
      : run(config, options.strict, options.folder), frontend(static_cast<ExternalFrontEnd&>(run.frontend())) {
    for (auto& channel : run.memory().channels()) channel->set_read_sink(&frontend);
    for (const auto& warning : run.warnings()) {
      if (!warning.starts_with("Frontend GEM5")) warnings.push_back(warning);
    }
  }
  bool send(int kind, std::int64_t byte_address, int source, ExternalFrontEnd::OnRead done) {
    if (finished) throw EngineError("a request after the end of the run");
    return frontend.send(run.memory(), kind, byte_address, source, std::move(done));
  }
  RamulatorRun run;
  ExternalFrontEnd& frontend;
  std::vector<std::string> warnings;
  bool finished = false;
};

HostedMemory::HostedMemory(std::unique_ptr<State> state) : state_(std::move(state)) {}
HostedMemory::HostedMemory(HostedMemory&&) noexcept = default;
HostedMemory& HostedMemory::operator=(HostedMemory&&) noexcept = default;
HostedMemory::~HostedMemory() = default;

HostedMemory HostedMemory::from_file(const std::string& path, const HostOptions& options) {
  return HostedMemory(std::make_unique<State>(prepared(Params::from_file(path, options.folder), options), options));
}

HostedMemory HostedMemory::from_text(const std::string& text, const HostOptions& options) {
  return HostedMemory(std::make_unique<State>(prepared(Params::from_text(text, "text"), options), options));
}

bool HostedMemory::read(std::int64_t byte_address, int source, OnRead done) {
  if (!done) return state_->send(kRead, byte_address, source, nullptr);
  return state_->send(kRead, byte_address, source, [done = std::move(done)](const Request& request) {
    done({request.byte_address, request.source, request.arrive, request.depart});
  });
}

bool HostedMemory::write(std::int64_t byte_address, int source) { return state_->send(kWrite, byte_address, source, nullptr); }

void HostedMemory::tick() {
  if (state_->finished) throw EngineError("a tick after the end of the run");
  state_->run.memory().tick_awake();
}

std::int64_t HostedMemory::now() const { return state_->run.memory().now(); }
double HostedMemory::tick_ns() const { return static_cast<double>(state_->run.memory().spec().tck_ps) / 1000; }
int HostedMemory::transaction_bytes() const { return state_->run.memory().spec().transaction_bytes(); }
std::int64_t HostedMemory::next_event() { return std::max(state_->run.memory().next_event(), now() + 1); }

void HostedMemory::pass(std::int64_t cycles) {
  MemorySystem& memory = state_->run.memory();
  if (cycles < 0 || cycles >= next_event() - memory.now()) {
    throw EngineError("pass(" + std::to_string(cycles) + ") at cycle " + std::to_string(memory.now()) + " would miss cycle " + std::to_string(next_event()));
  }
  memory.pass(cycles);
}

const std::vector<std::string>& HostedMemory::warnings() const { return state_->warnings; }

std::string HostedMemory::finish() {
  if (state_->finished) throw EngineError("the run was ended before");
  state_->finished = true;
  state_->run.memory().catch_up();
  state_->run.finish();
  return state_->run.statistics();
}

}  // namespace moeram
