# What `make install` installs. Every file finds the others from where it lies, so
# that the prefix is chosen at install time.
include(CMakePackageConfigHelpers)
install(TARGETS muster EXPORT muster
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/muster DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The command, its pages and its completions.
if(TARGET muster-cli)
  file(RELATIVE_PATH to_library /prefix/${CMAKE_INSTALL_BINDIR}
       /prefix/${CMAKE_INSTALL_LIBDIR})
  set_target_properties(muster-cli PROPERTIES INSTALL_RPATH "$ORIGIN/${to_library}")
  install(TARGETS muster-cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES completions/bash/muster DESTINATION
          ${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions)
  install(FILES completions/fish/muster.fish DESTINATION
          ${CMAKE_INSTALL_DATAROOTDIR}/fish/vendor_completions.d)
  # Debian's zsh looks into vendor-completions below /usr, elsewhere as all do
  install(CODE "set(zsh_folder site-functions)
    if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr\")
      set(zsh_folder vendor-completions)
    endif()")
  install(FILES completions/zsh/_muster DESTINATION
          "${CMAKE_INSTALL_DATAROOTDIR}/zsh/\${zsh_folder}")
endif()
foreach(section 1 7)
  file(GLOB pages CONFIGURE_DEPENDS man/*.${section})
  install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

# Section 3 is made from the comments in the public headers: a page a header, and
# a link to it for each function.
file(GLOB public_headers CONFIGURE_DEPENDS include/muster/*.h)
set(man3 ${CMAKE_CURRENT_BINARY_DIR}/man3)
add_custom_command(
    OUTPUT ${man3}/stamp
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${man3}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${man3}
    COMMAND awk -v out=${man3} -f ${CMAKE_CURRENT_SOURCE_DIR}/tools/man3.awk
            ${public_headers}
    COMMAND ${CMAKE_COMMAND} -E touch ${man3}/stamp
    DEPENDS ${public_headers} tools/man3.awk
    COMMENT "man pages from the public headers")
add_custom_target(man3 ALL DEPENDS ${man3}/stamp)
install(DIRECTORY ${man3} DESTINATION ${CMAKE_INSTALL_MANDIR}
        FILES_MATCHING PATTERN "*.3")

# pkg-config and CMake.
file(RELATIVE_PATH to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" to_prefix ${to_prefix})
configure_file(cmake/muster.pc.in muster.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/muster.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/muster)
install(EXPORT muster FILE musterTargets.cmake NAMESPACE muster::
        DESTINATION ${package})
configure_package_config_file(cmake/musterConfig.cmake.in musterConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(musterConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/musterConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/musterConfigVersion.cmake
        DESTINATION ${package})
