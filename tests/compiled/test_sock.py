"""The socket layer: bytes, quanta, pressure, and what reaches the cgroup."""

import pytest

from lab_helpers import MODE, broken, cost
from memcg_lab import V4_13, V4_14, System
from memcg_lab.mechanism.records import SOCK_MIN_SNDBUF

# The socket layer doubles what a policy compiles; both sides of the patch run where nothing is compiled.
POLICIES = [V4_13, V4_14] if MODE == "nojit" else [V4_14]
both_policies = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)

PAGE = 4096
MIB = 1 << 20


def one_socket(policy=V4_14, *, memcg=1, **options):
    return System.chain(depth=1, cpus=2, policy=policy, sockets=[memcg], **options)


def do(system, name, nr_bytes=0, *, sk=0, cpu=0):
    return system.socket_op(name, cpu=cpu, sk=sk, nr_bytes=nr_bytes)


def forward(system, sk=0):
    return system.socket(sk)["forward_alloc"]


def allocated(system):
    return system.protocol()["memory_allocated"]


# --- charging in advance ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("nr_bytes", "pages"), [(1, 1), (4095, 1), (4096, 1), (4097, 2), (8193, 3)])
@pytest.mark.parametrize("name", ["sk_wmem_schedule", "sk_rmem_schedule", "sk_forced_mem_schedule"])
def test_bytes_are_charged_in_whole_quanta(name, nr_bytes, pages):
    system = one_socket()
    do(system, name, nr_bytes)
    assert (forward(system), allocated(system), system.sock.tolist()) == (pages * PAGE, pages, [0, pages])


@pytest.mark.parametrize("name", ["sk_wmem_schedule", "sk_rmem_schedule", "sk_forced_mem_schedule"])
def test_what_is_charged_in_advance_costs_nothing_more(name):
    system = one_socket()
    do(system, name, 1)
    work = cost(system, lambda: do(system, name, PAGE))
    assert (work.protocol, work.atomics, work.stock_hits) == (0, 0, 0)
    assert forward(system) == PAGE


def test_one_byte_more_than_charged_takes_quanta_for_the_whole():
    system = one_socket()
    do(system, "sk_rmem_schedule", PAGE)
    assert do(system, "sk_rmem_schedule", PAGE + 1) == 1
    assert (forward(system), allocated(system)) == (3 * PAGE, 3)


def test_queued_bytes_leave_the_advance_and_freed_bytes_return_to_it():
    system = one_socket()
    do(system, "sk_wmem_schedule", 2 * PAGE)
    do(system, "sk_queue_send", 5000)
    assert (forward(system), system.socket(0)["wmem_queued"]) == (2 * PAGE - 5000, 5000)
    do(system, "sk_queue_receive", 100)
    assert (forward(system), system.socket(0)["rmem_alloc"]) == (2 * PAGE - 5100, 100)
    work = cost(system, lambda: do(system, "sk_free_send", 5000, cpu=1))
    do(system, "sk_free_receive", 100, cpu=1)
    assert (forward(system), allocated(system)) == (2 * PAGE, 2)
    assert (work.protocol, work.atomics) == (0, 0)


@both_policies
def test_each_raise_and_each_reduce_is_one_atomic_of_the_protocol(policy):
    system = one_socket(policy)
    for _ in range(50):
        do(system, "sk_rmem_schedule", PAGE)
        do(system, "sk_mem_reclaim", cpu=1)
    assert system.work().protocol == 100
    assert allocated(system) == 0


def test_the_patch_changes_the_cgroups_atomics_and_not_the_protocols():
    work = {}
    for policy in POLICIES:
        system = one_socket(policy)
        for _ in range(50):
            do(system, "sk_rmem_schedule", PAGE)
            do(system, "sk_mem_reclaim", cpu=1)
        work[policy.name] = (system.work().protocol, system.work().sub)
    assert work == {p.name: {V4_13: (100, 100), V4_14: (100, 2)}[p] for p in POLICIES}


