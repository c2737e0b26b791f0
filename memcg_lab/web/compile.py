"""From a kernel to an object file for WebAssembly: numba's LLVM IR, compiled once more for another machine.

python -m memcg_lab.web.compile FILE KIND POLICY

A process of its own, started by ``build``: numba must make code for no CPU in particular, which it decides on import.
"""

import pathlib
import sys
import warnings

import llvmlite.binding as llvm
from numba import config, njit, types

from ..forms import arguments_of
from .kernels import kernel

TRIPLE = "wasm32-unknown-unknown"
# What every browser of the last years has; nothing else is used.
FEATURES = "+bulk-memory,+mutable-globals,+nontrapping-fptoint,+sign-ext"
ENTRY = "run"
# What numba makes of an argument, as types of LLVM: an array is its owner, its parent, how many items, the size of one,
# where they are, then its shape and its strides.
WORDS = {"none": ["ptr"], "int64": ["i64"], "bool": ["i8"]}


def words_of(argument):
    """The types of LLVM that one argument is passed as."""
    if argument["kind"] == "array":
        return ["ptr", "ptr", "i64", "i64", "ptr", *["i64"] * (2 * argument["ndim"])]
    return WORDS[argument["kind"]]


def compiled(made):
    """LLVM's module of a kernel, the name of its function there, and the words it takes.

    The function is made anew: neither its code nor that of its helpers comes from a cache or goes into one.
    """
    options = {name: value for name, value in made.dispatcher.targetoptions.items() if name != "nopython"}
    options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # Python will not call it
    twin = njit(**options)(made.dispatcher.py_func)
    signature = tuple(twin.typeof_pyval(value) for value in made.example)
    twin.compile(signature)
    result = twin.overloads[signature]
    answers = list(result.signature.return_type)
    if answers != [types.int64] * len(made.returns):
        raise AssertionError(f"a kernel returns {answers}; the description says {len(made.returns)} int64.")
    return llvm.parse_assembly(result.library.get_llvm_str()), result.fndesc.llvm_func_name


def object_code(module, name, arguments):
    """Machine code for WebAssembly; the function is then called ``run``."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(opt=3, features=FEATURES, reloc="static")
    module.triple, module.data_layout = TRIPLE, str(machine.target_data)
    entry = module.get_function(name)
    entry.name = ENTRY
    # Where the answer goes, where an exception goes, then the arguments.
    expected = ["ptr", "ptr", *(word for argument in arguments for word in words_of(argument))]
    passed = [str(argument.type) for argument in entry.arguments]
    if passed != expected:
        raise AssertionError(f"numba passes {' '.join(passed)}; the description says {' '.join(expected)}.")
    for value in [*module.functions, *module.global_variables]:
        if not value.is_declaration and value.name != ENTRY:
            value.linkage = "internal"
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    last = llvm.create_new_module_pass_manager()
    last.add_global_dead_code_eliminate_pass()
    last.run(module, passes)
    return machine.emit_object(module)


def main(path, kind, policy):
    """Write one kernel's object file."""
    if config.CPU_NAME != "generic" or config.BOUNDSCHECK or config.DISABLE_JIT:
        raise SystemExit("memcg_lab.web.compile is started by: python -m memcg_lab web build")
    warnings.simplefilter("error")
    made = kernel(kind, policy)
    code = object_code(*compiled(made), arguments_of(made.parameters, made.example))
    pathlib.Path(path).write_bytes(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
