# Sourced by ./quickstart and ./check: makes sure that Debian packages are installed.
# need_packages PACKAGE... installs what is missing (as root) or says what to install.

need_packages() {
    missing=
    for package in "$@"; do
        case "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" in
        *" installed") ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -z "$missing" ] && return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "error: these Debian packages, or what corresponds to them here, are missing:$missing" >&2
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "error: packages are missing and only root can install them. Please run:" >&2
        echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
        return 1
    fi
    echo "installing$missing"
    packages_log=$(mktemp)
    if apt-get update -qq >"$packages_log" 2>&1 &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
            >>"$packages_log" 2>&1; then
        rm -f "$packages_log"
        return 0
    fi
    tail -n 20 "$packages_log" >&2
    echo "error: apt-get could not install$missing; the whole output is in $packages_log" >&2
    return 1
}

BUILD_PACKAGES="gcc libc6-dev make autoconf automake pkg-config libuv1-dev libjansson-dev \
libopenblas-dev libstb-dev libjpeg62-turbo-dev libsqlite3-dev libcurl4-openssl-dev nettle-dev zlib1g-dev \
libprotobuf-c-dev protobuf-c-compiler libseccomp-dev libopenmpi-dev"
# openmpi-bin has mpirun, iproute2 makes networks of one machine, python3-yaml reads etc/mpijob.yaml, python3-onnx checks exported models, python3-pil and libjpeg-turbo-progs decoded images, clang-format (always this
# version) the sources.
TEST_PACKAGES="libcmocka-dev openmpi-bin iproute2 python3 python3-onnx python3-pil python3-yaml libjpeg-turbo-progs clang-format-14"

# need_onnxruntime BUILD: puts ONNX Runtime, which Debian does not have, into BUILD/node. Without it the tests that
# ask it are skipped.
need_onnxruntime() {
    runtime_dir=$1/node
    runtime=$runtime_dir/node_modules/onnxruntime-node
    [ -d "$runtime/bin" ] && return 0
    # Where there is an npm already, Debian's may conflict with it.
    command -v npm >/dev/null 2>&1 || need_packages nodejs npm || return 1
    echo "installing onnxruntime-node in $runtime_dir"
    mkdir -p "$runtime_dir"
    # Its CPU library is inside the package; its scripts would fetch those for other devices.
    if npm install --prefix "$runtime_dir" --ignore-scripts --no-audit --no-fund onnxruntime-node@1.30.0 \
        >"$runtime_dir/npm.log" 2>&1; then
        rm -rf "$runtime"/bin/*/darwin "$runtime"/bin/*/win32
        return 0
    fi
    tail -n 5 "$runtime_dir/npm.log" >&2
    echo "warning: npm could not install onnxruntime-node: the tests that need it are skipped" >&2
    return 1
}

# build_tree SOURCE BUILD CONFIGURE_ARGUMENT...: configures where that is needed and makes; shows the log where that
# fails. Without arguments any configuration will do; with some, one that was made with others, by another compiler or
# before the test library was installed is made anew.
build_tree() {
    source_dir=$1 build_dir=$2
    shift 2
    mkdir -p "$build_dir"
    build_log=$build_dir/build.log
    configured=$build_dir/configured
    wanted="$* CC=${CC-} cmocka=$(pkg-config --modversion cmocka 2>/dev/null)"
    {
        if [ ! -x "$source_dir/configure" ] || [ "$source_dir/configure.ac" -nt "$source_dir/configure" ]; then
            "$source_dir/autogen.sh"
        fi &&
            if [ ! -f "$build_dir/config.status" ] || [ "$source_dir/configure" -nt "$build_dir/config.status" ]; then
                configure_tree "$@"
            elif [ $# -gt 0 ] && [ "$(cat "$configured" 2>/dev/null)" != "$wanted" ]; then
                configure_tree "$@" && make -C "$build_dir" clean
            fi &&
            make -C "$build_dir" -j"$(nproc)"
    } >"$build_log" 2>&1 && return 0
    tail -n 40 "$build_log" >&2
    echo "error: the build failed; the whole output is in $build_log" >&2
    return 1
}

configure_tree() {
    (cd "$build_dir" && "$source_dir/configure" --quiet "$@") && echo "$wanted" >"$configured"
}
