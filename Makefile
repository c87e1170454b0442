# coffer: one makefile for the whole tree; a build folder per variant. `make help` lists what can be asked for.
.DEFAULT_GOAL := all
VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
VARIANT ?= release
B := build/$(VARIANT)

CC ?= gcc
# The launcher starts once for every compile. A static musl program starts several times faster than a static glibc one.
LAUNCHER_CC ?= $(if $(shell command -v musl-gcc),musl-gcc,$(CC))
PKGS := libzstd libxxhash jansson inih
PKG_CONFIG ?= pkg-config

WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wwrite-strings -Wundef -Wformat=2 -Wno-unknown-warning-option
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
ifeq ($(VARIANT),asan)
SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
HARDEN :=
endif
ifeq ($(VARIANT),tsan)
SAN := -fsanitize=thread -fno-omit-frame-pointer
HARDEN :=
endif
ifeq ($(VARIANT),clang)
CC := clang
endif
ifeq ($(VARIANT),fuzz)
CC := clang
SAN := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -fno-omit-frame-pointer
HARDEN :=
endif

# ---- what is built ------------------------------------------------------------------------------------------------
LIB_SRC := $(wildcard base/*.c store/*.c depscan/*.c jobserver/*.c)
DAEMON_SRC := $(wildcard client/*.c client/daemon/*.c client/verbs/*.c)
# What the launcher shares with the rest needs no library.
LAUNCHER_SRC := $(wildcard client/launcher/*.c) client/wire.c base/buf.c base/err.c base/mem.c
UNIT_SRC := $(wildcard tests/unit/*.c)
FUZZ_SRC := $(wildcard fuzz/*.c)

LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
DAEMON_OBJ := $(DAEMON_SRC:%.c=$(B)/%.o)
LAUNCHER_OBJ := $(LAUNCHER_SRC:%.c=$(B)/launcher/%.o)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
FUZZ_BIN := $(FUZZ_SRC:fuzz/%.c=$(B)/fuzz/%)
# Unit tests and fuzz targets see everything but the programs' main().
TESTABLE_OBJ := $(LIB_OBJ) $(filter-out $(B)/client/daemon/main.o,$(DAEMON_OBJ))

.PHONY: all
all: $(B)/coffer $(B)/cofferd

$(B)/cofferd: $(DAEMON_OBJ) $(LIB_OBJ)
	$(CC) $(SAN) -pie $(LDFLAGS) -o $@ $^ $(LIB_LIBS)

$(B)/coffer: $(LAUNCHER_OBJ)
	$(LAUNCHER_CC) -static $(LDFLAGS) -o $@ $^

$(B)/launcher/%.o: %.c
	@mkdir -p $(@D)
	$(LAUNCHER_CC) -std=c17 -O2 -g $(WARN) -Wno-conversion -Wno-sign-conversion $(WERROR) $(CPPFLAGS) -DCOFFER_LAUNCHER \
		-fno-stack-protector -MMD -MP -c -o $@ $<

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(HARDEN) $(CPPFLAGS) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/unit/%: $(B)/tests/unit/%.o $(TESTABLE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(SAN) -pie $(LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs check) $(LIB_LIBS)

$(B)/fuzz/%: $(B)/fuzz/%.fuzz.o $(TESTABLE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(SAN:fuzzer-no-link=fuzzer) -fsanitize=fuzzer -o $@ $^ $(LIB_LIBS)

$(B)/fuzz/%.fuzz.o: fuzz/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(CPPFLAGS) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d $(B)/*/*/*/*.d)
.SECONDARY:

# ---- tests --------------------------------------------------------------------------------------------------------
.PHONY: unit
unit: $(UNIT_BIN)
	@for t in $(UNIT_BIN); do echo "== $$t"; $$t || exit 1; done