# --- giving back -----------------------------------------------------------------------------------------------------
def test_reclaim_gives_back_whole_quanta():
    system = one_socket()
    do(system, "sk_rmem_schedule", 3 * PAGE)
    do(system, "sk_queue_receive", 100)
    do(system, "sk_mem_reclaim", cpu=1)
    assert (forward(system), allocated(system), system.sock.tolist()) == (PAGE - 100, 1, [0, 1])


def test_reclaim_of_less_than_a_quantum_does_nothing():
    system = one_socket()
    do(system, "sk_rmem_schedule", PAGE)
    do(system, "sk_queue_receive", 1)
    assert cost(system, lambda: do(system, "sk_mem_reclaim")).protocol == 0


def test_reclaim_takes_exactly_one_quantum():
    system = one_socket()
    do(system, "sk_rmem_schedule", PAGE)
    do(system, "sk_mem_reclaim")
    assert (forward(system), allocated(system)) == (0, 0)


@pytest.mark.parametrize(
    ("pages", "queued", "left"),
    [(1, 0, PAGE), (1, 1, PAGE - 1), (2, 0, PAGE), (2, PAGE - 1, 1), (2, PAGE, PAGE), (9, 0, PAGE)],
)
def test_partial_reclaim_keeps_at_least_one_byte(pages, queued, left):
    system = one_socket()
    do(system, "sk_rmem_schedule", pages * PAGE)
    if queued:
        do(system, "sk_queue_receive", queued)
    do(system, "sk_mem_reclaim_partial", cpu=1)
    assert forward(system) == left
    assert allocated(system) * PAGE == left + queued


def test_partial_reclaim_of_one_quantum_costs_nothing():
    system = one_socket()
    do(system, "sk_rmem_schedule", PAGE)
    assert cost(system, lambda: do(system, "sk_mem_reclaim_partial")).protocol == 0


def test_2_mib_in_advance_give_1_mib_back():
    system = one_socket()
    do(system, "sk_rmem_schedule", 2 * MIB)
    do(system, "sk_queue_receive", 2 * MIB)
    do(system, "sk_free_receive", 2 * MIB - 1)
    assert (forward(system), allocated(system)) == (2 * MIB - 1, 512)
    work = cost(system, lambda: do(system, "sk_free_receive", 1, cpu=1))
    assert (forward(system), allocated(system), work.protocol) == (MIB, 256, 1)
    assert system.sock.tolist() == [0, 256]


# --- refused ---------------------------------------------------------------------------------------------------------
def test_above_the_hard_limit_a_receiver_gets_nothing_and_everything_is_as_before():
    system = one_socket(tcp_mem=(1, 2, 4))
    assert do(system, "sk_rmem_schedule", 4 * PAGE + 1) == 0
    assert (forward(system), allocated(system), system.sock.tolist()) == (0, 0, [0, 0])
    assert (system.protocol()["suppressed"], system.work().protocol) == (1, 2)


def test_exactly_at_the_hard_limit_a_receiver_gets_its_pages():
    assert do(one_socket(tcp_mem=(1, 2, 4)), "sk_rmem_schedule", 4 * PAGE) == 1


@both_policies
def test_pages_the_cgroup_refused_are_forced_and_given_back_by_the_policys_rule(policy):
    usage, stock = {V4_13: (4, (-1, 0)), V4_14: (7, (1, 3))}[policy]
    system = one_socket(policy, limits=[-1, 4])
    system.try_charge(cpu=0, memcg=1, nr_pages=4, ctx="softirq")
    assert do(system, "sk_rmem_schedule", 3 * PAGE) == 0
    assert (system.usage[1], system.stock[0]) == (usage, stock)
    assert (forward(system), allocated(system), system.sock.tolist()) == (0, 0, [0, 0])
    assert (system.work().refused, system.work().forced) == (1, 1)


