#[[
Coffer: compile a CMake project through coffer.

	find_package(Coffer)
	if(Coffer_FOUND)
	  coffer_enable()
	endif()

Call it before the targets are made: it sets variables that targets take over when they are made.

	coffer_enable([LANGUAGES <lang>...]   which languages, C and CXX if not given
	              [GATE_LINKS]            links go through coffer as well, so that its gate counts them
	              [LINK_JOBS <n>])        Ninja: at most so many links at once, the processors if not given, 0 for no limit

A compiler launcher that the user has chosen already (-DCMAKE_C_COMPILER_LAUNCHER=...) stays. Precompiled headers and unity
builds need nothing special: what coffer does not cache it runs untouched.

With the Ninja generator links get a job pool of their own, so that `ninja -j500` does not link everything at once. Under
`coffer ninja` that changes nothing: there every local command is counted. A pool does not make ninja build anything anew.
]]

include_guard(GLOBAL)

find_program(Coffer_PROGRAM coffer HINTS "${CMAKE_CURRENT_LIST_DIR}/../../../bin" "${CMAKE_CURRENT_LIST_DIR}/../../../../bin"
             DOC "The coffer launcher")
mark_as_advanced(Coffer_PROGRAM)

function(coffer_enable)
  cmake_parse_arguments(PARSE_ARGV 0 arg "GATE_LINKS" "LINK_JOBS" "LANGUAGES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "coffer_enable: unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT Coffer_PROGRAM)
    message(WARNING "coffer_enable: the program 'coffer' was not found; compiling without it")
    return()
  endif()
  if(NOT arg_LANGUAGES)
    set(arg_LANGUAGES C CXX)
  endif()

  foreach(lang IN LISTS arg_LANGUAGES)
    if(NOT CMAKE_${lang}_COMPILER_LAUNCHER)
      set(CMAKE_${lang}_COMPILER_LAUNCHER "${Coffer_PROGRAM}" PARENT_SCOPE)
    endif()
    # CMake 3.21 and later; older ones do not look at it.
    if(arg_GATE_LINKS AND NOT CMAKE_${lang}_LINKER_LAUNCHER)
      set(CMAKE_${lang}_LINKER_LAUNCHER "${Coffer_PROGRAM}" PARENT_SCOPE)
    endif()
  endforeach()

  if(CMAKE_GENERATOR MATCHES "^Ninja" AND NOT CMAKE_JOB_POOL_LINK)
    if(NOT DEFINED arg_LINK_JOBS)
      cmake_host_system_information(RESULT arg_LINK_JOBS QUERY NUMBER_OF_LOGICAL_CORES)
    endif()
    if(arg_LINK_JOBS GREATER 0)
      get_property(pools GLOBAL PROPERTY JOB_POOLS)
      if(NOT pools MATCHES "(^|;)coffer_links=")
        set_property(GLOBAL APPEND PROPERTY JOB_POOLS "coffer_links=${arg_LINK_JOBS}")
      endif()
      set(CMAKE_JOB_POOL_LINK coffer_links PARENT_SCOPE)
    endif()
  endif()
endfunction()
