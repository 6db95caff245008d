// Writing a file so that it stands under its name only when it is whole.
#pragma once

#include <string>

namespace moeram {

// Makes missing folders; writes "<path>.partial" and renames it. Throws EngineError naming the file.
void write_whole_file(const std::string& path, const std::string& text);

}  // namespace moeram