def refusing(policy=V4_14, queued=0):
    """A socket with bytes queued whose cgroup is full."""
    system = one_socket(policy)
    if queued:
        do(system, "sk_wmem_schedule", queued)
        do(system, "sk_queue_send", queued)
    for cpu in (0, 1):
        system.drain_local_stock(cpu=cpu)
    system.set_max(cpu=0, memcg=1, nr_pages=int(system.usage[1]))
    return system


@both_policies
def test_a_stream_writer_at_its_send_buffer_keeps_the_refused_charge_and_will_wait(policy):
    system = refusing(policy, queued=2 * PAGE)
    assert do(system, "sk_wmem_schedule", PAGE) == 1
    assert (forward(system), allocated(system), system.sock.tolist()) == (PAGE, 3, [0, 3])
    assert system.usage[1] == 3
    assert system.protocol()["suppressed"] == 1


@both_policies
def test_a_stream_writer_below_its_send_buffer_fails(policy):
    system = refusing(policy)
    assert do(system, "sk_wmem_schedule", SOCK_MIN_SNDBUF - 1) == 0
    assert (forward(system), allocated(system), system.sock.tolist()) == (0, 0, [0, 0])


def test_a_refusal_shrinks_the_send_buffer_but_not_below_its_minimum():
    system = refusing(queued=20 * PAGE)
    do(system, "sk_wmem_schedule", PAGE)
    assert system.socket(0)["sndbuf"] == 10 * PAGE
    system = refusing()
    assert do(system, "sk_wmem_schedule", SOCK_MIN_SNDBUF) == 1
    assert system.socket(0)["sndbuf"] == SOCK_MIN_SNDBUF == 4608


def test_a_datagram_writer_never_keeps_a_refused_charge():
    system = refusing(queued=2 * PAGE)
    system._arrays["socket"]["stream"] = 0
    assert do(system, "sk_wmem_schedule", PAGE) == 0
    assert allocated(system) == 2


def test_a_receiver_never_keeps_a_refused_charge():
    system = refusing(queued=2 * PAGE)
    assert do(system, "sk_rmem_schedule", PAGE) == 0


# --- pressure --------------------------------------------------------------------------------------------------------
def pressure(system):
    protocol = system.protocol()
    return protocol["under_pressure"], protocol["entered_pressure"], protocol["left_pressure"]


def test_pressure_begins_above_the_second_limit():
    system = one_socket(tcp_mem=(2, 4, 100))
    do(system, "sk_forced_mem_schedule", 3 * PAGE)
    do(system, "sk_queue_receive", 3 * PAGE)
    do(system, "sk_rmem_schedule", 1)
    assert (allocated(system), pressure(system)) == (4, (0, 0, 0))
    do(system, "sk_queue_receive", PAGE)
    do(system, "sk_rmem_schedule", 1)
    assert (allocated(system), pressure(system)) == (5, (1, 1, 0))
    do(system, "sk_queue_receive", PAGE)
    do(system, "sk_rmem_schedule", 1)
    assert pressure(system) == (1, 1, 0)


def test_pressure_ends_when_a_reduce_goes_below_the_first_limit():
    system = one_socket(tcp_mem=(2, 4, 100))
    do(system, "sk_rmem_schedule", 5 * PAGE)
    assert pressure(system) == (1, 1, 0)
    do(system, "sk_queue_receive", 2 * PAGE)
    do(system, "sk_mem_reclaim")
    assert (allocated(system), pressure(system)) == (2, (1, 1, 0))
    do(system, "sk_free_receive", PAGE)
    do(system, "sk_mem_reclaim")
    assert (allocated(system), pressure(system)) == (1, (0, 1, 1))


def test_pressure_ends_when_a_raise_stays_at_the_first_limit():
    system = one_socket(tcp_mem=(2, 4, 100))
    system._arrays["proto"]["under_pressure"] = 1
    do(system, "sk_rmem_schedule", 2 * PAGE)
    assert pressure(system) == (0, 0, 1)


