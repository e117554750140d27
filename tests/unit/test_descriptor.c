/* test_descriptor.c: files that a process keeps open where anybody may close them. */
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "support/check.h"
#include "sys/descriptor.h"

static const char path[] = "/proc/self/statm";

/* Those who close what is not theirs begin at 3. */
static void kept_files_are_high(void **state)
{
    const int first = open(path, O_RDONLY | O_CLOEXEC);
    const int high = mui_descriptor_high(first);

    (void)state;
    assert_in_range(high, 100, 1000);
    assert_int_equal(fcntl(first, F_GETFD), -1);
    assert_int_equal(fcntl(high, F_GETFD), FD_CLOEXEC);
    assert_int_equal(close(high), 0);
    assert_int_equal(mui_descriptor_high(-ENOENT), -ENOENT);
}

static void open_where_few_may_be(void *unused)
{
    const struct rlimit few = {.rlim_cur = 40, .rlim_max = 40};
    struct mui_kept_file file;
    char text[100];

    (void)unused;
    CHECK_CHILD(setrlimit(RLIMIT_NOFILE, &few) == 0);
    file = mui_kept_file_open(path);
    CHECK_CHILD(file.fd >= 20 && file.fd < 40);
    CHECK_CHILD(mui_kept_file_read(&file, text, sizeof text) > 0);
}

static void low_limit_is_no_harm(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(open_where_few_may_be, NULL)), 0);
}

static void kept_file_is_read_anew(void **state)
{
    const struct mui_kept_file file = mui_kept_file_open(path);
    char text[200];
    char cut[8];

    (void)state;
    assert_true(file.fd >= 0);
    for (int i = 0; i < 2; i++) {
        assert_true(mui_kept_file_read(&file, text, sizeof text) > 10);
        assert_non_null(strchr(text, '\n'));
        assert_int_equal(strspn(text, "0123456789 \n"), strlen(text));
    }
    assert_int_equal(mui_kept_file_read(&file, cut, sizeof cut), 7);
    assert_int_equal(strlen(cut), 7);
    (void)close(file.fd);
}

/* Nor is what has its number now, or none. */
static void lost_file_is_not_believed(void **state)
{
    struct mui_kept_file file = mui_kept_file_open(path);
    int other = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    char text[200];

    (void)state;
    assert_int_equal(dup2(other, file.fd), file.fd);
    assert_int_equal(mui_kept_file_read(&file, text, sizeof text), -1);
    assert_string_equal(text, "");
    (void)close(file.fd);
    errno = EDOM;
    assert_int_equal(mui_kept_file_read(&file, text, sizeof text), -1);
    assert_int_equal(errno, EDOM);
    (void)close(other);
    file = mui_kept_file_open("/nowhere/at/all");
    assert_int_equal(mui_kept_file_read(&file, text, sizeof text), -1);
}

struct input {
    int ends[2];
    bool is_refused; /* who runs this may not have another root directory */
};

static void read_without_devices(void *arg)
{
    struct input *input = arg;
    char byte;

    if (chroot("/sys") < 0 &&
        (unshare(CLONE_NEWUSER) < 0 || chroot("/sys") < 0)) {
        input->is_refused = true;
        return;
    }
    CHECK_CHILD(open("/dev/null", O_RDONLY) < 0 && errno == ENOENT);
    CHECK_CHILD(dup2(input->ends[0], STDIN_FILENO) == STDIN_FILENO);
    mui_descriptors_detach_input();
    CHECK_CHILD(read(STDIN_FILENO, &byte, 1) == 0);
    (void)close(STDIN_FILENO);
    (void)close(STDOUT_FILENO);
    mui_descriptors_detach_input();
    CHECK_CHILD(read(STDIN_FILENO, &byte, 1) == 0);
    CHECK_CHILD(fcntl(STDOUT_FILENO, F_GETFD) == 0);
}

static void input_is_detached_without_null_device(void **state)
{
    struct input *input = test_shared(sizeof *input);
    bool is_refused;
    char byte = 0;

    (void)state;
    assert_int_equal(pipe(input->ends), 0);
    assert_int_equal(write(input->ends[1], "x", 1), 1);
    assert_int_equal(test_wait(test_fork(read_without_devices, input)), 0);
    assert_int_equal(read(input->ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    (void)close(input->ends[0]);
    (void)close(input->ends[1]);
    is_refused = input->is_refused;
    (void)munmap(input, sizeof *input);
    if (is_refused) {
        print_message("no other root directory may be had here\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_files_are_high),
        cmocka_unit_test(low_limit_is_no_harm),
        cmocka_unit_test(kept_file_is_read_anew),
        cmocka_unit_test(lost_file_is_not_believed),
        cmocka_unit_test(input_is_detached_without_null_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
