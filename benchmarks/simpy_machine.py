"""The machine with SimPy: a process for each CPU, a resource for each cache line. ``pip install simpy`` first.

What an operation visits and what a visit costs are the rules of ``plain_machine``; who waits for whom, and for how
long, is decided by SimPy's resources. Each process checks that it goes on when those rules say it should.
"""

import simpy

from tests.reference import plain_machine
from tests.reference.plain_machine import LOAD, STORE


class Turn(simpy.Event):
    """A timeout after which CPUs that meet at the same ps go in the order of their numbers; queues in a row do that."""

    def __init__(self, env, delay, cpu):
        super().__init__(env)
        self._ok, self._value = True, None
        env.schedule(self, priority=simpy.events.NORMAL + 1 + cpu.number, delay=delay)


class Machine(plain_machine.Machine):
    """``plain_machine.Machine`` on SimPy's clock."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.env = simpy.Environment(initial_time=0)
        self.resources = [simpy.Resource(self.env, capacity=1) for _ in self.lines]
        for cpu in self.cpus:
            if cpu.ops:
                self.env.process(self.life(cpu, self.clock[cpu.number]))

    def run(self, until):
        """Go on until a time in ps."""
        self.env.run(until=until)

    def life(self, cpu, thinks):
        """One CPU: think, execute, again."""
        env = self.env
        yield Turn(env, thinks, cpu)
        while cpu.at < len(cpu.ops):
            cpu.visits, cpu.own = [], 0
            self.begin(cpu, *cpu.ops[cpu.at])
            self.begun += 1
            pause = None
            for number, (line, kind, function) in enumerate(cpu.visits, 1):
                before, free_at = len(line.taken), line.free_at
                end = self.touch(cpu, env.now, line, kind, function)
                taken = sum(until - since for since, until in line.taken[before:])
                if number == len(cpu.visits):  # counted when the last visit begins, as the others do it
                    pause = self.finish(cpu)
                if line.free_at != free_at or taken:  # it queued
                    request = self.resources[line.number].request()
                    if kind == STORE:
                        env.process(self.hold(cpu, line, request, taken))
                    else:
                        yield from self.hold(cpu, line, request, taken)
                elif kind == LOAD and end > env.now:
                    yield Turn(env, end - env.now, cpu)  # a clean copy is in the socket
                assert kind == STORE or env.now == end
            yield Turn(env, self.finish(cpu) if pause is None else pause, cpu)

    def finish(self, cpu):
        """The operation is counted, the next think time drawn: the pause until it begins."""
        cpu.finished += 1
        cpu.at += 1
        if self.repeat:
            cpu.at %= len(cpu.ops)
        if cpu.at == len(cpu.ops):
            return cpu.own
        self.draw(cpu)
        return cpu.own + self.think(cpu)

    def hold(self, cpu, line, request, duration):
        """Wait for a line in its queue, and keep it for a while."""
        yield request
        yield Turn(self.env, duration, cpu)
        self.resources[line.number].release(request)
