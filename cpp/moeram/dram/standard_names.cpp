// The one table of names: what people call a standard, and the file that is meant.
#include <algorithm>
#include <string>

namespace moeram {
namespace {

// Other names that people use: Ramulator 2.1 calls HBM HBM1; an HBM3E stack is a preset of the corrected HBM3.
struct OtherName {
  const char* other;
  const char* shipped;
  const char* edition;  // that the name alone means, "" for none
};
constexpr OtherName kOtherNames[] = {{"HBM1", "HBM", ""}, {"HBM3E", "HBM3", "2.1"}};

}  // namespace

// "HBM1@2.1" -> "HBM@2.1", "DDR5_RFM" -> "DDR5-RFM"
std::string shipped_name(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  const std::size_t at = name.find('@');
  const std::string base = name.substr(0, at);
  const std::string edition = at == std::string::npos ? "" : name.substr(at + 1);
  for (const auto& entry : kOtherNames) {
    if (base != entry.other) continue;
    const std::string meant = edition.empty() ? entry.edition : edition;
    return entry.shipped + (meant.empty() ? "" : "@" + meant);
  }
  return name;
}


}  // namespace moeram
