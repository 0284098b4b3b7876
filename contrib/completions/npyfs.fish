# Completion of npyfs for fish.

complete --command npyfs --no-files --arguments '(
    npyfs complete fish -- (commandline --current-process --tokenize --cut-at-cursor) \
        (commandline --current-token --cut-at-cursor) 2>/dev/null)'
