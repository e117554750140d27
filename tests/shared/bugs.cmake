# Bugs of src/shared that its tests have to see.
set(shared ${PROJECT_SOURCE_DIR}/src/shared)
if(NOT MUSTER_SANITIZE) # whose builds stop and kill at too few points to be sure
  add_bug_test(BUG_HEAP_FRONT_FIRST shared/test_arena.c ${shared}/heap.c)
  add_bug_test(BUG_MUTEX_LOAD_STORE shared/test_lock_steps.c ${shared}/mutex.c)
  add_bug_test(BUG_RWLOCK_SEATS_UNSAID shared/test_lock_steps.c ${shared}/rwlock.c)
endif()
add_bug_test(BUG_MUTEX_NO_TAKE_OVER shared/test_lock_kill.c ${shared}/mutex.c)
if(MUSTER_SANITIZE STREQUAL "thread")
  # the hardware of x86 hides it: only the thread sanitizer sees it
  add_bug_test(BUG_MUTEX_RELAXED shared/test_lock.c ${shared}/mutex.c)
endif()