def in_pressure(*, name, queued, nr_sockets=1, high=100):
    """The answer to one more page for a socket that holds ``queued`` bytes while the protocol is under pressure."""
    system = System.chain(depth=1, cpus=1, sockets=[1] * nr_sockets, tcp_mem=(0, 0, high))
    queue = {"sk_rmem_schedule": "sk_queue_receive", "sk_wmem_schedule": "sk_queue_send"}[name]
    do(system, "sk_forced_mem_schedule", queued)
    do(system, queue, queued)
    return do(system, name, PAGE)


def test_under_pressure_a_socket_below_its_minimum_gets_its_pages():
    assert in_pressure(name="sk_rmem_schedule", queued=PAGE - 1, nr_sockets=99) == 1
    assert in_pressure(name="sk_rmem_schedule", queued=PAGE, nr_sockets=99) == 0


def test_under_pressure_a_writer_below_its_minimum_gets_its_pages():
    system = System.chain(depth=1, cpus=1, sockets=[1] * 99, tcp_mem=(0, 0, 100))
    assert do(system, "sk_wmem_schedule", PAGE) == 1
    assert system.protocol()["suppressed"] == 0


@pytest.mark.parametrize(("queued", "suppressed"), [(PAGE - 1, 0), (PAGE, 1)])
def test_a_stream_writers_minimum_is_what_it_has_queued(queued, suppressed):
    system = System.chain(depth=1, cpus=1, sockets=[1] * 99, tcp_mem=(0, 0, 100))
    do(system, "sk_forced_mem_schedule", queued)
    do(system, "sk_queue_send", queued)
    do(system, "sk_wmem_schedule", PAGE)
    assert system.protocol()["suppressed"] == suppressed


@pytest.mark.parametrize(("sent", "answer"), [(7, 1), (8, 0)])
def test_what_a_socket_sends_counts_for_its_size_too(sent, answer):
    system = System.chain(depth=1, cpus=1, sockets=[1] * 10, tcp_mem=(0, 0, 100))
    do(system, "sk_forced_mem_schedule", (sent + 1) * PAGE)
    do(system, "sk_queue_send", sent * PAGE)
    do(system, "sk_queue_receive", PAGE)
    assert do(system, "sk_rmem_schedule", PAGE) == answer


def test_under_pressure_a_small_socket_gets_its_pages_and_a_big_one_does_not():
    # 100 pages among 10 sockets: one may hold fewer than 10, the pages in advance included.
    assert in_pressure(name="sk_rmem_schedule", queued=8 * PAGE, nr_sockets=10) == 1
    assert in_pressure(name="sk_rmem_schedule", queued=9 * PAGE, nr_sockets=10) == 0


@pytest.mark.parametrize(("queued", "answer"), [(PAGE - 1, 1), (PAGE, 0)])
def test_a_datagram_writers_minimum_is_what_it_has_on_the_way(queued, answer):
    system = System.chain(depth=1, cpus=1, sockets=[1] * 100, tcp_mem=(0, 0, 100))
    system._arrays["socket"]["stream"] = 0
    do(system, "sk_forced_mem_schedule", queued)
    do(system, "sk_queue_send", queued)
    assert system.socket(0)["wmem_alloc"] == queued
    assert do(system, "sk_wmem_schedule", PAGE) == answer
    do(system, "sk_free_send", queued)
    assert system.socket(0)["wmem_alloc"] == 0


def between_the_limits(**options):
    """A big socket among many, between no pressure and pressure: only its cgroup's pressure can refuse it."""
    system = System.chain(depth=2, cpus=1, sockets=[2] * 50, tcp_mem=(0, 50, 100), **options)
    do(system, "sk_forced_mem_schedule", 9 * PAGE)
    do(system, "sk_queue_receive", 9 * PAGE)
    return system


