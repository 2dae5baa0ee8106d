# SPDX-License-Identifier: MIT
#
# make               build/dlmgr, build/libdlmgr.so.0, build/libdlmgr.a, man pages
# make demo          see it work      make check [T=name]   prove it      make bench    compare it
# make crash, storm, hostile, soak, faults, powerloss, upgrade  try it hard  make asan tsan fuzz cov  prove more    make lint format
# make deps          install the Debian packages that are missing (NODEPS=1: demo and check do not)
#
# Sources are found by themselves. A test program is any tests/*/*.c that defines main() or ends in TEST_MAIN().

B ?= build
CC ?= cc
AR ?= ar
PKG_CONFIG ?= pkg-config
OBJCOPY ?= objcopy
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
SYSTEMD_USER_UNIT_DIR ?= $(PREFIX)/lib/systemd/user
SYSTEMD_SYSTEM_UNIT_DIR ?= $(PREFIX)/lib/systemd/system
DESTDIR ?=
# The daemon tells systemd how it is, and takes over its socket, with libsystemd; the library does not know it. Anything but yes: without.
SYSTEMD ?= yes

WITH_SYSTEMD := $(filter yes,$(SYSTEMD))
VERSION := $(shell sed -n 's/^.define DLMGR_VERSION "\(.*\)"/\1/p' include/dlmgr.h)
DEPS := gcc g++ libc6-dev make pkg-config libcurl4-openssl-dev libsqlite3-dev libjansson-dev libuv1-dev libssl-dev \
	scdoc libcunit1-dev libglib2.0-dev nginx-light curl openssl faketime $(if $(WITH_SYSTEMD),libsystemd-dev systemd)

PKGS := libcurl sqlite3 jansson libuv libssl libcrypto
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)
SYSTEMD_LIBS := $(if $(WITH_SYSTEMD),$(shell $(PKG_CONFIG) --cflags --libs libsystemd 2>/dev/null))
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings \
	-Wundef -Wvla -Wformat=2 $(if $(WERROR),-Werror)
HARDEN := $(if $(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2) -fstack-protector-strong \
	-fstack-clash-protection $(if $(filter x86_64%,$(shell $(CC) -dumpmachine)),-fcf-protection)
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE -Iinclude -I. $(CPPFLAGS) $(PKG_CFLAGS) $(WARN) $(HARDEN) -fPIC \
	-fvisibility=hidden -ffile-prefix-map=$(CURDIR)=. -pthread $(CFLAGS) -MMD -MP -c -o $@ $<
LINK = $(CC) $(CFLAGS) -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)
BIN_LIBS = $(if $(WITH_SYSTEMD),$(or $(SYSTEMD_LIBS),$(error $(PKG_CONFIG) does not find libsystemd: try `make deps`, or SYSTEMD=no)))
LIBS = $(or $(PKG_LIBS),$(error $(PKG_CONFIG) does not find $(PKGS): try `make deps`)) -pthread
ifneq ($(V),1)
Q := @
say = @mkdir -p $(@D) && printf '  %-5s %s\n' $(1) $@
else
say = @mkdir -p $(@D)
endif

