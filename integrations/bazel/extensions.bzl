"""For MODULE.bazel:

    bazel_dep(name = "coffer", version = "0.1.0")
    coffer = use_extension("@coffer//:extensions.bzl", "coffer")
    coffer.cc_toolchain(name = "coffer_cc")
    use_repo(coffer, "coffer_cc")
    register_toolchains("@coffer_cc//:toolchain")
"""

load(":toolchain.bzl", "coffer_cc_toolchain")

_cc_toolchain = tag_class(attrs = {
    "builtin_include_directories": attr.string_list(),
    "coffer": attr.string(),
    "compiler": attr.string(default = "/usr/bin/gcc"),
    "launcher": attr.bool(default = True),
    "name": attr.string(mandatory = True),
})

def _coffer_impl(ctx):
    for module in ctx.modules:
        for t in module.tags.cc_toolchain:
            coffer_cc_toolchain(
                name = t.name,
                builtin_include_directories = t.builtin_include_directories,
                coffer = t.coffer,
                compiler = t.compiler,
                launcher = t.launcher,
            )

coffer = module_extension(implementation = _coffer_impl, tag_classes = {"cc_toolchain": _cc_toolchain})
