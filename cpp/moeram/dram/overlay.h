// One standard's file over another: how an extension and the absence of a fault are written.
#pragma once

#include "moeram/dram/standard.h"

namespace moeram {

// Maps are merged key by key. `constraints` are added; a `derived` step takes the place of all of its name; anything else replaces
// what was there. What was taken keeps its file and line in messages.
Params overlay(const Params& base, const Params& extension);

// `faults:` of a file maps a name to {says, without}: `without` is laid over the file where the fault is not wanted.
Params without_faults(const Params& file, const FaultChoice& choice);

}  // namespace moeram
