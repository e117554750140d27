# Bugs of the lane that its tests have to see.
if(NOT MUSTER_SANITIZE) # whose builds stop at too few points to be sure
  foreach(bug PUBLISH_FIRST LOOK_FIRST START_UNSEEN NO_BELL PACK_FIRST BRIEF_FIRST)
    add_bug_test(BUG_LANE_${bug} stress/test_lane_steps.c
                 ${PROJECT_SOURCE_DIR}/src/sync/lane.c
                 ${PROJECT_SOURCE_DIR}/src/sync/lane_worker.c)
  endforeach()
endif()
