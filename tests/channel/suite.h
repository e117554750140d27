/* suite.h: what every transport has to keep. A test program says which transport it is
 * and includes this; the same tests are stamped out for each, and again with each of the
 * wrappers around it.
 *
 *     #define SUITE_ADDRESS "pipe:"
 *     #define SUITE_CAPS    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD)
 *     static void suite_hostile(struct mu_chan *from, uint64_t *seed) ...
 *     #include "channel/suite.h"
 *
 * Instead of SUITE_ADDRESS, which is a pair, SUITE_NAME may say what one end opens and
 * the other connects to, with %d for the process, or SUITE_FREE_NAME, as it is.
 * SUITE_ONE_PROCESS: nobody from outside can send, so there is no suite_hostile().
 * SUITE_IS_THERE() says whether this build has the transport. The sanitizers' builds go
 * without the wrappers: they would see the same code four times. */
#ifndef TEST_CHANNEL_SUITE_H
#define TEST_CHANNEL_SUITE_H

#include "channel/suite_ends.h"
#include "channel/suite_lies.h"
#include "channel/suite_messages.h"
#include "channel/suite_run.h"
#include "channel/suite_waits.h"
#include "channel/suite_wraps.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_keep_order_and_bytes),
        cmocka_unit_test(messages_keep_their_boundaries),
        cmocka_unit_test(large_messages_go_through_a_small_ring),
        cmocka_unit_test(both_directions_at_once),
        cmocka_unit_test(full_says_so_and_loses_nothing),
        cmocka_unit_test(empty_keeps_the_deadline),
        cmocka_unit_test(deadline_inside_a_message_leaves_no_half),
        cmocka_unit_test(buffer_too_small_keeps_the_message),
        cmocka_unit_test(borrow_lends_one_at_a_time),
        cmocka_unit_test(message_of_nothing_is_one),
        cmocka_unit_test(connection_takes_none),
        cmocka_unit_test(reserve_fill_commit_arrives),
        cmocka_unit_test(batches_arrive_in_order),
        cmocka_unit_test(batch_ends_at_what_is_too_large),
        cmocka_unit_test(priorities_only_where_they_exist),
        cmocka_unit_test(close_delivers_and_then_says_so),
        cmocka_unit_test(goodbye_is_told_to_sender_and_receiver),
        cmocka_unit_test(goodbye_is_told_to_who_only_sends),
        cmocka_unit_test(close_wakes_a_waiting_receiver),
        cmocka_unit_test(free_without_goodbye_is_a_crash),
        cmocka_unit_test(process_echoes_every_message),
        cmocka_unit_test(forked_sender_goes_on),
        cmocka_unit_test(forked_receiver_goes_on),
        cmocka_unit_test(dead_sender_is_reported_after_its_messages),
        cmocka_unit_test(dead_receiver_is_reported_to_the_sender),
        cmocka_unit_test(killed_sender_leaves_whole_messages),
        cmocka_unit_test(sleepers_are_always_woken),
        cmocka_unit_test(senders_sleep_until_there_is_room),
        cmocka_unit_test(descriptor_is_readable_when_a_message_is_there),
        cmocka_unit_test(descriptor_is_readable_when_the_peer_is_gone),
        cmocka_unit_test(drain_waits_for_what_was_sent),
        cmocka_unit_test(too_large_for_the_receiver_ends_the_channel),
#ifndef SUITE_ONE_PROCESS
        cmocka_unit_test(hostile_bytes_are_survived),
#endif
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(trace_tells_of_each_call),
        cmocka_unit_test(lossy_loses_some_and_keeps_the_order),
        cmocka_unit_test(slow_is_slow),
    };
    int n_failed = 0;

#ifdef SUITE_IS_THERE
    if (!SUITE_IS_THERE())
        return 0;
#endif
    for (size_t i = 0; i < SUITE_N_WRAPS; i++) {
        char name[128];

        suite_wrap = suite_wraps[i];
        (void)snprintf(name, sizeof name, "%s over %s",
                       suite_wrap ? suite_wrap : "nothing", SUITE_ADDRESS);
        n_failed += cmocka_run_group_tests_name(name, tests, NULL, NULL);
    }
    return n_failed;
}

#endif
