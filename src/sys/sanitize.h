/* sanitize.h: whether the thread sanitizer watches this build, or that of addresses. gcc and
 * clang say it differently. */
#ifndef MUI_SYS_SANITIZE_H
#define MUI_SYS_SANITIZE_H

#if defined(__SANITIZE_THREAD__)
#    define MUI_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#    define MUI_ASAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define MUI_TSAN 1
#    elif __has_feature(address_sanitizer)
#        define MUI_ASAN 1
#    endif
#endif
#ifndef MUI_TSAN
#    define MUI_TSAN 0
#endif
#ifndef MUI_ASAN
#    define MUI_ASAN 0
#endif

#endif
