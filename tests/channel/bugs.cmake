# Bugs of the channels that their tests have to see.
set(channel ${PROJECT_SOURCE_DIR}/src/channel)
if(MUSTER_SANITIZE STREQUAL "thread")
  # the hardware of x86 hides these: only the thread sanitizer sees them
  add_bug_test(BUG_RING_RELAXED channel/test_ring.c)
  add_bug_test(BUG_RING_ROOM_RELAXED channel/test_ring.c)
  add_bug_test(BUG_MEM_RELAXED channel/test_mem.c ${channel}/mem.c)
elseif(NOT MUSTER_SANITIZE)
  # windows too small for a sanitizer's pace, or for the few kills of its builds
  add_bug_test(BUG_RING_NO_END channel/test_ring.c)
  add_bug_test(BUG_SHM_PUBLISH_FIRST channel/test_ring_kill.c
               ${channel}/shm_end.c)
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64) # alone copies past its caches
    add_bug_test(BUG_COPY_NO_FENCE channel/test_far_kill.c
                 ${PROJECT_SOURCE_DIR}/src/sys/copy.c)
  endif()
  add_bug_test(BUG_SHM_NO_SECOND_LOOK channel/test_shm_steps.c ${channel}/shm_end.c)
endif()
