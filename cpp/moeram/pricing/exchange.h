// Exchanges between nodes as the busiest link and the longest way.
#pragma once

#include <span>
#include <vector>

namespace moeram {

// crossing: [nodes, 2, links], the share of what a node gets from all alike that crosses each link, and of what it gives to all. farthest: [2, nodes], the
// most hops to a node and from it.
struct EvenRoutes {
  std::span<const double> crossing, farthest;
  std::size_t nodes, links;
};

// Returns the time there and back of each exchange [rows, 2]; received: [rows, nodes], what each node gets. A link takes per_unit for each unit.
std::vector<double> even_exchanges(const EvenRoutes& routes, std::span<const double> received, double per_unit, double per_hop);

}  // namespace moeram
