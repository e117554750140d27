/* test_cxx_names.cpp: what functions of C++ are called where a task crashed. */
#include <cstring>
#include <utility>

extern "C" {
#include "process/symbol.h"
#include "sys/module.h"
}

#include "check.hpp"

namespace sample
{
template <class... Parts> struct parser {
    static int run(int n);
};
template <class... Parts>
__attribute__((noinline)) int parser<Parts...>::run(int n)
{
    return n + (int)sizeof...(Parts);
}
} // namespace sample

namespace
{
using pair = std::pair<long, std::pair<long, std::pair<long, long>>>;

/* What is told of `fn`. */
const char *describe(int (*fn)(int), char *text, size_t size)
{
    uint64_t code;

    if (mui_module_encode(reinterpret_cast<const void *>(fn), &code) != 0 ||
        mui_symbol_describe(code, text, size) <= 0)
        text[0] = '\0';
    return text;
}
} // namespace

int main()
{
    char text[256];

    check(mui_module_init(nullptr) == 0, "modules");
    describe(sample::parser<int, char>::run, text, sizeof text);
    check(std::strncmp(text, "sample::parser<int, char>::run(int) (", 37) == 0,
          text);
    /* however long it is, where it is comes behind it */
    describe(sample::parser<pair, pair, pair, pair>::run, text, sizeof text);
    check(std::strncmp(text, "sample::parser<std::pair<long, ", 31) == 0, text);
    check(std::strstr(text, "... (") != nullptr, text);
    return n_failed;
}
