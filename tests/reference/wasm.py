"""The kernels of the web, called like those of the host: wasmtime runs them, on copies of the same arrays.

``Engine(folder).kernel("replay", "v4.14")`` stands in for ``bind(V4_14)``. It reads nothing but ``kernels.json``.
"""

import ctypes
import gzip
import json
import pathlib

import numpy as np
import wasmtime

ALIGNED = 16  # bytes


class Engine:
    """The kernels of one build."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.description = json.loads((self.folder / "kernels.json").read_text(encoding="utf-8"))
        self.engine = wasmtime.Engine()
        self.made = {}

    def kernel(self, kind, policy):
        """A compiled kernel; there is one of each."""
        name = f"{kind} {policy}"
        if name not in self.made:
            told = self.description["kernels"][name]
            self.made[name] = Kernel(self.engine, (self.folder / told["file"]).read_bytes(), told, self.description)
        return self.made[name]

    def sizes(self, kind, policy):
        """Bytes of a kernel's file, raw and with gzip."""
        code = (self.folder / self.description["kernels"][f"{kind} {policy}"]["file"]).read_bytes()
        return len(code), len(gzip.compress(code, 9, mtime=0))


class Kernel:
    """One kernel: called with what the host's takes, it leaves in the arrays what the host's would."""

    def __init__(self, engine, code, told, description):
        module = wasmtime.Module(engine, code)
        self.imports = [item.name for item in module.imports]
        self.store = wasmtime.Store(engine)
        exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.run, self.memory = exports["run"], exports["memory"]
        self.heap = _up(exports["__heap_base"].value(self.store))
        self.parameters, self.returns = told["arguments"], told["returns"]
        self.records = description["records"]

    def __call__(self, *arguments):
        """Copy the arrays in, run, copy them out; the answers as integers."""
        placed = self.place(arguments)
        answer = self.go()
        self.fetch(placed)
        return answer

    def place(self, arguments):
        """Lay everything out in the memory of the kernel."""
        values = list(_flat(arguments))
        assert len(values) == len(self.parameters)
        end = _up(self.heap + 8 * len(self.returns) + 8)
        self.words, placed = [self.heap, self.heap + 8 * len(self.returns)], []
        for told, value in zip(self.parameters, values, strict=True):
            if told["kind"] == "array":
                assert value.ndim == told["ndim"]
                assert value.flags.c_contiguous
                assert value.itemsize == self.records[told["record"]]["size"]
                self.words += [0, 0, value.size, value.itemsize, end, *value.shape, *value.strides]
                placed.append((value, end))
                end = _up(end + value.nbytes)
            else:
                assert (value is None) == (told["kind"] == "none")
                self.words.append(0 if value is None else int(value))
        missing = end - self.memory.data_len(self.store)
        if missing > 0:
            self.memory.grow(self.store, -(-missing // 65536))
        base = self._base()
        for value, at in placed:
            ctypes.memmove(base + at, value.ctypes.data, value.nbytes)
        return placed

    def go(self):
        """Run on what was laid out."""
        status = self.run(self.store, *self.words)
        assert status == 0, f"the kernel stopped with status {status}"
        answer = (ctypes.c_int64 * len(self.returns)).from_address(self._base() + self.heap)
        return tuple(answer)

    def fetch(self, placed):
        """Copy the arrays back."""
        base = self._base()
        for value, at in placed:
            if value.flags.writeable:
                ctypes.memmove(value.ctypes.data, base + at, value.nbytes)

    def _base(self):
        return ctypes.cast(self.memory.data_ptr(self.store), ctypes.c_void_p).value


def _up(address):
    return -(-address // ALIGNED) * ALIGNED


def _flat(values):
    for value in values:
        if isinstance(value, tuple):
            yield from _flat(value)
        else:
            yield np.asarray(value) if isinstance(value, np.ndarray) else value
