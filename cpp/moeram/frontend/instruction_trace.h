// Instructions that a DMA engine expands into requests: a standard's section `instructions` says what each means, a trace names them.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/dram/spec.h"
#include "moeram/frontend/unit_section.h"
#include "moeram/pim/microcode.h"
#include "moeram/pim/program_modes.h"

namespace moeram {

struct InstructionSet {
  enum class Field : std::uint8_t { general, opsize, mask, channel, bank, row, column, register_number, data, text, entry, vectors };
  enum class Reaches : std::uint8_t { nothing, read, write, program, control };  // of units that run microcode
  struct Operation {
    std::string words;        // "AiM MAC_ABK"
    std::string statistic;
    std::vector<Field> fields;
    int request = -1;         // -1: takes a cycle of the engine and sends nothing
    std::int32_t column = 0;  // of its first request, if no field names it; with an opsize they count from there
    std::int32_t bank = -1;   // if no field names it
    std::int64_t row = -1;
    std::vector<std::int64_t> banks;  // that it may name; empty: all
    std::vector<int> modes;           // in which it may stand; empty: in all
    Reaches reaches = Reaches::nothing;
    bool closes = false;      // it closes the row that it names
    bool opens = false;       // it opens rows and does nothing else
    std::uint32_t span = 0;   // levels whose banks take part together; the bank that it names is the first of them
    bool waits = false;       // the engine goes on when all its requests have completed
    bool all_channels = false, one_channel = false;
    std::int64_t row_base = -1;  // with row_register: the row is the base plus that register
    int row_register = -1;
    std::int64_t most = 0;    // requests a channel; 0: unlimited
    std::int64_t most_vectors = 0;  // that its units multiply at once
    bool names(Field field) const { return std::find(fields.begin(), fields.end(), field) != fields.end(); }
  };
  std::vector<Operation> operations;
  std::string optional_prefix;     // of the second word
  std::string end;                 // words of the instruction that a trace ends with
  std::int64_t queue = 0;          // instructions that wait for the engine at most
  std::vector<std::int64_t> registers;
  bool mask_from_top = false;
  bool checks_sizes = false;
  bool counts_columns = false;     // instructions say how many columns; those of a row go on where the last ended, until it is opened again
  std::int64_t general_registers = 0;
  int channels = 0, banks = 0, bank_level = 0;
  std::int64_t rows = 0;
  int columns = 0;  // accesses of a row
  std::optional<ModeRules> modes;       // of a channel, as its program goes
  int running = -1;                     // the mode in which column commands run microcode
  std::optional<MicroRules> microcode;
  std::vector<std::string> cycle_names;  // [request kind] of its cycle statistic; empty: none
  std::vector<int> bank_counts;          // [level] down to the bank
};

// Throws ConfigError. `unit`: that section, for the sizes of buffers; may be absent.
InstructionSet read_instruction_set(const Params& instructions, const std::optional<Params>& unit, const Spec& spec);

struct Instruction {
  std::int32_t operation = 0;
  std::int32_t line = 0;
  std::int32_t opsize = 1;
  std::uint32_t mask = 0;      // channels, bit i = channel i
  std::int32_t bank = -1;      // flat in the channel
  std::int64_t row = -1;
  std::int32_t column = 0;     // of its first request
  std::int32_t text = -1;      // position in the trace's texts
  std::int64_t register_number = -1;
  std::int64_t data = 0;
};

struct InstructionTrace {
  std::string path;
  std::vector<Instruction> instructions;
  std::vector<std::string> texts;
  const std::string& text_of(const Instruction& instruction) const {
    static const std::string nothing;
    return instruction.text < 0 ? nothing : texts[static_cast<std::size_t>(instruction.text)];
  }
  // [channel] the lowest of the channels to which the same instructions go.
  std::vector<int> stand_ins(int channels) const;
};

// Throws TraceError naming file, line and rule; a trace that does not end with the set's end is refused, as is one that breaks the rules
// of modes and microcode.
InstructionTrace read_instruction_trace(const std::string& path, const InstructionSet& set, char delimiter);

}  // namespace moeram
