"""Probes: which kprobes to set in one build of the kernel, found from its symbols and its machine code."""

import re
import subprocess
from collections import namedtuple
from dataclasses import dataclass

GROUP = "memcg_lab"

# Probes at function entries: the arguments tell all. x86-64 passes them in di, si, dx.
SOCKET_CALLS = (
    (
        "p:{group}/chg mem_cgroup_charge_skmem memcg=%di:x64 nr=%si:u32",
        "p:{group}/unc mem_cgroup_uncharge_skmem memcg=%di:x64 nr=%si:u32",
    ),
    # 6.18 and later: the calls take the socket. The kernel finds its field by its own types (BTF).
    (
        "p:{group}/chg mem_cgroup_sk_charge memcg=sk->sk_memcg:x64 nr=nr_pages:u32",
        "p:{group}/unc mem_cgroup_sk_uncharge memcg=sk->sk_memcg:x64 nr=nr_pages:u32",
    ),
)
ENTRY = (
    "p:{group}/tryc try_charge_memcg memcg=%di:x64 nr=%dx:u32",
    "p:{group}/pctry page_counter_try_charge c=%di:x64 nr=%si:u32 caller=+0(%sp):x64",
    "r:{group}/pctryr page_counter_try_charge ret=$retval:u8",
    "p:{group}/pcunc page_counter_uncharge c=%di:x64 nr=%si:u32 caller=+0(%sp):x64",
    "p:{group}/refill refill_stock memcg=%di:x64 nr=%si:u32 caller=+0(%sp):x64",
)
# These too sit at entries, but make sense only beside those inside.
BESIDE = (
    "p:{group}/refe __refill_stock memcg=%di:x64 nr=%si:u32 caller=+0(%sp):x64",
    "p:{group}/drain drain_stock cached=+0(%di):x64 avail=+8(%di):u32 caller=+0(%sp):x64",
)
# Before 6.16 a CPU's stock starts with `cached` and, 8 bytes on, `nr_pages`. 6.16 brought seven slots, and with them
# this function.
SEVEN_SLOTS = "drain_local_memcg_stock"
NEAR = 64  # bytes between the stock's address and the comparison with `cached`
CLOBBERED = {"%rax", "%rcx", "%rdx", "%rsi", "%rdi", "%r8", "%r9", "%r10", "%r11"}  # what a call may overwrite
Instruction = namedtuple("Instruction", "offset text")
Instruction.__doc__ = "One machine instruction: bytes from the start of its function, and as ``objdump -d`` writes it."

_OPERANDS = re.compile(r"(?:%gs:)?[^\s,()]*\([^)]*\)|[^\s,()#]+")


@dataclass(frozen=True)
class Probes:
    """Probes for one build of the kernel.

    Attributes
    ----------
    lines : tuple of str
        For ``kprobe_events``, one a line, in the group ``memcg_lab``.
    complete : bool
        Whether the stock itself is read, by probes inside functions.
    why : str
        If not, what was not found.
    """

    lines: tuple
    complete: bool
    why: str = ""


def find_probes(symbols, instructions):
    """Probes for the build of the kernel that these symbols belong to.

    ``consume_stock`` is usually inlined, so the probe for it sits inside ``try_charge_memcg``, where interrupts are
    off: at the comparison of the stock's ``cached`` with the cgroup asked for. It is found by the address of
    ``memcg_stock`` shortly before it. ``__refill_stock`` is searched alike. Where this fails, the entries remain.

    Parameters
    ----------
    symbols : Symbols
    instructions : callable
        Takes a function's name, returns its `Instruction` records; LookupError if it cannot.

    Returns
    -------
    Probes

    Raises
    ------
    ValueError
        If not even the entries of the socket calls are there.

    Notes
    -----
    Kernel: ``consume_stock``, ``__refill_stock`` and ``drain_stock`` of ``mm/memcontrol.c``, 6.1 to 6.15.
    """

    def there(line):
        return line.split()[1] in symbols.functions

    sockets = [lines for lines in SOCKET_CALLS if all(map(there, lines))]
    if not sockets:
        raise ValueError(
            "this kernel has neither mem_cgroup_charge_skmem and mem_cgroup_uncharge_skmem (to 6.17) nor "
            "mem_cgroup_sk_charge and mem_cgroup_sk_uncharge (from 6.18 on), so nothing can be recorded."
        )
    entry = [*sockets[0], *filter(there, ENTRY)]
    missing = [line.split()[1] for line in ENTRY if not there(line)]
    try:
        if missing:
            raise LookupError(f"{missing[0]} is inlined, so it cannot be probed")
        lines = entry + _inside(symbols, instructions)
    except LookupError as error:
        return Probes(_grouped(entry), False, str(error.args[0]))
    return Probes(_grouped(lines), True)


def _grouped(lines):
    return tuple(line.format(group=GROUP) for line in lines)


