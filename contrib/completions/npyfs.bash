# Completion of npyfs for bash. The first line of the answer says how the others are to be used.

_npyfs() {
    local answer options
    mapfile -t answer < <(npyfs complete bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    read -ra options <<<"${answer[0]}"
    [[ ${#options[@]} -eq 0 ]] || compopt "${options[@]}"
    COMPREPLY=("${answer[@]:1}")
}

complete -o bashdefault -F _npyfs npyfs
