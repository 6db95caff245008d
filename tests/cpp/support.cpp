#include "support.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "check.h"

using namespace moeram;

Spec resolve_by_name(const std::string& standard, const std::string& organization, const std::string& timing,
                     const std::map<std::string, std::int64_t>& sizes) {
  DeviceOptions options;
  options.organization_preset = organization;
  options.timing_preset = timing;
  options.organization = sizes;
  return resolve(find_standard(standard), options);
}

Spec ddr4(const std::map<std::string, std::int64_t>& sizes) { return resolve_by_name("DDR4", "DDR4_8Gb_x8", "DDR4_2400R", sizes); }

Address address_of(const std::vector<int>& entries) {
  Address address{};
  for (std::size_t i = 0; i < entries.size(); ++i) address[i] = entries[i];
  return address;
}

Request request_of(int kind, std::int64_t byte_address, const std::vector<int>& entries) {
  Request request;
  request.kind = kind;
  request.byte_address = byte_address;
  request.address = address_of(entries);
  return request;
}

std::string text_of(const Spec& spec, const std::vector<Recorder::Entry>& entries) {
  std::string text;
  for (const auto& entry : entries) {
    text += (text.empty() ? "" : ", ") + std::to_string(entry.cycle) + " " + spec.commands[static_cast<std::size_t>(entry.command)].name;
  }
  return text;
}

std::string config_of(const TraceCase& c, const std::string& trace) {
  const std::string rows = c.cap == 0 ? "{impl: OpenRowPolicy}" : "{impl: ClosedRowPolicy, cap: " + std::to_string(c.cap) + "}";
  return "Frontend: {impl: LoadStoreTrace, path: '" + trace + "', clock_ratio: " + std::to_string(c.front) + (c.fold ? "" : ", fold: false") +
         "}\nMemorySystem:\n  impl: GenericDRAM\n  clock_ratio: " + std::to_string(c.memory) + "\n  DRAM:\n    impl: '" + c.standard +
         "'\n    org: {preset: " + c.organization + ", channel: " + std::to_string(c.channels) +
         (c.ranks > 0 ? ", rank: " + std::to_string(c.ranks) : "") + "}\n    timing: {preset: " + c.timing + "}\n" +
         (c.standard == "DDR5" ? "    RFM: {BRC: 2}\n" : "") +
         (c.energy ? "    drampower_enable: true\n    voltage: {preset: Default}\n    current: {preset: Default}\n" : "") +
         "  AddrMapper: {impl: " + c.mapper + "}\n  Controller:\n    impl: Generic\n    wr_low_watermark: " + std::to_string(c.low) +
         "\n    wr_high_watermark: " + std::to_string(c.high) + "\n    Scheduler: {impl: FRFCFS}\n    RefreshManager: {impl: " + c.refresh +
         "}\n    RowPolicy: " + rows + "\n";
}

NearMemoryConfig olmoe_on_stratum_s() {
  NearMemoryConfig config;
  config.shape.hidden_size = 2048;
  config.shape.intermediate_size = 1024;
  config.result_row = 32767;
  return config;
}

NmpLayerResult run_layer(const NearMemoryConfig& config, const LayerTask& task, const NearMemoryRunOptions& options) {
  return run_layers(resolve_device(config), config, {task}, options).front();
}

std::string text_of(const NmpLayerResult& result) {
  std::ostringstream out;
  const auto all = [&](const char* name, const auto& values) {
    out << ' ' << name;
    for (const auto value : values) out << ' ' << value;
  };
  out << result.duration << ' ' << result.link_in << ' ' << result.all_gather << ' ' << result.tensor << ' ' << result.reducer << ' '
      << result.special_functions << ' ' << result.reduce_scatter << ' ' << result.weighted_sum << ' ' << result.link_out << ' '
      << result.mac_bytes_over_all_banks;
  all("read", result.rows_read);
  all("written", result.rows_written);
  all("class_time", result.class_time);
  all("commands", result.commands);
  return out.str();
}

TemporaryFile::TemporaryFile(const std::string& name, const std::string& text)
    : path_((std::filesystem::temp_directory_path() / ("moeram-tests-" + std::to_string(getpid()) + "-" + name)).string()) {
  std::ofstream file(path_, std::ios::binary);
  file << text;
  CHECK(static_cast<bool>(file.flush()));
}

TemporaryFile::~TemporaryFile() { std::remove(path_.c_str()); }

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  CHECK(file.is_open());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string replace_once(const std::string& text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  CHECK(at != std::string::npos && text.find(from, at + 1) == std::string::npos);
  return text.substr(0, at) + to + text.substr(at + from.size());
}
