#include "bind.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The compiled core of moeram. Private: use moeram.hardware.cycle and moeram.check.";
  module.attr("__version__") = MOERAM_VERSION;
  moeram::bind::bind_errors(module);
  moeram::bind::bind_devices(module);
  moeram::bind::bind_device_probe(module);
  moeram::bind::bind_near_memory(module);
  moeram::bind::bind_attention(module);
  moeram::bind::bind_pricing(module);
  moeram::bind::bind_streams(module);
  moeram::bind::bind_queued(module);
  moeram::bind::bind_ramulator(module);
}
