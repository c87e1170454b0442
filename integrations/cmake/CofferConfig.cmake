# find_package(Coffer): gives coffer_enable() (see Coffer.cmake) and Coffer_PROGRAM.
include("${CMAKE_CURRENT_LIST_DIR}/Coffer.cmake")
if(NOT Coffer_PROGRAM)
  set(Coffer_FOUND FALSE)
  set(Coffer_NOT_FOUND_MESSAGE "the program 'coffer' was not found")
endif()
