// pack-standards OUTPUT.cpp FILE.yaml...: reads the shipped standards when the library is built and writes them, packed, as C++.
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "moeram/base/errors.h"
#include "moeram/base/yaml_file.h"

namespace {

constexpr std::size_t kBytesPerLine = 100;

bool is_plain(char byte) { return byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\' && byte != '?'; }

// Other bytes as three octal digits.
std::string literal(const std::string& bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i % kBytesPerLine == 0) out += i == 0 ? "\"" : "\"\n       \"";
    const auto byte = static_cast<unsigned char>(bytes[i]);
    out += is_plain(bytes[i]) ? std::string(1, bytes[i]) : std::string{'\\', static_cast<char>('0' + byte / 64), static_cast<char>('0' + byte / 8 % 8), static_cast<char>('0' + byte % 8)};
  }
  return out + '"';
}

std::string entry_of(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  const moeram::YamlTree tree = moeram::load_yaml(moeram::read_text(file.string()), name, false);
  moeram::check_document(tree, name);
  const std::string packed = moeram::pack(tree);
  return "      {\"" + file.stem().string() + "\",\n       {" + literal(packed) + ",\n        " + std::to_string(packed.size()) + "}},\n";
}

void write_standards(const std::string& path, const std::vector<std::string>& files) {
  std::ofstream out(path);
  out << "#include \"moeram/dram/compiled_in.h\"\n\nnamespace moeram {\n\n"
         "std::span<const CompiledIn> compiled_in_standards() {\n  static constexpr CompiledIn standards[] = {\n";
  for (const auto& file : files) out << entry_of(file);
  out << "  };\n  return standards;\n}\n\n}  // namespace moeram\n";
  if (!out.flush()) throw moeram::EngineError(path + ": could not be written");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 2) return 2;
  try {
    write_standards(words[0], {words.begin() + 1, words.end()});
  } catch (const std::exception& error) {
    std::cerr << "pack-standards: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