@pytest.mark.parametrize(("memcg", "answer"), [(None, 1), (2, 0), (1, 0), (0, 0)])
def test_a_socket_sees_the_pressure_of_its_cgroup_and_of_those_above(memcg, answer):
    system = between_the_limits()
    if memcg is not None:
        system.set_socket_pressure(memcg, True)
    assert do(system, "sk_rmem_schedule", PAGE) == answer


def test_the_pressure_of_a_cgroup_can_end():
    system = between_the_limits()
    system.set_socket_pressure(2, True)
    system.set_socket_pressure(2, False)
    assert do(system, "sk_rmem_schedule", PAGE) == 1


def test_a_cgroup_below_does_not_press_on_its_parents_sockets():
    system = System.chain(depth=2, cpus=1, sockets=[1] * 50, tcp_mem=(0, 50, 100))
    do(system, "sk_forced_mem_schedule", 9 * PAGE)
    do(system, "sk_queue_receive", 9 * PAGE)
    system.set_socket_pressure(2, True)
    assert do(system, "sk_rmem_schedule", PAGE) == 1


def test_in_v1_a_full_tcpmem_refuses_its_sockets():
    system = between_the_limits(legacy=True)
    system._arrays["counter"]["limit"][2 * 3 + 2] = 9  # tcpmem of memcg 2, which holds 9 pages
    assert do(system, "sk_rmem_schedule", PAGE) == 0
    assert (system.snapshot()["tcpmem"], system.snapshot()["tcpmem_pressure"]) == ([9, 9, 9], [0, 0, 1])
    do(system, "sk_free_receive", PAGE)
    do(system, "sk_mem_reclaim")
    assert system.snapshot()["tcpmem"] == [8, 8, 8]
    assert do(system, "sk_rmem_schedule", PAGE) == 1
    assert system.snapshot()["tcpmem_pressure"] == [0, 0, 0]


# --- forced, root ----------------------------------------------------------------------------------------------------
@both_policies
def test_a_forced_schedule_charges_whatever_the_answer(policy):
    system = one_socket(policy, limits=[-1, 0], tcp_mem=(0, 0, 0))
    do(system, "sk_forced_mem_schedule", 2 * PAGE)
    assert (forward(system), allocated(system), system.usage[1]) == (2 * PAGE, 2, 2)
    assert system.work().protocol == 1
    assert pressure(system) == (0, 0, 0)


@pytest.mark.parametrize("memcg", [None, 0])
def test_sockets_of_the_root_are_not_accounted_but_for_the_protocol(memcg):
    system = one_socket(memcg=memcg)
    do(system, "sk_rmem_schedule", PAGE)
    do(system, "sk_forced_mem_schedule", 2 * PAGE)
    do(system, "sk_mem_reclaim")
    assert system.work().protocol == 3
    assert system.work().atomics == 0
    assert (system.sock.tolist(), system.stock) == ([0, 0], [(-1, 0)] * 2)


def test_a_refused_socket_of_the_root_gives_back_to_the_protocol_alone():
    system = one_socket(memcg=None, tcp_mem=(0, 0, 1))
    assert do(system, "sk_rmem_schedule", 2 * PAGE) == 0
    assert (allocated(system), system.work().atomics) == (0, 0)


@both_policies
def test_sockets_of_several_cgroups_share_the_protocol_only(policy):
    system = System.siblings(2, cpus=1, policy=policy, sockets=[1, 2])
    do(system, "sk_rmem_schedule", PAGE, sk=0)
    do(system, "sk_rmem_schedule", 2 * PAGE, sk=1)
    assert (allocated(system), system.sock.tolist()) == (3, [0, 1, 2])
    assert (forward(system, 0), forward(system, 1)) == (PAGE, 2 * PAGE)


@both_policies
def test_the_invariants_know_the_pages_of_the_socket_layer(policy):
    system = one_socket(policy)
    do(system, "sk_rmem_schedule", 5000)
    assert broken(system) == []
    do(system, "sk_queue_receive", 5000)
    do(system, "sk_free_receive", 5000)
    do(system, "sk_mem_reclaim", cpu=1)
    assert broken(system) == []
