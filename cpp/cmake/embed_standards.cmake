# Compile the shipped standards into the library: no file is looked up at run time.
file(GLOB MOERAM_STANDARD_FILES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/configs/standards/*.yaml)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${MOERAM_STANDARD_FILES})
set(entries "")
foreach(path IN LISTS MOERAM_STANDARD_FILES)
  get_filename_component(name "${path}" NAME)
  string(REGEX REPLACE "\\.yaml$" "" name "${name}")
  file(READ "${path}" text)
  # A raw string literal may hold 64 KB; longer files are cut into pieces that the compiler joins again.
  set(literal "")
  string(LENGTH "${text}" length)
  set(at 0)
  while(at LESS length)
    string(SUBSTRING "${text}" ${at} 8000 piece)
    string(APPEND literal "R\"moeram(${piece})moeram\"\n")
    math(EXPR at "${at} + 8000")
  endwhile()
  string(APPEND entries "      {\"${name}\", ${literal}},\n")
endforeach()
set(MOERAM_EMBEDDED_STANDARDS ${CMAKE_CURRENT_BINARY_DIR}/embedded_standards.cpp)
file(CONFIGURE OUTPUT ${MOERAM_EMBEDDED_STANDARDS} @ONLY CONTENT [=[
#include <string>
#include <utility>
#include <vector>

namespace moeram {

const std::vector<std::pair<std::string, std::string>>& compiled_in_standards() {
  static const std::vector<std::pair<std::string, std::string>> standards = {
@entries@  };
  return standards;
}

}  // namespace moeram
]=])
