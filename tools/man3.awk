# man3.awk: manual pages of section 3 from the comments of the public headers.
# Usage: awk -v out=FOLDER -f man3.awk include/muster/*.h
#
# A page a header, muster_pool.3 for pool.h: its opening comment, then every
# declaration under the comment that stands before it, word for word, and comments that
# stand for themselves, with a first line that is empty. A link for each function and
# each macro that is used like one: mu_pool_open.3, mu_fork.3. What follows "Not to be
# used by hand" is left out, but for links of macros. muster.3 names the pages.

function start_page(file,    name)
{
    name = file
    sub(/.*\//, "", name)
    header = "muster/" name
    sub(/\.h$/, "", name)
    page_name = name == "muster" ? name : "muster_" name
    page = out "/" page_name ".3"
    comment = declaration = ""
    in_comment = seen_opening = depth = is_inside = 0
    printf ".Dd November 21, 2026\n.Dt %s 3\n.Os\n", toupper(page_name) > page
}

# Text that roff is to leave alone.
function literal(text)
{
    gsub(/\\/, "\\e", text)
    gsub(/\n\./, "\n\\\\\\&.", text)
    gsub(/\n'/, "\n\\\\\\&'", text)
    gsub(/-/, "\\-", text)
    return text
}

function print_opening(    what, rest)
{
    what = comment
    sub(/^[a-z_]+\.h: */, "", what)
    rest = what
    # its first sentence, which may go over several lines
    sub(/\n\n.*/, "", what)
    gsub(/\n/, " ", what)
    sub(/\. .*/, "", what)
    sub(/[.:]? *$/, "", what)
    printf ".Sh NAME\n.Nm %s\n.Nd %s\n", page_name, what > page
    printf ".Sh SYNOPSIS\n.In %s\n.Sh DESCRIPTION\n", header > page
    printf ".Bd -literal\n%s\n.Ed\n", literal(rest) > page
}

function print_link(name)
{
    printf ".so man3/%s.3\n", page_name > (out "/" name ".3")
    close(out "/" name ".3")
}

# A comment that stands for itself.
function print_section(    title)
{
    title = comment
    gsub(/\n.*/, "", title)
    sub(/[.]$/, "", title)
    printf ".Ss %s\n", title > page
    sub(/^[^\n]*\n+/, "", comment)
    printf ".Bd -literal\n%s\n.Ed\n", literal(comment) > page
}

# "#define name(" in `declaration`.
function link_macro(    name)
{
    name = declaration
    sub(/^#define /, "", name)
    if (match(name, /^(mu|MU)_[A-Za-z_]+\(/))
        print_link(substr(name, 1, RLENGTH - 1))
}

function print_declaration(    name, text)
{
    text = declaration
    gsub(/MU_API |MU_NODISCARD /, "", text)
    sub(/\n+$/, "", text)
    if (match(text, /mu_[a-z0-9_]+\(/) && text !~ /^((struct|enum) [a-z_]+ *\{|typedef|#)/)
        name = substr(text, RSTART, RLENGTH - 1)
    if (name) {
        print_link(name)
        printf ".Ss %s\n", name > page
    } else if (comment != "") {
        match(text, /(mu|MU)_[a-zA-Z0-9_]+/)
        printf ".Ss %s\n", substr(text, RSTART, RLENGTH) > page
    }
    printf ".Bd -literal\n%s\n", literal(text) > page
    if (comment != "")
        printf "\n%s\n", literal(comment) > page
    printf ".Ed\n" > page
}

function end_declaration()
{
    if (declaration ~ /^#define (mu|MU)_[A-Za-z_]+\(/ && header != "muster/base.h")
        link_macro()
    else if (!is_inside && declaration ~ /MU_API|typedef|^struct [a-z_]+ \{|^enum|^#define MU_/ &&
        declaration !~ /^#define MU_(BEGIN|END|API|NOD|PRINTF)/)
        print_declaration()
    declaration = comment = ""
}

FNR == 1 {
    if (page)
        close(page)
    start_page(FILENAME)
}

# Comments at the left margin; those inside a declaration are part of it.
!in_comment && depth == 0 && declaration == "" && /^\/\*/ {
    in_comment = 1
    is_section = /^\/\*$/
    before = comment
    comment = ""
    sub(/^\/\* ?/, "")
}
in_comment {
    line = $0
    done = sub(/ *\*\/.*$/, "", line)
    sub(/^ \* ?/, "", line)
    comment = comment (comment == "" ? "" : "\n") line
    if (done) {
        in_comment = 0
        if (!seen_opening) {
            seen_opening = 1
            print_opening()
            comment = ""
        } else if (comment ~ /^NOLINT/) {
            comment = before
        } else if (comment ~ /Not to be used by hand/) {
            is_inside = 1
            comment = ""
        } else if (is_section && !is_inside) {
            print_section()
            comment = ""
        }
    }
    next
}

# What muster.h is made of.
page_name == "muster" && /^#include "muster\// {
    sub(/^#include "muster\//, "")
    sub(/\.h"$/, "")
    printf "%s\n.Xr muster_%s 3", n_parts++ ? " ," : ".Sh SEE ALSO", $0 > page
    next
}
page_name == "muster" && /^#endif/ { printf "\n" > page }

# Blank lines and what is for the compiler alone.
declaration == "" && (/^ *$/ || /^# *(ifn?def|include|endif|if|else|pragma)/ || /^MU_(BEGIN|END)/ || /^#define MUSTER_/) {
    if (/^ *$/ && comment != "")
        comment = ""
    next
}
{
    declaration = declaration $0 "\n"
    depth += gsub(/[{(]/, "&") - gsub(/[})]/, "&")
    if (declaration ~ /^#define/ ? !/\\$/ : (depth == 0 && /;/))
        end_declaration()
}
