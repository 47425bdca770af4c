#!/bin/sh
# Compiles the crates that Rust tests given as code may use (rand, regex, md5) for the rustc that cages see, from the
# sources in Debian's packages. The libraries lie where cages can read them; `languages/rust.yaml` names the place.
# shellcheck disable=SC2046  # the lists are split, at line feeds only
set -eu

destination=${1:-/usr/local/lib/rollcage/rust}
registry=/usr/share/cargo/registry
rustc=/usr/bin/rustc

building=$(mktemp -d "$(dirname "$destination")/.rust.XXXXXX")
trap 'rm -rf "$building"' EXIT

# build NAME EDITION [OPTION...]: the library of the crate whose directory is NAME with `_` as `-` or as it is
build() {
    name=$1 edition=$2
    shift 2
    for source in "$registry/$name"-[0-9]*/src/lib.rs "$registry/$(echo "$name" | tr _ -)"-[0-9]*/src/lib.rs; do
        [ ! -e "$source" ] || break
    done
    "$rustc" --crate-name "$name" --crate-type rlib --edition "$edition" -O --cap-lints allow -C metadata=tests \
        -L "$building" --out-dir "$building" "$@" "$source"
}

# The paths are given because the compiler's own library has crates of these names.
with() {
    for name; do printf -- '--extern\n%s=%s/lib%s.rlib\n' "$name" "$building" "$name"; done
}

feature() {
    for name; do printf -- '--cfg\nfeature="%s"\n' "$name"; done
}

IFS='
'
build cfg_if 2018
# What the build script of libc finds out about any compiler of these years.
build libc 2015 $(feature std) --cfg libc_priv_mod_use --cfg libc_union --cfg libc_const_size_of --cfg libc_align \
    --cfg libc_int128 --cfg libc_core_cvoid --cfg libc_packedN --cfg libc_cfg_target_vendor \
    --cfg libc_non_exhaustive --cfg libc_ptr_addr_of --cfg libc_underscore_const_names --cfg libc_const_extern_fn
build getrandom 2018 $(feature std) $(with cfg_if libc)
build ppv_lite86 2021 $(feature simd std)
build rand_core 2018 $(feature alloc std getrandom) $(with getrandom)
build rand_chacha 2018 $(feature std) $(with ppv_lite86 rand_core)
build rand 2018 $(feature alloc std std_rng getrandom libc rand_chacha) \
    $(with libc rand_chacha rand_core)
build regex_syntax 2018 $(feature unicode unicode-age unicode-bool unicode-case unicode-gencat unicode-perl \
    unicode-script unicode-segment)
build regex 2018 $(feature std unicode unicode-age unicode-bool unicode-case unicode-gencat unicode-perl \
    unicode-script unicode-segment) $(with regex_syntax)
build md5 2015 $(feature std)

chmod 755 "$building"
rm -rf "$destination"
mv "$building" "$destination"
trap - EXIT
