// Devices, recorders and random requests that several test files use.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "moeram/controller/controller.h"
#include "moeram/dram/standard.h"
#include "moeram/system/near_memory_run.h"

// DDR4_8Gb_x8 at 2400R and its likes; sizes override the preset.
moeram::Spec resolve_by_name(const std::string& standard, const std::string& organization, const std::string& timing,
                             const std::map<std::string, std::int64_t>& sizes = {});
moeram::Spec ddr4(const std::map<std::string, std::int64_t>& sizes = {});

// Address vector in the order of the standard's levels; what is left out is 0.
moeram::Address address_of(const std::vector<int>& entries);
moeram::Request request_of(int kind, std::int64_t byte_address, const std::vector<int>& entries);

// Every command with its cycle and address.
class Recorder : public moeram::CommandListener {
 public:
  struct Entry {
    moeram::Cycle cycle;
    int command;
    moeram::Address address;
    bool operator==(const Entry&) const = default;
  };
  void on_command(moeram::Cycle now, int command, const moeram::Request& request) override { entries.push_back({now, command, request.address}); }
  std::string name() const override { return "Recorder"; }
  std::vector<Entry> entries;
};

// "1 ACT, 17 RD"
std::string text_of(const moeram::Spec& spec, const std::vector<Recorder::Entry>& entries);

// A configuration of Ramulator 2.0 with a load/store trace.
struct TraceCase {
  std::string standard, organization, timing;
  int channels = 1;
  int ranks = 0;  // 0: the standard has none, or its preset decides
  int front = 1, memory = 1;  // clock ratios
  std::string mapper = "RoBaRaCoCh";
  int cap = 0;  // 0: open rows
  double low = 0.2, high = 0.8;
  bool fold = true;
  std::string refresh = "AllBank";
  bool energy = false;
};
std::string config_of(const TraceCase& c, const std::string& trace);

// A near-memory system with OLMoE's expert on one chip (hidden 2048, intermediate 1024): 12 rows an expert, 4 a matrix.
moeram::NearMemoryConfig olmoe_on_stratum_s();
moeram::NmpLayerResult run_layer(const moeram::NearMemoryConfig& config, const moeram::LayerTask& task, const moeram::NearMemoryRunOptions& options = {});
// All figures of a result as text.
std::string text_of(const moeram::NmpLayerResult& result);

// A file that goes away with the object.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, const std::string& text);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string read_file(const std::string& path);
// `text` with the one place of `from` replaced; fails the test if there is not exactly one.
std::string replace_once(const std::string& text, const std::string& from, const std::string& to);
