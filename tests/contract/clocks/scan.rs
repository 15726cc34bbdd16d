//! Whether a line reads a clock, sleeps or sets a timeout.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Rust,
    C,
    Shell,
}

/// What reads a clock, sleeps or sets a timeout. A token that begins with a letter does so at the
/// beginning of a word only, and one that ends with a letter ends with the word.
const TOKENS: [(Language, &[&str]); 3] = [
    (
        Language::Rust,
        &[
            "Instant::now",
            "SystemTime::now",
            ".elapsed(",
            "thread::sleep",
            "sleep(",
            "sleep_until(",
            "recv_timeout(",
            "wait_timeout(",
            "wait_timeout_while(",
            "park_timeout(",
            "set_read_timeout(",
            "set_write_timeout(",
            "connect_timeout(",
            "PollTimeout",
            "TimerFd",
            "libc::time(",
            "monotonic_ns(",
            "own_cpu(",
            "now_ms(",
            "timerfd",
            "SO_RCVTIMEO",
            "SO_SNDTIMEO",
            "\"-d\"",
            "\"sleep\"",
            "\"timeout\"",
            "duration>",
        ],
    ),
    (
        Language::C,
        &[
            "sleep(",
            "usleep(",
            "nanosleep(",
            "clock_nanosleep(",
            "clock_gettime(",
            "gettimeofday(",
            "time(",
            "times(",
            "clock(",
            "timespec_get(",
            "rdtsc",
            "__rdtsc",
            "alarm(",
            "ualarm(",
            "setitimer(",
            "timer_settime(",
            "timerfd_settime(",
            "poll(",
            "ppoll(",
            "select(",
            "pselect(",
            "epoll_wait(",
            "pthread_cond_timedwait(",
            "sem_timedwait(",
            "sigtimedwait(",
            "SO_RCVTIMEO",
            "SO_SNDTIMEO",
            // Made as raw calls.
            "SYS_nanosleep",
            "SYS_clock_nanosleep",
            "SYS_setitimer",
            "SYS_timerfd_settime",
            "SYS_clock_gettime",
            "SYS_gettimeofday",
            "SYS_poll",
            "SYS_ppoll",
            "SYS_select",
            "SYS_pselect6",
            "SYS_epoll_wait",
            "SYS_epoll_pwait",
            "SYS_epoll_pwait2",
            "S(nanosleep",
            "S(clock_nanosleep",
            "S(clock_gettime",
            "S(alarm",
            "S(setitimer",
            "S(timerfd_settime",
            "S(poll",
            "S(ppoll",
            "S(select",
            "S(pselect6",
            "S(epoll_wait",
            "S(epoll_pwait",
            "S(epoll_pwait2",
        ],
    ),
    (
        Language::Shell,
        &[
            "SECONDS",
            "EPOCHSECONDS",
            "EPOCHREALTIME",
            "timeout",
            "usleep",
        ],
    ),
];

/// The same in Rust, but not in its strings, where expected lines of a trace have these names.
const OUTSIDE_STRINGS: [&str; 12] = [
    "clock_gettime(",
    "gettimeofday(",
    "nanosleep(",
    "clock_nanosleep(",
    "usleep(",
    "poll(",
    "ppoll(",
    "select(",
    "pselect(",
    "epoll_wait(",
    "alarm(",
    "setitimer(",
];

/// In a script, and in the scripts and arguments that a program holds.
const COMMANDS: [&str; 5] = ["sleep ", "usleep ", "timeout ", "-d ", "--duration"];

/// In the same places: whatever follows.
const BEGINNINGS: [&str; 11] = [
    "read -t",
    "read -rt",
    "read -r -t",
    "sleep infinity",
    "$SECONDS",
    "date +",
    "date '+",
    "date \"+",
    "date \\\"+",
    "printf '%(",
    "flock -w",
];

/// What denet reports of lengths of time: a bound on it that is a number is a bound on the machine's speed.
const REPORTED: [&str; 3] = ["total_time_secs", "duration_ns", "lifetime_ms"];

