# Compiles a project through coffer without touching its CMakeLists.txt:
#
#	cmake -DCMAKE_TOOLCHAIN_FILE=<libdir>/cmake/Coffer/coffer-toolchain.cmake ...
#
# A toolchain file of your own goes behind it: -DCOFFER_CHAINLOAD_TOOLCHAIN_FILE=<file>. The probes of the configure step
# are compiles too and come from the cache the second time.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES COFFER_CHAINLOAD_TOOLCHAIN_FILE)
if(COFFER_CHAINLOAD_TOOLCHAIN_FILE)
  include("${COFFER_CHAINLOAD_TOOLCHAIN_FILE}")
endif()

find_program(Coffer_PROGRAM coffer HINTS "${CMAKE_CURRENT_LIST_DIR}/../../../bin" "${CMAKE_CURRENT_LIST_DIR}/../../../../bin"
             NO_CMAKE_FIND_ROOT_PATH DOC "The coffer launcher")
mark_as_advanced(Coffer_PROGRAM)
if(Coffer_PROGRAM)
  foreach(coffer_lang C CXX)
    if(NOT CMAKE_${coffer_lang}_COMPILER_LAUNCHER)
      set(CMAKE_${coffer_lang}_COMPILER_LAUNCHER "${Coffer_PROGRAM}")
    endif()
  endforeach()
  unset(coffer_lang)
else()
  message(WARNING "the program 'coffer' was not found; compiling without it")
endif()
