# Pack the shipped standards into the library: no file is looked up and none is parsed at run time. A small program, made of
# the library's own reader, does it while the library is built, so that a mistake in a file is found then.
file(GLOB MOERAM_STANDARD_FILES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/configs/standards/*.yaml)
add_executable(moeram-pack-standards cpp/tools/pack_standards.cpp cpp/moeram/base/errors.cpp cpp/moeram/base/text.cpp
               cpp/moeram/base/yaml_file.cpp cpp/moeram/base/yaml_tree.cpp)
target_include_directories(moeram-pack-standards PRIVATE cpp)
target_link_libraries(moeram-pack-standards PRIVATE ${MOERAM_YAML_CPP})
set(MOERAM_PACKED_STANDARDS ${CMAKE_CURRENT_BINARY_DIR}/packed_standards.cpp)
add_custom_command(OUTPUT ${MOERAM_PACKED_STANDARDS} VERBATIM COMMENT "Packing the DRAM standards"
                   COMMAND moeram-pack-standards ${MOERAM_PACKED_STANDARDS} ${MOERAM_STANDARD_FILES}
                   DEPENDS moeram-pack-standards ${MOERAM_STANDARD_FILES})
