# Sourced by the set-up scripts.
# debian_install WHY PACKAGE...: installs with apt when root, and otherwise says what to run.
debian_install() {
    local why=$1
    shift
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "$why. On Debian or Ubuntu: sudo apt-get install $*" >&2
        return 1
    fi
    echo "$why: installing $*"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends "$@" >/dev/null
}
