"""A C and C++ toolchain whose compiler is run by coffer, or is the one that workers have.

    coffer_cc_toolchain(name = "coffer_cc")                        # coffer gcc, in Bazel's sandbox, too
    coffer_cc_toolchain(name = "farm_cc", launcher = False)        # plain /usr/bin/gcc, for actions that run on the farm

The headers of compilers are those below a few directories of the system, whichever version the compiler is: so the machine that Bazel
runs on need not have the compiler of the workers' image.
"""

# What leads coffer to its daemon and its settings. Bazel's actions have no environment, so it is written down when the toolchain is set
# up, and again when one of these changes.
_VARIABLES = [
    "COFFER_CACHE_DIR",
    "COFFER_CONFIG",
    "COFFER_RUNTIME_DIR",
    "HOME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
]

_BUILTIN_DIRECTORIES = [
    "/usr/include",
    "/usr/lib/clang",
    "/usr/lib/gcc",
    "/usr/lib/gcc-cross",
    "/usr/lib/llvm",
    "/usr/lib64/clang",
    "/usr/lib64/gcc",
    "/usr/local/include",
]

_BUILD = """
load("@bazel_tools//tools/cpp:unix_cc_toolchain_config.bzl", "cc_toolchain_config")

package(default_visibility = ["//visibility:public"])

filegroup(name = "empty")

filegroup(name = "tools", srcs = glob(["bin/*"], allow_empty = True))

cc_toolchain_config(
    name = "config",
    abi_libc_version = "local",
    abi_version = "local",
    builtin_sysroot = "",
    compile_flags = ["-fstack-protector", "-Wall", "-fno-omit-frame-pointer"],
    compiler = "{compiler}",
    coverage_compile_flags = ["--coverage"],
    coverage_link_flags = ["--coverage"],
    cpu = "{cpu}",
    cxx_builtin_include_directories = {builtin},
    cxx_flags = ["-std=c++17"],
    dbg_compile_flags = ["-g"],
    host_system_name = "local",
    link_flags = ["-Wl,-z,relro,-z,now"],
    link_libs = ["-lstdc++", "-lm"],
    opt_compile_flags = ["-g0", "-O2", "-DNDEBUG", "-ffunction-sections", "-fdata-sections"],
    opt_link_flags = ["-Wl,--gc-sections"],
    supports_start_end_lib = False,
    target_libc = "local",
    target_system_name = "local",
    tool_paths = {tools},
    toolchain_identifier = "{name}",
    unfiltered_compile_flags = [
        "-fno-canonical-system-headers",
        "-Wno-builtin-macro-redefined",
        "-D__DATE__=\\"redacted\\"",
        "-D__TIMESTAMP__=\\"redacted\\"",
        "-D__TIME__=\\"redacted\\"",
    ],
)

cc_toolchain(
    name = "cc",
    all_files = ":tools",
    ar_files = ":tools",
    as_files = ":tools",
    compiler_files = ":tools",
    dwp_files = ":empty",
    linker_files = ":tools",
    objcopy_files = ":empty",
    strip_files = ":tools",
    supports_param_files = 1,
    toolchain_config = ":config",
    toolchain_identifier = "{name}",
)

toolchain(
    name = "toolchain",
    exec_compatible_with = ["@platforms//cpu:{cpu}", "@platforms//os:linux"],
    target_compatible_with = ["@platforms//cpu:{cpu}", "@platforms//os:linux"],
    toolchain = ":cc",
    toolchain_type = "@bazel_tools//tools/cpp:toolchain_type",
)
"""

_WRAPPER = """#!/bin/sh
# Bazel gives a compile no environment but PATH: this leads coffer to its daemon. Whatever goes wrong there, the compiler runs.
{variables}
exec {coffer} {compiler} "$@"
"""

def _quote(text):
    return "'" + text.replace("'", "'\\''") + "'"

def _write_wrapper(ctx, compiler):
    coffer = ctx.attr.coffer or ctx.which("coffer")
    if not coffer:
        fail("coffer is not in PATH: install it, or say coffer_cc_toolchain(coffer = \"/path/to/coffer\")")
    known = ["export %s=%s" % (v, _quote(ctx.os.environ[v])) for v in _VARIABLES if ctx.os.environ.get(v)]
    ctx.file("bin/cc", _WRAPPER.format(
        variables = "\n".join(known),
        coffer = _quote(str(coffer)),
        compiler = _quote(compiler),
    ), executable = True)
    return "bin/cc"

def _cpu(ctx):
    machine = ctx.execute(["uname", "-m"]).stdout.strip()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)

def _cc_toolchain_impl(ctx):
    compiler = ctx.attr.compiler
    gcc = _write_wrapper(ctx, compiler) if ctx.attr.launcher else compiler
    directory = compiler.rpartition("/")[0]
    tools = {name: "%s/%s" % (directory, name) for name in ["ar", "ld", "nm", "objcopy", "objdump", "strip"]}
    tools.update({"cpp": compiler, "dwp": directory + "/dwp", "gcc": gcc, "gcov": directory + "/gcov", "llvm-cov": directory + "/llvm-cov"})
    ctx.file("BUILD", _BUILD.format(
        name = ctx.name.rpartition("~")[2].rpartition("+")[2],
        builtin = repr(_BUILTIN_DIRECTORIES + ctx.attr.builtin_include_directories),
        compiler = compiler.rpartition("/")[2],
        cpu = _cpu(ctx),
        tools = repr(tools),
    ))

coffer_cc_toolchain = repository_rule(
    implementation = _cc_toolchain_impl,
    attrs = {
        "builtin_include_directories": attr.string_list(doc = "where else the compiler has headers of its own"),
        "coffer": attr.string(doc = "the launcher; empty: the one in PATH"),
        "compiler": attr.string(default = "/usr/bin/gcc", doc = "absolute; it links C++, too"),
        "launcher": attr.bool(default = True, doc = "False: the compiler runs without coffer, as on the farm's workers"),
    },
    doc = "A repository with a toolchain `:toolchain` to register.",
    environ = _VARIABLES + ["PATH"],
)