objs = $(patsubst %.c,$(B)/obj/%.o,$(1))
LIB_SRCS := $(wildcard dlmgr/*.c store/*.c)
BIN_SRCS := $(wildcard cli/*.c daemon/*.c)
PRELOAD_SRCS := $(wildcard tests/faults/preload*.c)
TEST_SRCS := $(filter-out $(PRELOAD_SRCS),$(wildcard tests/*/*.c bench/*.c))
EXAMPLES := $(patsubst %.c,$(B)/%,$(wildcard examples/*.c))
MAINS := $(if $(TEST_SRCS),$(shell grep -lE '^(int main|TEST_MAIN)\>' $(TEST_SRCS)))
TEST_LIB := $(filter-out $(MAINS),$(TEST_SRCS)) $(filter-out fixtures/server.c,$(wildcard fixtures/*.c))
PROGS := $(patsubst tests/%.c,$(B)/%,$(filter tests/%,$(MAINS))) $(patsubst %.c,$(B)/%,$(filter bench/%,$(MAINS)))
MAN := $(patsubst docs/man/%.scd,$(B)/man/%,$(wildcard docs/man/*.scd))
OTHERS := $(patsubst %,$(B)/as/%/dlmgr,1.0.0-1-2 2.0.0-2-3 3.0.0-4-5) $(B)/as/1.0.0-1-2/listener
# What `check` runs: every test_* program and every story. Sanitizers need only those that run our code.
CODE_TESTS := $(foreach p,$(PROGS),$(if $(filter test_%,$(notdir $p)),$p)) \
	$(filter-out tests/faults/%,$(wildcard tests/cli/*.sh tests/cli/engine/*.sh tests/*/test_*.sh tests/embed/*.sh tests/flow/*.sh))
TESTS ?= $(CODE_TESTS) $(wildcard tests/faults/test_*.sh tests/lint/*.sh)

all: $(B)/libdlmgr.so $(B)/libdlmgr.a $(B)/dlmgr $(MAN)
tests: all $(B)/fixture-server $(B)/faults/preload.so $(PROGS) $(OTHERS) examples
examples: $(EXAMPLES)
all tests examples:
	@:

$(B)/obj/%.o: %.c
	$(call say,CC)
	$(Q)$(COMPILE)

$(B)/libdlmgr.so.0: $(call objs,$(LIB_SRCS)) dlmgr/dlmgr.map
	$(call say,LD)
	$(Q)$(LINK) -shared -Wl,-soname,$(@F) -Wl,--version-script=dlmgr/dlmgr.map -o $@ $(filter %.o,$^) $(LIBS)
$(B)/libdlmgr.so: $(B)/libdlmgr.so.0
	$(Q)ln -sf $(<F) $@
# One object with the hidden symbols made local, so that a program linking libdlmgr.a sees dlmgr_* alone.
$(B)/libdlmgr.a: $(call objs,$(LIB_SRCS))
	$(call say,AR)
	$(Q)$(CC) -r -nostdlib -o $(B)/libdlmgr.o $^ && $(OBJCOPY) --localize-hidden $(B)/libdlmgr.o
	$(Q)rm -f $@ && $(AR) rcsD $@ $(B)/libdlmgr.o
$(B)/libdlmgr-test.a: $(call objs,$(LIB_SRCS))
$(B)/libtest.a: $(call objs,$(TEST_LIB))
$(B)/libdlmgr-test.a $(B)/libtest.a:
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) qcsD $@ $^

$(call objs,$(wildcard daemon/*.c)): CPPFLAGS += $(if $(WITH_SYSTEMD),-DDLMGR_SYSTEMD $(filter -I%,$(SYSTEMD_LIBS)))
$(B)/dlmgr: $(call objs,$(BIN_SRCS)) $(B)/libdlmgr.a
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBS) $(BIN_LIBS)
# The same as another version that speaks other protocols, VERSION-OLDEST-NEWEST: three objects know these numbers.
NUMBERED := dlmgr/hello dlmgr/api_text dlmgr/target
number = $(word $(1),$(subst -, ,$*))
link-numbered = $(LINK) -pie -fPIC -D_GNU_SOURCE -Iinclude -I. $(CPPFLAGS) $(PKG_CFLAGS) -DDLMGR_VERSION='"$(call number,1)"' \
	-DDLM_PROTOCOL_OLDEST=$(call number,2) -DDLM_PROTOCOL_NEWEST=$(call number,3) -o $@ $(NUMBERED:=.c) \
	$(filter-out $(call objs,$(NUMBERED:=.c)),$^) $(LIBS)
$(B)/as/%/dlmgr: $(call objs,$(BIN_SRCS) $(LIB_SRCS))
	$(call say,LD)
	$(Q)$(link-numbered) $(BIN_LIBS)
$(B)/as/%/listener: $(B)/obj/tests/embed/listener.o $(call objs,$(LIB_SRCS))
	$(call say,LD)
	$(Q)$(link-numbered)
$(B)/fixture-server: $(call objs,$(wildcard fixtures/*.c))
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ -pthread
# Never with a sanitizer or for coverage: it stands between those and the C library.
$(B)/faults/preload.so: $(PRELOAD_SRCS) $(wildcard tests/faults/*.h)
	$(call say,LD)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -I. $(WARN) -O2 -g -fPIC -fvisibility=hidden -shared -pthread -o $@ $(PRELOAD_SRCS)
# An embedding program sees what any other program sees: the shared library.
$(B)/embed/%: $(B)/obj/tests/embed/%.o $(B)/libtest.a $(B)/libdlmgr.so
	$(call say,LD)
	$(Q)$(LINK) -pie -Wl,-rpath,'$$ORIGIN/..' -o $@ $^ $(LIBS) -lcunit
# Built as its own comment says, but with our warnings. One whose library is missing is left out, and its test then fails.
$(B)/examples/%: examples/%.c include/dlmgr.h $(B)/libdlmgr.so
	$(call say,CC)
	$(Q)pkgs=$$(sed -n 's/^ \*  .*--libs dlmgr *\([^)]*\))$$/\1/p' $<); \
	if [ -z "$$pkgs" ] || $(PKG_CONFIG) --exists $$pkgs; then \
		$(LINK) $(WARN) -Wno-unused-parameter -Iinclude $${pkgs:+$$($(PKG_CONFIG) --cflags $$pkgs)} -Wl,-rpath,'$$ORIGIN/..' \
			-o $@ $< $(B)/libdlmgr.so $${pkgs:+$$($(PKG_CONFIG) --libs $$pkgs)}; \
	else echo "        not built: $(PKG_CONFIG) does not find $$pkgs; make deps installs it"; fi
$(B)/bench/%: $(B)/obj/bench/%.o $(B)/libtest.a $(B)/libdlmgr-test.a
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBS) -lcunit
$(B)/%: $(B)/obj/tests/%.o $(B)/libtest.a $(B)/libdlmgr-test.a
	$(call say,LD)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBS) -lcunit
$(B)/man/%: docs/man/%.scd include/dlmgr.h
	$(call say,MAN)
	$(Q)sed 's/@VERSION@/$(VERSION)/g' $< | SOURCE_DATE_EPOCH=0 scdoc | sed '/^\.TH/s/1970-01-01//' >$@.tmp && mv $@.tmp $@

# Asks what is missing; root and the network are needed only when something is.
deps:
	@command -v dpkg-query >/dev/null || { echo 'not Debian: needed is what $(DEPS) stand for'; exit 0; }; \
	have=$$(dpkg-query -W -f '$${db:Status-Abbrev} $${Package}\n' $(DEPS) 2>/dev/null | sed -n 's/^.i. *//p'); \
	missing=$$(for p in $(DEPS); do echo "$$have" | grep -qx "$$p" || echo "$$p"; done); \
	[ -z "$$missing" ] && exit 0; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	echo "installing:" $$missing; $$sudo apt-get update -q && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing

# A second make, since this one asked pkg-config before deps could install anything.
with-deps = $(if $(NODEPS),,$(Q)$(MAKE) --no-print-directory deps DEPS='$(DEPS) $(1)')
again = +$(Q)$(MAKE) --no-print-directory
demo:
	$(with-deps)
	$(again) tests
	$(Q)B=$(B) tests/demo.sh
check:
	$(with-deps)
	$(again) tests
	$(again) run-tests
run-tests:
	$(Q)B=$(B) CC='$(CC)' WERROR=$(WERROR) SLOW=$(SLOW) T=$(T) tests/run.sh $(TESTS)
crash:
	$(with-deps)
	$(again) tests
	$(Q)B=$(B) tests/crash/crash.sh
# Each state that a power cut could leave: STATES at least, and what is found with each important sync taken out.
powerloss: tests
	$(Q)B=$(B) tests/power/power.sh
# FILES tasks of one session and KILLS kills, embedded and with the service.
storm: tests
	$(Q)B=$(B) tests/crash/storm.sh
# Servers, files and machines that lie, and the same table against other tools (TOOLS).
hostile:
	$(call with-deps,aria2 wget)
	$(again) tests
	$(Q)B=$(B) tests/hostile/all.sh
# Random everything for SOAK seconds.
soak: tests
	$(Q)SOAK=$(or $(SOAK),3600) DLMGR=$(B)/dlmgr $(B)/soak/test_soak
# Replacing the program under load, ROUNDS times.
upgrade: tests
	$(Q)B=$(B) ROUNDS=$(or $(ROUNDS),100) tests/upgrade.sh
# One call or allocation after another fails; N of the cases, chosen by SEED (0: all).
faults: tests
	$(Q)$(abspath $(B))/faults/faults -j $(or $(J),2) --some $(or $(N),4000) --seed $(or $(SEED),1)
bench:
	$(call with-deps,aria2)
	$(again) tests
	$(Q)B=$(B) bench/run.sh

SAN := -O1 -g -fno-omit-frame-pointer -fsanitize
code-check = $(again) check B=$(B)/$@ HARDEN= TESTS='$(patsubst $(B)/%,$(B)/$@/%,$(filter-out $(1),$(CODE_TESTS)))'
asan:
	$(call code-check) SLOW=3 CFLAGS='$(SAN)=address,undefined -fno-sanitize-recover=undefined'
# The thread sanitizer and coverage make calls of their own, so the killer's exact counts are not asked for.
tsan:
	$(call code-check,$(B)/crash/test_killer) SLOW=5 CFLAGS='$(SAN)=thread'
cov:
	$(Q)rm -rf $(B)/cov
	$(call code-check,$(B)/crash/test_killer) SLOW=3 CFLAGS='-O1 -g --coverage -fprofile-update=atomic -fno-inline'
	$(Q)tests/cov.sh $(B)/cov

# TIME (60) seconds of each target, or RUNS executions; T=NAME: of that one.
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz:
	$(call with-deps,clang libclang-rt-dev)
	$(again) B=$(B)/libfuzzer CC=clang HARDEN= WERROR= CFLAGS='$(SAN)=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' \
		LDFLAGS=-fsanitize=fuzzer $(patsubst %,$(B)/libfuzzer/fuzz/fuzz_%,$(or $(T),$(FUZZ)))
	$(Q)B=$(B)/libfuzzer RUNS=$(RUNS) TIME=$(TIME) tests/fuzz/fuzz.sh $(or $(T),$(FUZZ))

C_FILES := $(wildcard include/*.h dlmgr/*.[ch] store/*.[ch] daemon/*.[ch] cli/*.[ch] fixtures/*.[ch] bench/*.[ch] \
	tests/*/*.[ch] examples/*.c)
lint:
	$(call with-deps,clang-format clang-tidy cppcheck shellcheck)
	$(Q)tests/lint.sh $(C_FILES)
format:
	$(Q)clang-format -i $(C_FILES)

install: all
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR) $(BASHCOMPDIR))
	install -m 755 $(B)/dlmgr $(DESTDIR)$(BINDIR)/dlmgr
	install -m 644 $(B)/libdlmgr.so.0 $(B)/libdlmgr.a $(DESTDIR)$(LIBDIR)/
	ln -sf libdlmgr.so.0 $(DESTDIR)$(LIBDIR)/libdlmgr.so
	install -m 644 include/dlmgr.h $(DESTDIR)$(INCLUDEDIR)/dlmgr.h
	install -m 644 completions/dlmgr.bash $(DESTDIR)$(BASHCOMPDIR)/dlmgr
	sed -e 's,@PREFIX@,$(PREFIX),; s,@LIBDIR@,$(LIBDIR),; s,@INCLUDEDIR@,$(INCLUDEDIR),; s,@VERSION@,$(VERSION),' \
		packaging/dlmgr.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/dlmgr.pc
	install -d $(DESTDIR)$(SYSTEMD_USER_UNIT_DIR) $(DESTDIR)$(SYSTEMD_SYSTEM_UNIT_DIR)
	install -m 644 packaging/dlmgr.socket $(DESTDIR)$(SYSTEMD_USER_UNIT_DIR)/dlmgr.socket
	sed 's,@BINDIR@,$(BINDIR),' packaging/dlmgr.service.in >$(DESTDIR)$(SYSTEMD_USER_UNIT_DIR)/dlmgr.service
	sed 's,@BINDIR@,$(BINDIR),' packaging/dlmgr@.service.in >$(DESTDIR)$(SYSTEMD_SYSTEM_UNIT_DIR)/dlmgr@.service
	$(foreach m,$(MAN),install -D -m 644 $(m) $(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(m)))/$(notdir $(m)) &&) :
uninstall:
	rm -f $(addprefix $(DESTDIR),$(BINDIR)/dlmgr $(LIBDIR)/libdlmgr.so.0 $(LIBDIR)/libdlmgr.so $(LIBDIR)/libdlmgr.a \
		$(LIBDIR)/pkgconfig/dlmgr.pc $(INCLUDEDIR)/dlmgr.h $(BASHCOMPDIR)/dlmgr \
		$(SYSTEMD_USER_UNIT_DIR)/dlmgr.socket $(SYSTEMD_USER_UNIT_DIR)/dlmgr.service $(SYSTEMD_SYSTEM_UNIT_DIR)/dlmgr@.service \
		$(foreach m,$(MAN),$(MANDIR)/man$(subst .,,$(suffix $(m)))/$(notdir $(m))))
clean:
	rm -rf $(B)

.PHONY: all tests examples deps demo check run-tests crash storm hostile soak faults powerloss upgrade bench asan tsan fuzz cov lint format install uninstall clean
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell [ ! -d $(B)/obj ] || find $(B)/obj -name '*.d')
