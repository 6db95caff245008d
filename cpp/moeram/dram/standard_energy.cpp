// The section `energy` of a standard's file: read, and resolved to pJ.
#include <algorithm>
#include <cmath>

#include "moeram/base/text.h"
#include "moeram/dram/standard_read.h"

namespace moeram {
namespace {

// {pj: "0.11 * row_bits", source: "..."} or with assumption: "..."
Standard::EnergyTerm read_term(const Params& entry, const char* figure) {
  Standard::EnergyTerm term;
  term.figure = entry.text(figure);
  term.where = entry.where();
  const bool source = entry.has("source");
  if (source == entry.has("assumption")) entry.fail("either 'source' or 'assumption' must say where the figure comes from");
  term.origin = source ? "source: " + entry.text("source") : "assumption: " + entry.text("assumption");
  if (term.origin.ends_with(": ")) entry.fail("the origin of the figure is empty");
  return term;
}

}  // namespace

void read_energy(const Params& energy, Standard& standard) {
  const Spec& spec = standard.skeleton;
  Standard::Energy out;
  out.scope = energy.text("scope");
  const std::vector<std::string> scopes = {"chip", "channel", "stack"};
  if (std::find(scopes.begin(), scopes.end(), out.scope) == scopes.end()) {
    energy.child("scope").fail("scope '" + out.scope + "' is unknown" + did_you_mean(out.scope, scopes));
  }
  if (const auto figures = energy.optional_child("figures")) {
    for (const auto& name : figures->keys()) out.figures[name] = figures->number(name);
  }
  out.background = read_term(energy.child("background"), "mw");
  const Params commands = energy.child("commands");
  out.commands.resize(spec.commands.size());
  for (const auto& name : commands.keys()) {
    const Params entry = commands.child(name);
    out.commands[static_cast<std::size_t>(find_command(spec, entry, name))] = read_term(entry, "pj");
  }
  for (std::size_t i = 0; i < spec.commands.size(); ++i) {
    if (out.commands[i].figure.empty()) commands.fail("the energy of command " + spec.commands[i].name + " is missing; 0 has to be written and explained");
  }
  standard.energy = out;
}

void resolve_energy(const Standard& standard, const std::function<double(const std::string&)>& value_of, Spec& spec) {
  if (!standard.energy) return;
  CommandEnergy energy;
  energy.scope = standard.energy->scope;
  energy.units_per_channel = energy.scope == "chip" ? static_cast<double>(spec.channel_width_bits) / spec.dq_bits : 1;
  const auto lookup = [&](const std::string& name) -> double {
    if (const auto found = standard.energy->figures.find(name); found != standard.energy->figures.end()) return found->second;
    if (name == "transaction_bits") return spec.transaction_bytes() * 8.0;
    if (name == "row_bits") return static_cast<double>(spec.row_bytes()) * 8.0;
    return value_of(name);
  };
  const auto price = [&](const Standard::EnergyTerm& term) -> CommandEnergy::Term {
    try {
      const double pj = evaluate(term.figure, {lookup, spec.tck_ps});
      if (!std::isfinite(pj) || pj < 0) throw ConfigError("'" + term.figure + "' is no energy");
      return {pj, term.origin};
    } catch (const ConfigError& error) {
      throw ConfigError(term.where + ": " + error.what());
    }
  };
  energy.background = price(standard.energy->background);
  for (const auto& term : standard.energy->commands) energy.commands.push_back(price(term));
  spec.energy = energy;
}

}  // namespace moeram
