#include "moeram/plugin/command_trace.h"

#include <charconv>
#include <filesystem>

#include "moeram/base/errors.h"

namespace moeram {

CommandTrace::CommandTrace(const Spec& spec, const std::string& path) : spec_(spec), path_(path), partial_path_(path + ".partial") {
  std::error_code failed;
  if (const auto folder = std::filesystem::path(path).parent_path(); !folder.empty()) std::filesystem::create_directories(folder, failed);
  file_.reset(std::fopen(partial_path_.c_str(), "w"));
  if (!file_) throw ConfigError(path + ": cannot be written");
}

void CommandTrace::on_command(Cycle now, int command, const Request& request) {
  char line[256];
  char* at = line;
  char* const end = line + sizeof line;
  const auto text = [&](std::string_view part) { at = std::copy(part.begin(), part.end(), at); };
  at = std::to_chars(at, end, now).ptr;
  text(", ");
  text(std::string_view(spec_.commands[static_cast<std::size_t>(command)].name).substr(0, 64));
  for (std::size_t level = 0; level < spec_.levels.size(); ++level) {
    text(", ");
    at = std::to_chars(at, end, request.address[level]).ptr;
  }
  text("\n");
  const auto size = static_cast<std::size_t>(at - line);
  if (std::fwrite(line, 1, size, file_.get()) != size) throw EngineError(path_ + ": writing the command trace failed");
}

void CommandTrace::finish() {
  if (std::fflush(file_.get()) != 0) throw EngineError(path_ + ": writing the command trace failed");
  file_.reset();
  std::error_code failed;
  std::filesystem::rename(partial_path_, path_, failed);
  if (failed) throw EngineError(path_ + ": cannot be written: " + failed.message());
}

CommandTrace::~CommandTrace() {
  if (!file_) return;
  file_.reset();
  std::error_code ignored;
  std::filesystem::remove(partial_path_, ignored);
}

}  // namespace moeram
