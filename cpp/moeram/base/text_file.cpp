#include "moeram/base/text_file.h"

#include <filesystem>
#include <fstream>

#include "moeram/base/errors.h"

namespace moeram {

void write_whole_file(const std::string& path, const std::string& text) {
  std::error_code failed;
  if (const auto folder = std::filesystem::path(path).parent_path(); !folder.empty()) std::filesystem::create_directories(folder, failed);
  const std::string partial = path + ".partial";
  std::ofstream file(partial, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw EngineError(path + ": cannot be written");
  std::filesystem::rename(partial, path, failed);
  if (failed) throw EngineError(path + ": cannot be written: " + failed.message());
}

}  // namespace moeram
