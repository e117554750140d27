/* check.hpp: what the C++ tests say when something is not so; main() returns n_failed. */
#ifndef TEST_CXX_CHECK_HPP
#define TEST_CXX_CHECK_HPP

#include <cstdio>

namespace
{
int n_failed;

void check(bool is_true, const char *what)
{
    if (!is_true) {
        std::fprintf(stderr, "FAILED: %s\n", what);
        n_failed++;
    }
}
} // namespace

#endif
