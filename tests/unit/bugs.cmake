# Bugs of src/sys that its tests have to see.
if(MUSTER_SANITIZE STREQUAL "thread")
  # the hardware of x86 hides it: only the thread sanitizer sees it
  add_bug_test(BUG_MODULE_RELAXED unit/test_module.c
               ${PROJECT_SOURCE_DIR}/src/sys/module.c)
endif()
