// Does every complaint about a YAML file name file, line and key?
#include "check.h"
#include "moeram/base/errors.h"
#include "moeram/base/params.h"
#include "moeram/base/yaml_file.h"
#include "moeram/dram/compiled_in.h"
#include "support.h"

using namespace moeram;

namespace {

Params parse(const std::string& text) { return Params::from_text(text, "x.yaml"); }

bool same(const YamlNode& a, const YamlNode& b) {
  if (a.kind != b.kind || a.line != b.line || a.text != b.text || a.keys != b.keys || a.items.size() != b.items.size()) return false;
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!same(*a.items[i], *b.items[i])) return false;
  }
  return true;
}

const char* kNested = "a: 1\nb:\n  c: two\n  d: [1, x]\ne: yes\n";

}  // namespace

TEST(params, "Are values converted and defaults used?") {
  const Params p = parse(kNested);
  CHECK_EQUAL(p.integer("a"), 1);
  CHECK_EQUAL(p.child("b").text("c"), "two");
  CHECK_EQUAL(p.child("b").list("d").at(0).as_integer(), 1);
  CHECK(p.boolean("e"));
  CHECK_EQUAL(p.integer("z", 5), 5);
  CHECK(p.list("z").empty());
}

TEST(params, "Does a wrong value name file, line and key?") {
  const Params p = parse(kNested);
  CHECK_THROWS(p.child("b").integer("c"), ConfigError, "x.yaml:3: b.c: 'two' is not a whole number");
  CHECK_THROWS(p.child("b").list("d").at(1).as_number(), ConfigError, "x.yaml:4: b.d[1]: 'x' is not a number");
  CHECK_THROWS(p.boolean("a"), ConfigError, "x.yaml:1: a: '1' is not true or false");
  CHECK_THROWS(p.text("b"), ConfigError, "a single value is expected");
  CHECK_THROWS(p.child("b").child("q"), ConfigError, "b: key 'q' is missing");
  CHECK_THROWS(p.child("a").as_list(), ConfigError, "x.yaml:1: a: a list is expected");
}

TEST(params, "Is a file that is no plain tree of maps refused?") {
  CHECK_THROWS(Params::from_file("/nowhere/at all.yaml"), ConfigError, "/nowhere/at all.yaml: no such file");
  CHECK_THROWS(parse("a: [1\nb: 2\n"), ConfigError, "x.yaml:");
  CHECK_THROWS(parse("a: 1\nb: 2\na: 3\n"), ConfigError, "x.yaml:3: key 'a' stands twice");
  CHECK_THROWS(parse("- 1\n"), ConfigError, "a map of keys is expected");
  CHECK_THROWS(parse(""), ConfigError, "found nothing");
  CHECK_THROWS(parse("{a: 1}: 2\n"), ConfigError, "x.yaml:1: a key must be a plain word");
  CHECK_THROWS(parse(std::string(200, '[') + std::string(200, ']')), ConfigError, "deeper than 64");
}

TEST(params, "Is what nobody read reported, and only that?") {
  const Params p = parse(kNested);
  p.integer("a");
  p.child("b").text("c");
  const auto unread = p.unread();
  CHECK_EQUAL(unread.size(), 2u);
  CHECK_EQUAL(unread[0].path(), "b.d");
  CHECK_EQUAL(unread[1].where(), "x.yaml:5: e");
  CHECK_EQUAL(unread[0].asked_beside().at(0), "c");
}

TEST(params, "Do overrides make maps, append to lists and refuse bad places?") {
  Params p = parse(kNested);
  p.override_value("b.c", "three");
  p.override_value("new.deep", "4");
  p.override_value("b.d[2]", "9");
  CHECK_EQUAL(p.child("b").text("c"), "three");
  CHECK_EQUAL(p.child("new").integer("deep"), 4);
  CHECK_EQUAL(p.child("b").list("d").at(2).as_integer(), 9);
  CHECK_THROWS(p.override_value("b.d[7]", "1"), ConfigError, "index from 0 to 3");
  CHECK_THROWS(p.override_value("a.x", "1"), ConfigError, "-p a.x=1: 'x' cannot be set here");
}

TEST(params, "Do the standards in the library hold every value and line of their files?") {
  CHECK(compiled_in_standards().size() > 20);
  for (const auto& standard : compiled_in_standards()) {
    const std::string file = std::string(MOERAM_STANDARDS) + "/" + std::string(standard.name) + ".yaml";
    const YamlTree read = load_yaml(read_text(file), file, false);
    CHECK(same(*unpack(standard.packed), *read));
    CHECK(read->items.size() > 5);
  }
}

TEST(params, "Does packing keep long texts, empty ones and nothing apart?") {
  const YamlTree tree = load_yaml("a: " + std::string(300, 'x') + "\n\nb: ''\nc:\nd: []\ne: {}\nf: [[1, {g: \"\\xff\\x01\"}]]\n", "x.yaml", false);
  CHECK(same(*unpack(pack(tree)), *tree));
  CHECK_EQUAL(tree->find("b")->line, 3);
  CHECK(tree->find("c")->is(YamlNode::Kind::null));
}

TEST(params, "Is a value set through one name of an aliased map seen through the other, as in Ramulator 2.0?") {
  Params p = parse("a: &map {b: 1}\nc: *map\n");
  p.override_value("c.b", "2");
  CHECK_EQUAL(p.child("a").integer("b"), 2);
}