/// Whether a line of this language reads a clock, sleeps, sets a timeout, or sets a bound on reported time.
/// Comments do not.
pub fn reads_a_clock(language: Language, line: &str) -> bool {
    let line = code_of(language, line);
    let of_language = TOKENS.iter().filter(|(of, _)| *of == language);
    let mut tokens = of_language.flat_map(|(_, tokens)| tokens.iter());
    tokens.any(|token| words(line, token).next().is_some())
        || language == Language::Rust && {
            let code = without_strings(line);
            let mut tokens = OUTSIDE_STRINGS.iter();
            tokens.any(|token| words(&code, token).next().is_some())
        }
        || runs_a_command(line)
        || sets_a_bound(line)
}

/// A line without its leading comment.
fn code_of(language: Language, line: &str) -> &str {
    let line = line.trim();
    let is_whole = match language {
        Language::Rust | Language::C => line.starts_with("//"),
        Language::Shell => line.starts_with('#'),
    };
    let comments = ["/*", "* ", "*/"];
    let begins = comments.iter().any(|comment| line.starts_with(comment));
    match line.split_once("*/") {
        _ if is_whole => "",
        Some((_, rest)) if language == Language::C && begins => code_of(language, rest),
        None if language == Language::C && (begins || line == "*") => "",
        _ => line,
    }
}

