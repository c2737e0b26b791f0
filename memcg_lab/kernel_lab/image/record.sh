#!/bin/sh
# Record one run of a workload in a cgroup of its own, with kprobes in a trace instance of their own.
# Needs root, cgroup v2 and tracefs. Leaves no probe, no instance and no cgroup behind, also when it is interrupted.
#
#   sh record.sh record      with these in the environment:
#     TRACEFS  where tracefs is mounted        CGROUP  an existing cgroup v2 folder whose children have "memory"
#     TOP      name of the cgroup to make; the workload runs in its child "b"
#     PROBES   file, one probe a line, group memcg_lab        BUFFER_KB  trace buffer of each CPU
#     RUN      the command to run              OUT     folder for trace.txt, probes.txt, buffers.txt, kallsyms.txt
#   sh record.sh clean       removes what a killed recording left
set -u
: "${TRACEFS:?}" "${CGROUP:?}" "${TOP:?}"
instance=$TRACEFS/instances/memcg_lab
leaf=$CGROUP/$TOP/b
child=

say() { echo "record.sh: $*" >&2; }

cleanup() {
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null
        wait "$child" 2>/dev/null
    fi
    # Whatever still runs in the cgroup is ours: nobody else was put there.
    if [ -f "$leaf/cgroup.kill" ]; then echo 1 > "$leaf/cgroup.kill" 2>/dev/null; fi
    if [ -d "$instance" ]; then
        echo 0 > "$instance/tracing_on"
        if [ -d "$instance/events/memcg_lab" ]; then echo 0 > "$instance/events/memcg_lab/enable"; fi
    fi
    for event in "$TRACEFS"/events/memcg_lab/*/; do
        if [ -d "$event" ]; then echo "-:memcg_lab/$(basename "$event")" >> "$TRACEFS/kprobe_events"; fi
    done
    if [ -d "$instance" ]; then rmdir "$instance"; fi
    for folder in "$leaf" "$CGROUP/$TOP"; do
        tries=50
        while [ -d "$folder" ] && ! rmdir "$folder" 2>/dev/null && [ "$tries" -gt 0 ]; do
            tries=$((tries - 1))
            sleep 0.1
        done
    done
    left=
    for folder in "$instance" "$TRACEFS/events/memcg_lab" "$CGROUP/$TOP"; do
        if [ -d "$folder" ]; then left="$left $folder"; fi
    done
    if [ -n "$left" ]; then
        say "could not be removed:$left"
        exit 4
    fi
}

case ${1-} in
clean)
    cleanup
    exit 0
    ;;
record) ;;
*)
    say "usage: sh record.sh record|clean"
    exit 2
    ;;
esac

: "${PROBES:?}" "${OUT:?}" "${RUN:?}" "${BUFFER_KB:?}"
for folder in "$instance" "$TRACEFS/events/memcg_lab" "$CGROUP/$TOP"; do
    if [ -d "$folder" ]; then
        say "$folder is there already: another recording runs, or was killed (then: sh record.sh clean)"
        exit 3
    fi
done
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

mkdir "$CGROUP/$TOP" || exit 3
if ! echo +memory > "$CGROUP/$TOP/cgroup.subtree_control"; then
    say "the memory controller cannot be given to $leaf"
    exit 3
fi
mkdir "$leaf" && mkdir "$instance" || exit 3
echo nop > "$instance/current_tracer"
echo 0 > "$instance/tracing_on"
echo mono > "$instance/trace_clock"
echo "$BUFFER_KB" > "$instance/buffer_size_kb"

while read -r probe; do
    if ! echo "$probe" >> "$TRACEFS/kprobe_events"; then
        say "the kernel refuses the probe: $probe"
        exit 3
    fi
done < "$PROBES"
echo 1 > "$instance/events/memcg_lab/enable" || exit 3

echo 1 > "$instance/tracing_on"
sh -c "echo \$\$ > '$leaf/cgroup.procs' && exec $RUN" &
child=$!
wait "$child"
status=$?
child=
if [ "$status" -ne 0 ]; then
    say "the workload ended with status $status"
    exit 3
fi
sleep 1 # what TCP still acknowledges and frees
echo 0 > "$instance/tracing_on"
echo 0 > "$instance/events/memcg_lab/enable"

for cpu in "$instance"/per_cpu/cpu[0-9]*; do
    grep -E '^(entries|overrun|commit overrun|dropped events):' "$cpu/stats" | sed "s|^|$(basename "$cpu") |"
done > "$OUT/buffers.txt"
cat "$TRACEFS/kprobe_profile" > "$OUT/probes.txt"
cat /proc/kallsyms > "$OUT/kallsyms.txt"
cat "$instance/trace" > "$OUT/trace.txt"
