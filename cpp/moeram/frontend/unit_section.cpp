#include "moeram/frontend/unit_section.h"

#include <algorithm>

#include "moeram/base/text.h"

namespace moeram {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 40;
constexpr std::int64_t kElementBytes = 2;

std::int64_t within(const Params& node, const std::string& key, std::int64_t otherwise, std::int64_t least) {
  const std::int64_t value = node.integer(key, otherwise);
  if (value < least || value > kMost) node.child(key).fail(std::to_string(value) + " lies outside " + std::to_string(least) + " to " + std::to_string(kMost));
  return value;
}

const std::string& one_of(const Params& at, const std::string& word, const std::vector<std::string>& known, const char* what) {
  const auto found = std::find(known.begin(), known.end(), word);
  if (found == known.end()) at.fail(std::string(what) + " '" + printable(word) + "' is unknown" + did_you_mean(word, known));
  return *found;
}

const std::vector<std::string>& words_of_does() {
  static const std::vector<std::string> words = {
      "nothing", "open", "load", "multiply", "read", "set", "activate", "bank_to_buffer", "buffer_to_bank", "multiply_banks", "add_general", "write_general",
      "read_general", "write_bank", "read_bank", "results_to_buffer", "buffer_to_buffer", "softmax", "set_register", "set_tokens", "set_first_row"};
  return words;
}

std::vector<int> read_levels(const Params& meaning, const std::string& key, const Spec& spec, const std::vector<std::string>& beside) {
  const std::vector<std::string> levels(spec.levels.begin() + 1, spec.levels.begin() + spec.row_level);
  std::vector<int> out;
  for (const auto& item : meaning.list(key)) {
    const std::string name = item.as_text();
    if (std::find(beside.begin(), beside.end(), name) == beside.end()) one_of(item, name, levels, "level");
    out.push_back(spec.level(name));
  }
  return out;
}

UnitSection::Meaning read_meaning(const Params& entry, const std::vector<std::string>& buffers, const Spec& spec) {
  static const std::vector<std::string> with_buffer = {"load", "multiply", "bank_to_buffer", "buffer_to_bank", "results_to_buffer", "buffer_to_buffer", "softmax"};
  UnitSection::Meaning meaning;
  meaning.does = one_of(entry.child("does"), entry.text("does"), words_of_does(), "word");
  meaning.buffer = entry.text("buffer", "");
  meaning.to = entry.text("to", "");
  for (const char* key : {"buffer", "to"}) {
    if (entry.has(key)) one_of(entry.child(key), entry.text(key), buffers, "buffer");
  }
  if (meaning.buffer.empty() && std::find(with_buffer.begin(), with_buffer.end(), meaning.does) != with_buffer.end()) entry.fail(meaning.does + " needs a buffer");
  if (meaning.to.empty() && meaning.does == "buffer_to_buffer") entry.fail("buffer_to_buffer needs a second buffer, `to`");
  meaning.by = read_levels(entry, "by", spec, {});
  read_levels(entry, "unit", spec, {});
  read_levels(entry, "adds", spec, {});
  read_levels(entry, "numbered_by", spec, {"column", "row"});
  for (const auto& item : entry.list("functions")) one_of(item, item.as_text(), {"silu", "gelu", "sigmoid", "tanh", "relu"}, "function");
  for (const auto& item : entry.list("factors")) item.as_integer();
  one_of(entry, entry.text("source", "accumulators"), {"accumulators", "activated"}, "source");
  entry.integer("chosen_by", 0);
  entry.integer("product", 2);
  entry.boolean("broadcast", false);
  return meaning;
}

void read_usual(const Params& usual) {
  usual.text("organization", "");
  usual.text("timing", "");
  if (const auto sizes = usual.optional_child("sizes")) {
    for (const auto& name : sizes->keys()) within(*sizes, name, 1, 1);
  }
}

}  // namespace

UnitSection read_unit_section(const Params& unit, const std::vector<std::string>& operations, const Spec& spec) {
  UnitSection section;
  const std::int64_t access_bytes = within(unit, "access_bytes", 32, kElementBytes);
  if (const auto buffers = unit.optional_child("buffers")) {
    for (const auto& name : buffers->keys()) {
      const std::int64_t bytes = within(*buffers, name, 1, 1);
      if (bytes < access_bytes) buffers->child(name).fail(std::to_string(bytes) + " bytes do not hold one access of " + std::to_string(access_bytes));
      section.accesses[name] = bytes / access_bytes;
    }
  }
  for (const char* key : {"lanes", "accumulators"}) within(unit, key, 1, 1);
  if (unit.has("operand_rows")) within(unit, "operand_rows", 1, 1);
  const std::int64_t bytes = unit.integer("accumulator_bytes", 2);
  if (bytes != 2 && bytes != 4) unit.child("accumulator_bytes").fail("2 or 4 is expected");
  unit.boolean("walks", false);
  section.counts_columns = unit.boolean("counts_columns", false);
  if (const auto usual = unit.optional_child("usual")) read_usual(*usual);
  if (const auto meanings = unit.optional_child("operations")) {
    std::vector<std::string> buffers;
    for (const auto& [name, accesses] : section.accesses) buffers.push_back(name);
    for (const auto& name : meanings->keys()) {
      one_of(meanings->child(name), name, operations, "instruction");
      section.meanings[name] = read_meaning(meanings->child(name), buffers, spec);
    }
  }
  unit.optional_child("microcode");  // has a reader of its own
  const std::string of_microcode = unit.path().empty() ? "microcode." : unit.path() + ".microcode.";
  for (const auto& value : unit.unread()) {
    if (!value.path().starts_with(of_microcode)) value.fail("key '" + printable(value.key()) + "' is unknown in a unit" + did_you_mean(value.key(), value.asked_beside()));
  }
  return section;
}

}  // namespace moeram
