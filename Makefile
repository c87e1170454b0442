# coffer: one makefile for the whole tree; a build folder per variant. `make help` lists what can be asked for.
.DEFAULT_GOAL := all
VERSION := 0.1.0
# V=1 shows every command.
Q := $(if $(V),,@)
say = @$(if $(V),:,printf '  %-5s %s\n')
PREFIX ?= /usr/local
DESTDIR ?=
VARIANT ?= release
B := build/$(VARIANT)

ifeq ($(origin CC),default)
CC := gcc
endif
# The launcher starts once for every compile. A static musl program starts several times faster than a static glibc one.
LAUNCHER_CC ?= $(if $(shell command -v musl-gcc),musl-gcc,$(CC))
# musl-gcc does not see the kernel's headers.
KERNEL_HEADERS := $(addprefix -idirafter /usr/include/,. $(shell $(CC) -print-multiarch))
PKGS := libzstd zlib libxxhash jansson inih libnghttp2 openssl libprotobuf-c libseccomp libarchive sqlite3 libelf libcurl hiredis expat
PKG_CONFIG ?= pkg-config

WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wwrite-strings -Wundef -Wformat=2
CPPFLAGS += -I. -I$(B) -D_GNU_SOURCE -DCOFFER_VERSION='"$(VERSION)"' -DCOFFER_SYSCONFDIR='"/etc"'
OPT ?= -O2 -g
CFLAGS_ALL = -std=c17 $(OPT) $(WARN) $(WERROR) $(SAN) $(CFLAGS)
HARDEN := -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2
LIB_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(PKGS))
LIB_LIBS = $(shell $(PKG_CONFIG) --libs $(PKGS)) -lpthread

WERROR :=
SAN :=
ifdef CI
WERROR := -Werror
endif
# One build for the unit tests under the address sanitizer and for the fuzz targets. Clang without optimisation makes it in a
# quarter of the time that gcc -O1 takes, and an access that is not optimised away is one that is seen.
ifeq ($(VARIANT),asan)
CC := clang
OPT := -O0 -g1
SAN := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -fno-omit-frame-pointer
HARDEN :=
endif
ifeq ($(VARIANT),tsan)
OPT := -O1 -g1
SAN := -fsanitize=thread -fno-omit-frame-pointer
HARDEN :=
endif

# ---- what is built ------------------------------------------------------------------------------------------------
# A folder is what may be linked together: each becomes one archive, and a program is a list of whole folders.
# docs/architecture.md has the picture, tools/lint the arrows.
COMPILE := depscan compiler observe store codec/sha codec base
SERVICE := image/registry store/shared store/remote reapi/client reapi image audit/index audit service settings remote/net remote loop auth proto
COFFERD := client/verbs client/daemon client/job client/services client/farm client client/wire jobserver jobserver/client \
	scheduler gateway worker worker/runtime sourcetree $(SERVICE) $(COMPILE)
cofferd_FOLDERS := main $(COFFERD)
agent_FOLDERS := agent remote loop proto codec base
# Static, and without any library: they start once for every compile or command.
launcher_FOLDERS := client/launcher client/wire jobserver/client base
gate_FOLDERS := jobserver/gate jobserver/client base

