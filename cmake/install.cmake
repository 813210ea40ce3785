# What `make install` puts below its prefix: the program, the library with its header and pkg-config file, the manual pages.
include(GNUInstallDirs)

# The shared library shows the symbols of calque.h and no others.
file(WRITE ${CMAKE_BINARY_DIR}/calque.map "{ global: calque_*; local: *; };\n")
set_target_properties(calque_lib PROPERTIES POSITION_INDEPENDENT_CODE ON)
file(WRITE ${CMAKE_BINARY_DIR}/shared.c "extern int calque_shared;\n") # all of it comes from calque_lib
add_library(calque_shared SHARED ${CMAKE_BINARY_DIR}/shared.c)
set_target_properties(calque_shared PROPERTIES OUTPUT_NAME calque VERSION ${PROJECT_VERSION} SOVERSION 0)
if(APPLE)
  target_link_libraries(calque_shared PRIVATE -Wl,-force_load calque_lib)
else()
  target_link_libraries(calque_shared PRIVATE -Wl,--whole-archive calque_lib -Wl,--no-whole-archive
    -Wl,--version-script=${CMAKE_BINARY_DIR}/calque.map)
endif()

file(WRITE ${CMAKE_BINARY_DIR}/calque.pc "prefix=\${pcfiledir}/../..
Name: calque
Description: compares, locates faults in and repairs converted models
Version: ${PROJECT_VERSION}
Cflags: -I\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}
Libs: -L\${prefix}/${CMAKE_INSTALL_LIBDIR} -lcalque
")

# Manual pages are made from the tables of verbs and options.
set(MANUAL_PAGES ${CMAKE_BINARY_DIR}/man/calque.1)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/man/calque.1
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
  COMMAND calque help --man -o ${CMAKE_BINARY_DIR}/man/calque.1 DEPENDS calque VERBATIM)
foreach(verb inspect run compare locate repair explain)
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/man/calque-${verb}.1
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
    COMMAND calque help ${verb} --man -o ${CMAKE_BINARY_DIR}/man/calque-${verb}.1 DEPENDS calque VERBATIM)
  list(APPEND MANUAL_PAGES ${CMAKE_BINARY_DIR}/man/calque-${verb}.1)
endforeach()
add_custom_target(manual ALL DEPENDS ${MANUAL_PAGES})

install(TARGETS calque RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS calque_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/calque.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_BINARY_DIR}/calque.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${MANUAL_PAGES} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
