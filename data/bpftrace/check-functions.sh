#!/bin/sh
# Say in words whether the functions that a script here probes are there in the kernel that runs.
#
#     sh check-functions.sh SCRIPT.bt [KALLSYMS]      needs no root
#
# 0: each is there, once. 1: one is missing (inlined everywhere, or of another kernel) or has clones that a probe of its
# name does not see. A function that the compiler inlined into some callers only looks whole here: then rows are missing
# (a charge without its try, which `trace what-if` refuses), not wrong.
script=${1:?usage: sh check-functions.sh SCRIPT.bt [KALLSYMS]}
symbols=${2:-/proc/kallsyms}
[ -r "$script" ] || { echo "$script: cannot be read"; exit 2; }
[ -r "$symbols" ] || { echo "$symbols: cannot be read"; exit 2; }
status=0
for name in $(sed -n 's/^kprobe:\([a-z0-9_]*\).*/\1/p' "$script"); do
    same=$(awk -v name="$name" '$3 == name && tolower($2) ~ /[tw]/' "$symbols" | wc -l)
    # .cold is the unlikely half of a function, not another one; __pfx_ and __cfi_ are its padding.
    clones=$(awk -v name="$name." 'index($3, name) == 1 && $3 !~ /\.cold(\.|$)/ { print $3 }' "$symbols" | tr '\n' ' ')
    if [ "$same" -eq 0 ] && [ -z "$clones" ]; then
        echo "$name: is not there: inlined into its callers, or this kernel has another name for it. Do not record."
        status=1
    elif [ "$same" -eq 0 ]; then
        echo "$name: is there only as a clone: $clones; its arguments may have moved. Do not record."
        status=1
    elif [ -n "$clones" ]; then
        echo "$name: is there, and a clone too: $clones; calls of the clone would not be seen. Do not record."
        status=1
    elif [ "$same" -gt 1 ]; then
        echo "$name: is there $same times: which one is probed nobody knows. Do not record."
        status=1
    else
        echo "$name: is there."
    fi
done
exit $status
