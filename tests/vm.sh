# Virtual machines for tests/kernels and tests/image: Debian's kernels, and guests without KVM.
# Sourced. Everything that is downloaded stays in $CACHE; a name appears there only once it is whole.

CACHE=${DENET_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/denet-tests}
# A cold cache takes what is downloaded, unpacked, and a disk image.
NEEDED_MIB=3000
# A guest that prints nothing for so long hangs: without KVM the longest test takes a minute, and a wait for an
# event that never happens fails after four.
SILENT_S=${DENET_GUEST_SILENT_S:-600}
# Ends a guest that prints without end.
LIMIT_S=5400

vm_say() { echo "$(date +%H:%M:%S) $*"; }

# One user of the cache at a time. Removes what an interrupted run left half made, but not what DENET_TEST_KEEP kept.
vm_open_cache() {
    mkdir -p "$CACHE" || return 1
    exec 9>"$CACHE/lock"
    flock -n 9 || { echo "another run of the tests uses $CACHE: wait for it, or set DENET_TEST_CACHE" >&2; return 1; }
    for WORK in "$CACHE"/tmp.*; do [ -e "$WORK/kept" ] || rm -rf "$WORK"; done
    WORK=$(mktemp -d "$CACHE/tmp.XXXXXX") || return 1
    trap 'vm_close' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

vm_close() {
    local guests
    guests=$(jobs -p)
    [ -z "$guests" ] || kill -KILL $guests 2>/dev/null
    wait 2>/dev/null
    if [ -n "${DENET_TEST_KEEP:-}" ]; then : >"$WORK/kept"; else rm -rf "$WORK"; fi
}

vm_room() {
    local free
    free=$(df --output=avail -m "$CACHE" | tail -n 1)
    [ "$free" -ge "$NEEDED_MIB" ] && return 0
    echo "no room: $CACHE has $((free)) MiB free, $NEEDED_MIB are needed; make room, or set DENET_TEST_CACHE" >&2
    return 1
}

# The machine's own address of a suite: that of security, or that of everything else.
debian_uri() {
    local kind=main
    case $1 in *-security) kind=security ;; esac
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk -v kind=$kind '
        { is = ($2 ~ /-security$/) ? "security" : ($2 ~ /-/) ? "other" : "main"; if (is == kind) { print $1; exit } }'
}

# apt with a suite of its own, apart from the machine's.
suite_apt() {
    local tool=$1 suite=$2 dir=$WORK/apt-$2
    shift 2
    timeout --foreground 900 "$tool" -q -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State="$dir" -o Dir::State::Lists="$dir/lists" -o Dir::State::status="$dir/status" \
        -o Dir::Cache="$dir/cache" -o APT::Sandbox::User= -o Acquire::http::Timeout=20 -o Acquire::Retries=2 \
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Architecture=amd64 "$@"
}

suite_update() {
    local suite=$1 dir=$WORK/apt-$1 uri
    uri=$(debian_uri "$suite")
    [ -n "$uri" ] || { echo "the machine's package sources name no Debian archive for $suite" >&2; return 1; }
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    : >"$dir/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" >"$dir/sources.list"
    suite_apt apt-get "$suite" update --error-on=any
}

# The newest package of that name.
suite_package() {
    suite_apt apt-cache "$1" search --names-only "$2" | cut -d' ' -f1 | sort -V | tail -n 1
}

suite_version() {
    suite_apt apt-cache "$1" show --no-all-versions "$2" | awk '$1 == "Package:" { name = $2 } $1 == "Version:" { print name, $2; exit }'
}

# name · suite · package
VM_KERNELS='
sid   sid                ^linux-binary-[0-9].*-cloud-amd64$
6.12  bookworm-security  ^linux-image-6\.12\..*-cloud-amd64-unsigned$
6.1   bookworm           ^linux-image-6\.1\..*-cloud-amd64-unsigned$
5.10  bullseye           ^linux-image-5\.10\..*-cloud-amd64-unsigned$
'

# Whole, whatever has become of the cache.
vm_has_kernel() {
    local kernel=$CACHE/kernels/$1
    [ -s "$kernel/vmlinuz" ] && [ -s "$kernel/modules/lib/modules/$(cat "$kernel/release" 2>/dev/null)/modules.dep" ]
}

