// How a queue-list controller behaves, as data: its queues in order of service, fences, completion and faults.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "moeram/base/params.h"
#include "moeram/controller/sharing/sharing_policy.h"
#include "moeram/dram/spec.h"

namespace moeram {

struct QueueRules {
  enum class Takes : std::uint8_t { requests, opened_rows, refreshes };
  enum class Chooser : std::uint8_t { first_ready, head };
  enum class Turn : std::uint8_t { always, when_reading, when_writing };
  struct Queue {
    std::string name;
    Takes takes = Takes::requests;
    Chooser chooser = Chooser::first_ready;
    Turn turn = Turn::always;
    int capacity = 32;            // one more is let in, as in Ramulator 2.0
    bool blocks = false;          // while it holds anything, no later queue is served
    bool keeps = false;           // a request stays here after its row was opened
    std::vector<int> refused_while;  // queues: nothing enters while they hold anything
  };
  std::vector<Queue> queues;
  std::vector<int> queue_of_kind;   // [request kind] -1: no queue takes it
  int opened = -1, refreshes = -1;  // positions of the queues with these parts
  int reading = -1, writing = -1;   // the queues that take turns
  std::vector<std::optional<Side>> side;  // [queue] whose requests it takes; none: refreshes, or both sides'

  std::vector<char> fence;          // [request kind] nothing but row commands passes it
  std::vector<char> marker;         // [request kind] completes without a command, when all that was written before is done
  std::vector<char> replies;        // [request kind] its completion is reported, in order of issue
  std::vector<Cycle> latency;       // [command] from the issue of a final command to its completion
  int mode_command = -1;            // switches the mode of a channel; -1: there is none
  std::vector<char> in_mode;        // [command] final commands that need the mode
  std::vector<char> hits;           // [command] asks for a row hit when it is due
  double low_mark = 0.2, high_mark = 0.8;

  // Faults and their like.
  bool forwards_any_write = false;         // a read is answered at once while any write waits
  bool guard_ignores_spans = false;        // the closing guard compares bank numbers only, and lets an opened request guard against itself
  bool bus_passes_waiting_refresh = false; // other commands of the second bus flow while a refresh waits for the first
  bool keeps_by_last_choice = false;       // whether an opened request moves is decided by the last choice from another queue
  bool marks_number_in_group = false;      // open banks are counted by their number inside their group
};

// Why ordinary and computing requests cannot be arbitrated by a sharing policy here; empty: they can.
std::string why_not_shared(const QueueRules& rules);

// `section`: the key `controller` of the standard's file. Throws ConfigError.
QueueRules read_queue_rules(const Params& section, const Spec& spec);

}  // namespace moeram