archive = $(B)/$(1)/lib.a
launcher_archive = $(B)/launcher/$(1)/lib.a
archives = $(foreach d,$(1),$(call archive,$(d)))
PROTO_SRC := $(wildcard proto/*.proto)
SOURCES = $(if $(filter proto,$(1)),$(PROTO_SRC:%.proto=$(B)/%.pb-c.o),$(patsubst %.c,$(B)/%.o,$(wildcard $(1)/*.c)))
UNIT_SRC := $(wildcard tests/unit/test_*.c)
FUZZ_SRC := $(wildcard fuzz/*.c)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
FUZZ_BIN := $(FUZZ_SRC:fuzz/%.c=$(B)/fuzz/%)
# What unit tests, fuzz targets and the programs of tests may link.
TESTED := client/launcher $(COFFERD) agent
# They are many, and a fast linker takes a quarter of the time of the usual one.
TEST_LD := $(if $(shell command -v ld.lld),-fuse-ld=lld)
grouped = -Wl,--start-group $(1) -Wl,--end-group

.PHONY: all
all: $(B)/coffer $(B)/cofferd $(B)/coffer-agent $(B)/coffer-gate $(B)/libcoffer-gate.so $(B)/libcoffer-follow.so

define folder_rule
$(call archive,$(1)): $(call SOURCES,$(1))
	@rm -f $$@ && $(AR) rcs $$@ $$^
endef
$(foreach d,$(sort $(cofferd_FOLDERS) $(TESTED)),$(eval $(call folder_rule,$(d))))
define launcher_rule
$(call launcher_archive,$(1)): $(patsubst %.c,$(B)/launcher/%.o,$(wildcard $(1)/*.c))
	@rm -f $$@ && $(AR) rcs $$@ $$^
endef
$(foreach d,$(sort $(launcher_FOLDERS) $(gate_FOLDERS)),$(eval $(call launcher_rule,$(d))))

$(B)/cofferd: $(call archives,$(cofferd_FOLDERS))
	$(say) LINK $@
	$(Q)$(CC) $(SAN) -pie $(LDFLAGS) -o $@ $(call grouped,$^) $(LIB_LIBS)

# Beside a job, in its sandbox or its microVM: static, and without TLS, keys and settings, which are the worker's.
$(B)/coffer-agent: $(call archives,$(agent_FOLDERS))
# The agent of a guest that comes to a bad end, for the tests of microVMs.
$(B)/programs/mortal_agent: $(B)/tests/e2e/microvm/mortal.o $(call archives,$(agent_FOLDERS))
$(B)/coffer-agent $(B)/programs/mortal_agent:
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(SAN) $(if $(SAN),,-static) -o $@ $(call grouped,$^) $(shell $(PKG_CONFIG) --static --libs libnghttp2 libprotobuf-c libzstd zlib libxxhash jansson) -lpthread

$(B)/coffer: $(foreach d,$(launcher_FOLDERS),$(call launcher_archive,$(d)))
	$(say) LINK $@
	$(Q)$(LAUNCHER_CC) -static -o $@ $(call grouped,$^)

# What stands before the commands of a ninja that knows no jobserver.
$(B)/coffer-gate: $(foreach d,$(gate_FOLDERS),$(call launcher_archive,$(d)))
	$(say) LINK $@
	$(Q)$(LAUNCHER_CC) -static -o $@ $(call grouped,$^)

# What is loaded into other programs: into such a ninja, and into scripts that stand where a compiler is expected.
$(B)/libcoffer-gate.so: $(wildcard jobserver/preload/*.[ch]) jobserver/client/hello.c jobserver/client/lease.h
$(B)/libcoffer-follow.so: $(wildcard client/follow/*.c) base/preload.c base/preload.h base/compile_words.h compiler/names.c compiler/names.h
$(B)/libcoffer-gate.so $(B)/libcoffer-follow.so:
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) -std=c17 -O2 -g $(WARN) $(WERROR) $(CPPFLAGS) -fPIC -fvisibility=hidden -shared -o $@ $(filter %.c,$^)

$(B)/launcher/%.o: %.c
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(LAUNCHER_CC) -std=c17 -O2 -g $(WARN) -Wno-conversion -Wno-sign-conversion $(WERROR) $(CPPFLAGS) $(KERNEL_HEADERS) \
		-fno-stack-protector -MMD -MP -c -o $@ $<

# Generated from the messages of proto/. Not from the services: remote/ calls them, and `Register` is no name in C.
TEST_PROTO_OBJ := $(patsubst %.proto,$(B)/%.pb-c.o,$(wildcard tests/programs/*.proto))
PROTO_H := $(PROTO_SRC:%.proto=$(B)/%.pb-c.h) $(TEST_PROTO_OBJ:.o=.h)
$(B)/%.pb-c.c $(B)/%.pb-c.h: %.proto
	@mkdir -p $(@D)
	$(say) PROTO $@
	$(Q)sed '/^service /,/^}/d' $< >$(@D)/$(<F) && protoc-c --proto_path=$(@D) --c_out=$(@D) $(@D)/$(<F)

$(B)/%.pb-c.o: $(B)/%.pb-c.c
	$(say) CC $@
	$(Q)$(CC) -std=c17 $(OPT) $(SAN) $(CFLAGS) $(HARDEN) -I$(@D) -c -o $@ $<

# The operators' page, as a string of C.
PAGE := $(B)/service/page.inc
$(PAGE): service/page.html
	@mkdir -p $(@D)
	$(Q){ echo 'static const char page[] ='; sed 's/[\\"]/\\&/g; s/^/"/; s/$$/\\n"/' $<; echo ';'; } >$@
$(B)/service/admin.o clang: $(PAGE)

$(B)/%.o: %.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(CC) $(CFLAGS_ALL) $(HARDEN) $(CPPFLAGS) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

# In an archive, so that it counts only where a program has no main() of its own.
$(B)/unit-main.a: $(B)/tests/unit/main.o
	@rm -f $@ && $(AR) rcs $@ $^

$(B)/unit/%: $(B)/tests/unit/%.o $(B)/unit-main.a $(call archives,$(TESTED))
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(SAN) -pie $(TEST_LD) $(LDFLAGS) -o $@ $(call grouped,$^) $(shell $(PKG_CONFIG) --libs check libjwt) $(LIB_LIBS)

# bench/routes.sh
$(B)/bin-routes: $(B)/bench/routes.o $(call archives,$(TESTED))
	$(say) LINK $@
	$(Q)$(CC) $(SAN) -pie $(TEST_LD) $(LDFLAGS) -o $@ $(call grouped,$^) $(LIB_LIBS)

# What the end-to-end tests need besides coffer itself.
PROGRAM_BIN := $(patsubst tests/programs/%.c,$(B)/programs/%,$(wildcard tests/programs/*.c)) $(B)/programs/mortal_agent
.PHONY: programs
programs: $(PROGRAM_BIN)
$(B)/programs/%: $(B)/tests/programs/%.o $(TEST_PROTO_OBJ) $(call archives,$(TESTED))
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(SAN) -pie $(TEST_LD) $(LDFLAGS) -Wl,--as-needed -o $@ $(call grouped,$^) $(LIB_LIBS)

$(B)/fuzz/%: $(B)/fuzz/%.fuzz.o $(call archives,$(TESTED))
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(subst fuzzer-no-link,fuzzer,$(SAN)) $(TEST_LD) -o $@ $(call grouped,$^) $(LIB_LIBS)

$(B)/fuzz/%.fuzz.o: fuzz/%.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(CC) $(CFLAGS_ALL) $(CPPFLAGS) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d $(B)/*/*/*/*.d)
.SECONDARY:

# ---- tests --------------------------------------------------------------------------------------------------------
.PHONY: need-build need-check need-bench need-distros
need-build need-check need-bench need-distros: need-%:
	@tools/need $*

.PHONY: unit e2e traps fuzz
# Sanitizers, and others beside it, make a test slow, not wrong.
SLOW := CK_TIMEOUT_MULTIPLIER=$(if $(SAN),8,3)
unit: $(UNIT_BIN)
	@$(SLOW) tools/unit $(UNIT_BIN)

traps: all programs
	@tests/run traps

e2e: all programs
	@tests/run e2e

# Each fuzz target for a short time; FUZZ_SECONDS=600 for a long one.
FUZZ_SECONDS ?= 10
fuzz:
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=asan fuzz-run
.PHONY: fuzz-run
fuzz-run: $(FUZZ_BIN)
	@tools/fuzz $(FUZZ_SECONDS) $(FUZZ_BIN)

.PHONY: check check-all check-distros asan tsan clang
JOBS := $(shell nproc)
SUB = @$(MAKE) --no-print-directory -j$(JOBS)
# Prints what a part of the tests took.
part = @printf '== %s (%s s so far)\n' "$(1)" "$$(($$(date +%s) - $(BEGAN)))"
BEGAN := $(shell date +%s)
# What a contributor and CI run, in less than half an hour on two cores. Warnings are errors.
check check-all: export CI := 1
check: need-check
	$(call part,build)
	$(SUB) all programs
	$(call part,unit tests and lint)
	$(SUB) unit lint
	$(call part,address and undefined-behaviour sanitizers)
	$(SUB) clang CLANG_FILES='$(wildcard tests/programs/*.c)'
	$(SUB) asan
	$(call part,thread sanitizer)
	$(SUB) tsan
	$(call part,fuzz targets)
	$(SUB) fuzz FUZZ_SECONDS=2
	$(call part,end to end)
	@tests/run -s -j $$(($(JOBS) * 2))
	$(call part,done)

# Before a release: every test with both compilers, and what takes long.
check-all: need-check
	$(SUB) all programs
	$(SUB) unit
	$(SUB) lint clang
	@tools/tidy
	$(SUB) asan
	$(SUB) tsan
	$(SUB) fuzz FUZZ_SECONDS=20
	@FULL=1 tests/run -j $$(($(JOBS) * 2))
	@tests/observe
	@tests/options
	$(SUB) check-distros

# Builds, unit tests and demo in Debian 13 and sid.
check-distros: need-distros
	@tools/distros trixie sid

asan:
	$(SUB) VARIANT=asan unit

# The programs in which threads matter
THREADED := $(shell grep -lE '^.include .*(pthread|remote_fixture|store_fixture|sandbox_fixture|/(watch|files|directory_watch|findings)\.h)' tests/unit/test_*.c)
tsan:
	$(SUB) VARIANT=tsan unit-threaded
.PHONY: unit-threaded
unit-threaded: $(THREADED:tests/unit/%.c=$(B)/unit/%)
	@$(SLOW) tools/unit $^

# Clang's warnings about everything. `make check` asks for those about the files that no clang build has.
CLANG_FILES = $(shell git ls-files 'tests/unit/*.c' 'tests/programs/*.c' 'fuzz/*.c' $(sort $(cofferd_FOLDERS:%='%/*.c') $(TESTED:%='%/*.c')))
clang: $(PROTO_H)
	$(say) CLANG -fsyntax-only
	$(Q)printf '%s\n' $(CLANG_FILES) | xargs -P $(JOBS) -n 8 clang -fsyntax-only -std=c17 $(WARN) -Werror $(CPPFLAGS) $(LIB_CFLAGS)

.PHONY: lint format
lint: all
	@tools/lint

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

# ---- what a user does ---------------------------------------------------------------------------------------------
.PHONY: demo bench install uninstall clean help
demo: need-build
	@$(MAKE) --no-print-directory all
	@tools/demo

bench: need-bench all
	@bench/run

# The links stand before the real compilers in PATH: PATH=$(PREFIX)/lib/coffer:$$PATH
LINKS := gcc g++ cc c++ clang clang++
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/coffer $(DESTDIR)$(PREFIX)/lib/coffer
	install -m 755 $(B)/coffer $(DESTDIR)$(PREFIX)/bin/coffer
	install -m 755 $(B)/cofferd $(B)/coffer-agent $(B)/coffer-gate $(B)/libcoffer-gate.so \
		$(B)/libcoffer-follow.so $(DESTDIR)$(PREFIX)/libexec/coffer/
	install -d $(DESTDIR)$(PREFIX)/lib/cmake/Coffer
	install -m 644 integrations/cmake/*.cmake integrations/cmake/CMakePresets.json $(DESTDIR)$(PREFIX)/lib/cmake/Coffer/
	install -d $(DESTDIR)$(PREFIX)/share/coffer/bazel
	install -m 644 integrations/bazel/* $(DESTDIR)$(PREFIX)/share/coffer/bazel/
	for l in $(LINKS); do ln -sf ../../bin/coffer $(DESTDIR)$(PREFIX)/lib/coffer/$$l; done
	for s in 1 5 8; do install -d $(DESTDIR)$(PREFIX)/share/man/man$$s && \
		install -m 644 man/*.$$s $(DESTDIR)$(PREFIX)/share/man/man$$s/ || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for u in scheduler worker gateway; do sed 's#/usr/local/bin/coffer#$(PREFIX)/bin/coffer#' packaging/systemd/coffer-$$u.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/coffer-$$u.service || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -m 644 completion/coffer.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/coffer
	install -m 644 completion/_coffer $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_coffer

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/coffer
	rm -rf $(DESTDIR)$(PREFIX)/libexec/coffer $(DESTDIR)$(PREFIX)/lib/cmake/Coffer $(DESTDIR)$(PREFIX)/share/coffer/bazel
	rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/coffer-scheduler.service $(DESTDIR)$(PREFIX)/lib/systemd/system/coffer-worker.service \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/coffer-gateway.service
	rm -f $(LINKS:%=$(DESTDIR)$(PREFIX)/lib/coffer/%)
	rm -f $(foreach m,$(wildcard man/*.[158]),$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(m)))/$(notdir $(m)))
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/coffer $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_coffer

clean:
	rm -rf build

help:
	@echo "make            build coffer and cofferd in build/release"
	@echo "make demo       install what the build needs, build, and show coffer at work on its own sources"
	@echo "make check      what CI runs: install what the tests need, and test for half an hour"
	@echo "make check-all  everything: both compilers, soaks, long fuzz, clang-tidy, other distributions"
	@echo "make check-distros     build, unit tests and demo in Debian 13 and sid"
	@echo "make unit       only the unit tests;  make traps, make e2e: only those"
	@echo "make asan|tsan  build and run the unit tests with a sanitizer;  make clang: its warnings"
	@echo "make fuzz       every fuzz target for FUZZ_SECONDS (10)"
	@echo "make bench      compare with ccache and sccache on real projects (bench/README.md)"
	@echo "make lint       clang-format, cppcheck, include arrows, man pages; tools/tidy: clang-tidy"
	@echo "make format     apply .clang-format"
	@echo "make install    PREFIX=$(PREFIX), DESTDIR=; make uninstall takes it away"
	@echo "make clean      remove build/"