/// A line of Rust without the text of string literals that begin on it.
fn without_strings(line: &str) -> String {
    let mut code = String::new();
    let (mut in_string, mut escaped) = (false, false);
    for letter in line.replace("'\"'", "").chars() {
        match letter {
            '"' if !escaped => in_string = !in_string,
            _ if !in_string => code.push(letter),
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
    }
    code
}

/// Whether reported time is compared with a number: `> 5`, `>= Some(0.3)`, `1.5 <`.
fn sets_a_bound(line: &str) -> bool {
    let begins_with_number = |text: &str| {
        let text = text.strip_prefix('=').unwrap_or(text).trim_start();
        let text = text.strip_prefix("Some(").unwrap_or(text);
        text.starts_with(|letter: char| letter.is_ascii_digit())
    };
    let ends_with_number = |text: &str| {
        let text = text.trim_end();
        let text = text.strip_suffix(')').unwrap_or(text);
        text.ends_with(|letter: char| letter.is_ascii_digit())
    };
    let mut signs = line.match_indices(['<', '>']);
    REPORTED.iter().any(|name| line.contains(name))
        && signs.any(|(at, _)| begins_with_number(&line[at + 1..]) || ends_with_number(&line[..at]))
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// What follows each place where a token is.
fn words<'a>(line: &'a str, token: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(token).filter_map(move |(at, _)| {
        let (before, rest) = (&line[..at], &line[at + token.len()..]);
        let begins = !token.starts_with(is_word) || !before.ends_with(is_word);
        let ends = !token.ends_with(is_word) || !rest.starts_with(is_word);
        (begins && ends).then_some(rest)
    })
}

/// `sleep 3`, `timeout -k 9 …`, `-d 0.3`, `--duration`: as commands, not words in prose.
fn runs_a_command(line: &str) -> bool {
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == '{';
    let mut commands = COMMANDS.iter();
    let is_run = commands.any(|command| {
        words(line, command).any(|rest| match *command {
            "--duration" => !rest.starts_with(" is over"),
            "timeout " => rest.starts_with(|c| is_number(c) || matches!(c, '-' | '$' | '"')),
            "sleep " | "usleep " => rest.starts_with(|c| is_number(c) || matches!(c, '$' | '"')),
            // Many commands have such an option, for folders.
            _ => rest.starts_with(is_number),
        })
    });
    let mut beginnings = BEGINNINGS.iter().flat_map(|it| line.match_indices(it));
    let begins = beginnings.any(|(at, _)| !line[..at].ends_with(is_word));
    let mut durations = line.match_indices("-d");
    let has_duration = durations.any(|(at, option)| {
        line[..at].ends_with([' ', '"', '\''])
            && line[at + option.len()..].starts_with(|c: char| c.is_ascii_digit())
    });
    is_run || begins || has_duration
}

#[test]
fn each_kind_of_clock_is_found() {
    for (language, tokens) in TOKENS {
        for token in tokens {
            let line = format!("    let x = y; {token} z");
            assert!(reads_a_clock(language, &line), "{line}");
            let other = format!("x{token}x");
            let is_word = token.starts_with(is_word) && !token.contains("::");
            assert!(!is_word || !reads_a_clock(language, &other), "{other}");
        }
    }
    for token in OUTSIDE_STRINGS {
        assert!(reads_a_clock(
            Language::Rust,
            &format!("let x = {token}y);")
        ));
        assert!(reads_a_clock(
            Language::Rust,
            &format!("let x = libc::{token}y);")
        ));
    }
    for beginning in BEGINNINGS {
        for language in [Language::Rust, Language::C, Language::Shell] {
            let line = format!("    if {beginning}1; then");
            assert!(reads_a_clock(language, &line), "{line}");
        }
    }
    for line in [
        r#"let script = "touch a; sleep 0.3; touch b";"#,
        r#"format!("sleep {FOREVER} & echo $!")"#,
        r#"denet(["--duration", "0.3"])"#,
        r#"run(&["-d", "0.2"])"#,
        r#"Command::new("sleep").arg("30")"#,
        "sleep(ms(100));",
        "std::thread::sleep(Duration::from_millis(5));",
        "assert!(start.elapsed() < GENEROUS);",
        r#"run(&["-d0.2"])"#,
        r#"has("poll(") && poll(&mut fds, 100) > 0"#,
        r#"let quote = '"'; poll(&mut fds, 100);"#,
        r#"assert!(summary["total_time_secs"].as_f64() < Some(5.0));"#,
        r#"assert!(call["duration_ns"].as_u64() >= Some(1000));"#,
        r#"assert!(2.5 < record["lifetime_ms"]);"#,
        r#"let script = "read -rt 5 line; usleep 500; sleep infinity";"#,
        r#"let script = "denet -d0.3 run true";"#,
    ] {
        assert!(reads_a_clock(Language::Rust, line), "{line}");
    }
    for line in [
        "sleep 1",
        "while sleep 0.2; do",
        "x=$((SECONDS - start))",
        "timeout -k 10 900 mmdebstrap",
        "denet -d 0.3 run",
        "read -t1 line",
        "usleep 500",
        "sleep infinity &",
        "echo $SECONDS",
        "date '+%s'",
        "printf '%(%s)T'",
        "flock -w 5 lock true",
    ] {
        assert!(reads_a_clock(Language::Shell, line), "{line}");
    }
    for line in [
        "\tusleep(1000);",
        "must(poll(&fd, 1, 5000));",
        "end = time(0) + 3;",
        "syscall(SYS_nanosleep, &nap, 0);",
        "syscall(SYS_ppoll, &fd, 1, &soon, 0, 0);",
        "/* soon */ usleep(3);",
        " * is soon. */ usleep(3);",
        "*/ /* soon */ usleep(3);",
        "start = __rdtsc();",
    ] {
        assert!(reads_a_clock(Language::C, line), "{line}");
    }
}

#[test]
fn what_only_speaks_of_time_is_not_found() {
    for line in [
        "// Instant::now() would do",
        "/// until thread::sleep(x) returns",
        r#"text.find("clock_nanosleep(CLOCK_REALTIME, 0, {tv_sec=1")"#,
        r#"blocks_in(pid, name, libc::SYS_clock_nanosleep)"#,
        r#"has("poll([{fd=3}], 1, 5000) \" clock_gettime(1)")"#,
        r#"assert!(record["lifetime_ms"].as_u64() <= known);"#,
        r#"assert_eq!(call["duration_ns"].as_u64(), Some(5));"#,
        "fn total_time_secs(&self) -> u64 { 0 }",
        r#"args(["-x", "-directory"])"#,
        r#"text.contains("--duration is over")"#,
        "let is_asleep = until_asleep(child);",
        "rests, or will sleep no more: a timeout of its own",
        "Duration::from_millis(100)",
    ] {
        assert!(!reads_a_clock(Language::Rust, line), "{line}");
    }
    for line in [
        "# sleep 3",
        "echo 'p:denet_test do_nanosleep'",
        "[ -d \"$kernel\" ]",
    ] {
        assert!(!reads_a_clock(Language::Shell, line), "{line}");
    }
    for line in [
        " * sleep(3) is",
        "/* usleep(3) */",
        "*/",
        "/* one */ /* usleep(3) */",
        "static void until_asleep(int child)",
    ] {
        assert!(!reads_a_clock(Language::C, line), "{line}");
    }
}