# vm_kernel NAME: $CACHE/kernels/NAME/{vmlinuz,release,modules,package}. A cached
# kernel is used; with VM_NEWEST=1 only if the suite has no newer one, or cannot be reached.
vm_kernel() {
    local name=$1 kernel=$CACHE/kernels/$1 suite pattern package modules= release
    read -r suite pattern < <(sed -n "s/^$name  *//p" <<<"$VM_KERNELS") || { echo "no kernel is called $name" >&2; return 1; }
    vm_has_kernel "$name" && [ -z "${VM_NEWEST:-}" ] && return 0
    vm_room || return 1
    suite_update "$suite" || { vm_has_kernel "$name"; return; }
    package=$(suite_package "$suite" "$pattern")
    [ -n "$package" ] || { echo "$suite has no package $pattern" >&2; return 1; }
    vm_has_kernel "$name" && [ "$(suite_version "$suite" "$package")" = "$(cat "$kernel/package" 2>/dev/null)" ] && return 0
    suite_version "$suite" "$package" >"$WORK/version"
    case $package in linux-binary-*) modules=linux-modules-${package#linux-binary-} ;; esac
    rm -rf "$WORK/deb" "$WORK/unpacked" "$WORK/kernel"
    mkdir -p "$WORK/deb" "$WORK/kernel"
    (cd "$WORK/deb" && suite_apt apt-get "$suite" download "$package" $modules) || { vm_has_kernel "$name"; return; }
    for package in "$WORK"/deb/*.deb; do
        dpkg -x "$package" "$WORK/unpacked" || return 1
    done
    release=$(ls "$WORK/unpacked/lib/modules" "$WORK/unpacked/usr/lib/modules" 2>/dev/null | grep '^[0-9]' | head -n 1)
    mv "$WORK"/unpacked/boot/vmlinuz-* "$WORK/kernel/vmlinuz" 2>/dev/null ||
        mv "$WORK/unpacked/usr/lib/modules/$release/vmlinuz" "$WORK/kernel/vmlinuz" || return 1
    mkdir -p "$WORK/kernel/modules/lib/modules"
    mv "$WORK"/unpacked/lib/modules/* "$WORK"/kernel/modules/lib/modules/ 2>/dev/null ||
        mv "$WORK"/unpacked/usr/lib/modules/* "$WORK"/kernel/modules/lib/modules/ || return 1
    depmod -b "$WORK/kernel/modules" "$release" || return 1
    echo "$release" >"$WORK/kernel/release"
    mv "$WORK/version" "$WORK/kernel/package"
    rm -rf "$WORK/deb" "$WORK/unpacked"
    mkdir -p "$CACHE/kernels" && sync || return 1
    [ ! -e "$kernel" ] || mv -T "$kernel" "$WORK/old-$name" || return 1
    mv -T "$WORK/kernel" "$kernel"
}

# vm_copy ROOT FILE…: programs and the libraries they name, each where it is here.
vm_copy() {
    local root=$1 file
    shift
    for file in "$@"; do
        [ -e "$file" ] || { echo "$file is not here" >&2; return 1; }
        { echo "$file"; ldd "$file" 2>/dev/null | grep -o '/[^ ]*'; } | while read -r one; do
            [ -e "$root$one" ] || { mkdir -p "$root${one%/*}" && cp -L "$one" "$root$one"; } || exit 1
        done || return 1
    done
}

# vm_modules NAME ROOT MODULE…: these modules of a kernel and what they depend on, in ROOT/modules; their
# paths in the order in which they are to be loaded in ROOT/modules/order.
vm_modules() {
    local modules=$CACHE/kernels/$1/modules root=$2 release module order
    release=$(cat "$CACHE/kernels/$1/release")
    shift 2
    order=$(modprobe -C /dev/null -d "$modules" -S "$release" -a -D "$@" | awk '$1 == "insmod" && !seen[$2]++ { print $2 }')
    [ -n "$order" ] || { echo "no module of $release was found" >&2; return 1; }
    mkdir -p "$root/modules"
    for module in $order; do
        cp "$module" "$root/modules/" || return 1
        module=${module##*/}
        case $module in *.xz) xz -d "$root/modules/$module" && module=${module%.xz} || return 1 ;; esac
        echo "/modules/$module" >>"$root/modules/order"
    done
}

# vm_initramfs ROOT FILE
vm_initramfs() {
    (cd "$1" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$2"
}

# vm_boot NAME KERNEL INITRAMFS "KERNEL PARAMETERS" [QEMU OPTION…]: runs a guest to its end.
# Its console goes to $WORK/NAME.console, what it writes to ttyS1 to $WORK/NAME.results.
# Fails where it does not end of its own accord, or where the kernel panicked.
vm_boot() {
    local name=$1 kernel=$2 initramfs=$3 parameters=$4 size last=-1 start=$SECONDS since=$SECONDS guest ended
    shift 4
    : >"$WORK/$name.console" >"$WORK/$name.results"
    # No guest outlives this script, however it ends. One thread for both CPUs: with two, qemu 7.2 goes
    # on executing a breakpoint that the other CPU has removed, and guests that patch their own code,
    # as the kernel does to attach a tracepoint, spin in it for good. Without fast string instructions:
    # where a processor says that it has them, kernel and libc copy and clear all memory by rep movsb and
    # stosb, of which qemu makes a step for each byte. Without them a guest has done in half the time.
    setpriv --pdeathsig KILL -- qemu-system-x86_64 -accel tcg,thread=single -cpu max,-erms,-fsrm -smp 2 -m 1536 -nodefaults -no-user-config \
        -display none -no-reboot -serial "file:$WORK/$name.console" -serial "file:$WORK/$name.results" \
        -kernel "$kernel" -initrd "$initramfs" \
        -append "console=ttyS0 panic=-1 quiet loglevel=${DENET_GUEST_LOGLEVEL:-4} $parameters" "$@" </dev/null >"$WORK/$name.qemu" 2>&1 9>&- &
    guest=$!
    while kill -0 $guest 2>/dev/null; do
        # Somebody killed the script, of which this may be a part in the background.
        kill -0 $$ 2>/dev/null || { kill -KILL $guest; exit 1; }
        size=$(cat "$WORK/$name.console" "$WORK/$name.results" | wc -c)
        [ "$size" = "$last" ] || { last=$size since=$SECONDS; }
        if [ $((SECONDS - since)) -gt "$SILENT_S" ] || [ $((SECONDS - start)) -gt $LIMIT_S ]; then
            kill -KILL $guest
            wait $guest 2>/dev/null
            echo "the guest $name hangs: nothing printed for $((SECONDS - since)) s, begun $((SECONDS - start)) s ago" >&2
            vm_tail "$name"
            return 1
        fi
        sleep 1
    done
    wait $guest
    ended=$?
    if [ $ended != 0 ] || grep -qa 'Kernel panic' "$WORK/$name.console"; then
        echo "the guest $name $([ $ended = 0 ] && echo panicked || echo "could not be run: qemu ended with $ended")" >&2
        vm_tail "$name"
        return 1
    fi
}

vm_tail() {
    { tail -n 25 "$WORK/$1.console"; tail -n 5 "$WORK/$1.qemu"; } | tr -d '\r' | sed 's/^/    | /' >&2
}
