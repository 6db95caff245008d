#include "moeram/pricing/exchange.h"

#include <algorithm>

namespace moeram {

std::vector<double> even_exchanges(const EvenRoutes& routes, std::span<const double> received, double per_unit, double per_hop) {
  std::vector<double> times, load(2 * routes.links);
  times.reserve(2 * received.size() / routes.nodes);
  for (std::size_t first = 0; first < received.size(); first += routes.nodes) {
    std::ranges::fill(load, 0.0);
    double hops[2] = {0, 0};
    for (std::size_t node = 0; node < routes.nodes; ++node) {
      const double got = received[first + node];
      if (got == 0.0) continue;
      const double* share = routes.crossing.data() + node * load.size();
      for (std::size_t link = 0; link < load.size(); ++link) load[link] += got * share[link];
      for (std::size_t way = 0; way < 2; ++way) hops[way] = std::max(hops[way], routes.farthest[way * routes.nodes + node]);
    }
    for (std::size_t way = 0; way < 2; ++way) {
      double busiest = 0;
      for (std::size_t link = 0; link < routes.links; ++link) busiest = std::max(busiest, load[way * routes.links + link]);
      times.push_back(per_unit * busiest + per_hop * hops[way]);
    }
  }
  return times;
}

}  // namespace moeram