def _inside(symbols, instructions):
    """The probes that read the stock; LookupError says what was not found."""
    if SEVEN_SLOTS in symbols.functions:
        raise LookupError("this kernel keeps seven cgroups in a CPU's stock (6.16 and later)")
    for line in BESIDE:
        if line.split()[1] not in symbols.functions:
            raise LookupError(f"{line.split()[1]} is inlined, so it cannot be probed")
    if "memcg_stock" not in symbols.data:
        raise LookupError("no symbol memcg_stock")
    stock = symbols.data["memcg_stock"] & 0xFFFFFFFF

    consume = "consume_stock" if "consume_stock" in symbols.functions else "try_charge_memcg"
    lines = []
    # The number of pages: consume_stock compares it with the batch of 64; __refill_stock moves its argument away.
    for event, function, pages in (
        ("cons", consume, r"cmp\s+\$0x40,(%\w+)"),
        ("refin", "__refill_stock", r"mov\s+%esi,(%\w+)"),
    ):
        code = list(instructions(function))
        offset, place, memcg = _comparison(function, code, stock)
        found = [match[1] for _, line in code if (match := re.match(pages, line))]
        if not found:
            raise LookupError(f"the register with the number of pages was not found in {function}")
        lines.append(
            f"p:{{group}}/{event} {function}+{offset} memcg={register(memcg)}:x64 nr={register(found[0])}:u32 "
            f"cached=+0({register(place)}):x64 avail=+8({register(place)}):u32"
        )
    return [*BESIDE, *lines]


def _comparison(function, code, stock):
    """Where ``cached`` is compared: (offset, fetch of the stock's address, register with the cgroup).

    A compiler writes this in several ways; what a register holds is followed from the stock's address on:
    ``mov $stock,%a; add %gs:…,%a; cmp (%a),%memcg`` or ``lea stock(%c),%a; mov stock(%c),%b; cmp %b,%memcg``.
    """
    pointers, cached, since = set(), set(), None
    for offset, line in code:
        operation, _, rest = line.partition(" ")
        operands = _OPERANDS.findall(rest)
        if since is not None and offset - since > NEAR:
            pointers, cached, since = set(), set(), None
        if len(operands) != 2:
            if operation == "call":
                pointers -= CLOBBERED
                cached -= CLOBBERED
            continue
        source, target = operands
        if operation == "cmp":
            for one, other in ((source, target), (target, source)):
                inside = re.fullmatch(r"\((%\w+)\)", one)
                if inside and inside[1] in pointers and other.startswith("%"):
                    return offset, inside[1], other
                if one in cached and pointers and other.startswith("%"):
                    return offset, min(pointers), other
            continue
        address = re.fullmatch(r"(?:%gs:)?(?:\$?0x([0-9a-f]+))?(?:\((%\w+)\))?", source)
        value = int(address[1] or "0", 16) & 0xFFFFFFFF if address else None
        base = address[2] if address else None
        points = (operation == "mov" and source == f"${stock:#x}") or (operation == "lea" and value == stock and base)
        loads = operation == "mov" and base and (value == stock or (value == 0 and base in pointers))
        if not target.startswith("%") or (operation == "add" and source.startswith("%gs:")):
            continue
        pointers.discard(target)
        cached.discard(target)
        if points:
            pointers.add(target)
            since = offset
        if loads:
            cached.add(target)
            since = offset if since is None else since
    raise LookupError(f"the comparison with the stock's cgroup was not found in {function}")


def register(name):
    """A register as kprobes call it, from what objdump writes.

    Examples
    --------
    >>> [register(name) for name in ("%rdx", "%ebp", "%r12", "%r12d")]
    ['%dx', '%bp', '%r12', '%r12']
    """
    name = name.lstrip("%").removesuffix("d")
    return "%" + (name if name[1:].isdigit() else name[1:])


def disassembler(vmlinux, symbols, shift=0):
    """Instructions of a function of an unpacked kernel, by ``objdump``.

    Parameters
    ----------
    vmlinux : path
        An ELF file; it needs no symbols.
    symbols : Symbols
        Of the running kernel.
    shift : int, optional
        By how many bytes it runs above the addresses of the file.

    Returns
    -------
    callable
        For `find_probes`.
    """

    def instructions(function):
        addresses = symbols.extent(function)
        start, stop = addresses.start - shift, addresses.stop - shift
        command = ["objdump", "-d", "--no-show-raw-insn", f"--start-address={start}", f"--stop-address={stop}"]
        done = subprocess.run([*command, str(vmlinux)], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise LookupError(f"objdump cannot read the kernel ({done.stderr.strip()[:200]})")
        for line in done.stdout.splitlines():
            address, tab, instruction = line.partition(":\t")
            if tab:
                yield Instruction(int(address, 16) - start, instruction.strip())

    return instructions
