# The extension moeram._core and the program; both find the yaml-cpp in the package without any environment variable.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG REQUIRED)
pybind11_add_module(_core cpp/bind/module.cpp cpp/bind/bind_attention.cpp cpp/bind/bind_errors.cpp cpp/bind/bind_devices.cpp cpp/bind/bind_device_probe.cpp
                    cpp/bind/bind_near_memory.cpp cpp/bind/bind_pricing.cpp cpp/bind/bind_queued.cpp cpp/bind/bind_ramulator.cpp cpp/bind/bind_streams.cpp)
target_compile_definitions(_core PRIVATE MOERAM_VERSION="${PROJECT_VERSION}")
target_link_libraries(_core PRIVATE moeram_engine)

set(site "lib/python${Python_VERSION_MAJOR}.${Python_VERSION_MINOR}/site-packages/moeram")
set_target_properties(_core PROPERTIES INSTALL_RPATH "$ORIGIN/lib")
# bin/ beside lib/ in an environment, bin/ beside the package with pip's --target.
set_target_properties(moeram-sim PROPERTIES INSTALL_RPATH "$ORIGIN/../${site}/lib;$ORIGIN/../moeram/lib")
install(TARGETS _core LIBRARY DESTINATION moeram)
install(TARGETS moeram-sim DESTINATION ${SKBUILD_SCRIPTS_DIR})
install(DIRECTORY configs DESTINATION moeram)
