# The front door of muster. CMake does the building: see CMakePresets.json.
#
#   make          what is missing installed, then the library and the command built
#   make demo     the main job on files that this machine has
#   make check    everything that is a check; what CI runs
#   make help     the rest

PREFIX ?= /usr/local
BUILD   = build/release

.PHONY: all everything setup configure demo check test torture mutants install format clean help \
        seeds bench bench-map bench-team bench-process bench-channel

# What is installed, and the examples; not the tests, which are most of the files.
all: configure
	cmake --build $(BUILD) --target muster cli/all examples/all man3

everything: configure
	cmake --build $(BUILD)

setup:
	@tools/setup.sh build

configure: setup
	@cmake --preset release >/dev/null

demo: all
	@tools/demo.sh $(BUILD)

check:
	@tools/check/all.sh

# The tests of one build, without the static checks: seconds.
test: everything
	ctest --preset release -j "$$(nproc)" -LE static

# Parts of it by PART='killed deeds:segv*'; more or less: see tools/torture.sh.
torture: everything
	tools/torture.sh $(BUILD) $(PART)

# The random works of the tests, from many seeds: SEEDS=3000.
seeds: everything
	tools/seeds.sh $(BUILD) $(or $(SEEDS),1000)

bench: bench-map

# tools/setup.sh bench installs rivals; those that are missing are named.
bench-map bench-team bench-process bench-channel: all
	cmake --build $(BUILD) --target $@

# Each promise is broken in a copy of the tree; its test has to fail. An hour or so;
# those of one area: AREA=channel.
mutants: setup
	@tools/check/mutants.sh $(AREA)

install: all
	DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)"
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

# What the last install from this build wrote, and its folders that are empty then.
uninstall:
	@[ -f $(BUILD)/install_manifest.txt ] || { echo 'uninstall: nothing was installed from $(BUILD)' >&2; exit 1; }
	@sed 's|^|$(DESTDIR)|' $(BUILD)/install_manifest.txt | xargs -d '\n' rm -f
	@sed -n 's|^\(.*/muster\)/.*|$(DESTDIR)\1|p' $(BUILD)/install_manifest.txt | sort -u | \
	    xargs -d '\n' -r rmdir --ignore-fail-on-non-empty
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

format:
	git ls-files '*.[ch]' | xargs clang-format -i

clean:
	rm -rf build

help:
	@echo 'make                    build (installs what is missing from Debian packages)'
	@echo 'make demo               count the words of this machine, then survive a crash'
	@echo 'make test               the tests of the release build'
	@echo 'make check              all compilers, sanitizers, tests and static checks'
	@echo 'make torture            each deed among 10,000 innocents, kills by the hundred, and what'
	@echo "                        each cost; parts of it with PART='killed deeds:segv*'"
	@echo 'make seeds              the random tests of the team, with SEEDS=1000 seeds'
	@echo 'make mutants            break each promise, and see its test fail; with AREA=channel'
	@echo '                        those of one of tools/check/mutants/*.list'
	@echo 'make bench              the map suite, beside its rivals'
	@echo 'make bench-team         fork and join; also bench-process, bench-channel'
	@echo 'make install PREFIX=/usr/local DESTDIR=, and make uninstall'
	@echo 'make format, make clean'
