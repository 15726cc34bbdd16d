# From what tests/kernels/guest prints: "NAME RESULT" of every test that ended: ok, FAILED, or flaky.
/^test [^ ]+ \.\.\. (ok|FAILED|ignored.*)$/ { result[$2] = $4; order[++n] = $2 }
/^again [^ ]+ ok$/ { result[$2] = "flaky" }
END { for (i = 1; i <= n; i++) print order[i], result[order[i]] }
