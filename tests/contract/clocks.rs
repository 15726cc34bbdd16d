//! No test depends on how fast the machine is: each line of a test that reads a clock, sleeps or sets a
//! timeout is listed in tests/clocks, with the reason why it may.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{collect, root};

const LIST: &str = "tests/clocks";

const ADVICE: &str = "wait for an event with support::wait (tests/support/wait.rs), compare with what the \
    test itself measured just inside and just outside, or add the line to tests/clocks with the reason why \
    it does not depend on the machine's speed";

/// A line is listed by so much of its text: some of C are very long.
const COMPARED: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
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
fn reads_a_clock(language: Language, line: &str) -> bool {
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

/// A line without the comment that it is or begins with.
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

/// A line of Rust without what its string literals hold, as far as they begin on it.
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

/// Lines to check, by number.
type Lines = Vec<(usize, String)>;

fn numbered(text: &str) -> Lines {
    let lines = text.lines().enumerate();
    lines.map(|(at, line)| (at + 1, line.to_owned())).collect()
}

/// The items under `#[cfg(test)]`, and the modules declared there. As rustfmt writes it.
fn only_for_tests(text: &str) -> (Lines, Vec<String>) {
    let (mut lines, mut modules) = (Vec::new(), Vec::new());
    let mut rest = numbered(text).into_iter().peekable();
    while let Some((_, line)) = rest.next() {
        let of_tests = ["#[cfg(test)]", "#[cfg(all(test,"];
        if !of_tests.iter().any(|it| line.trim().starts_with(it)) {
            continue;
        }
        while rest
            .next_if(|(_, line)| line.trim().starts_with("#["))
            .is_some()
        {}
        let indent = line.len() - line.trim_start().len();
        let end = format!("{:indent$}}}", "");
        let mut item: Lines = Vec::new();
        for (number, line) in rest.by_ref() {
            let is_last = line == end || item.is_empty() && line.ends_with([';', ',', '}']);
            item.push((number, line));
            if is_last {
                break;
            }
        }
        let first = item.first().map_or("", |(_, line)| line.trim());
        let declared = first.strip_suffix(';').and_then(|it| it.split_once("mod "));
        match declared {
            Some((_, module)) => modules.push(module.to_owned()),
            None => lines.extend(item),
        }
    }
    (lines, modules)
}

/// The file of a module that another file declares.
fn file_of(declaring: &Path, module: &str) -> Option<PathBuf> {
    let folder = match declaring.file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs") => declaring.with_file_name(""),
        _ => declaring.with_extension(""),
    };
    let places = [format!("{module}.rs"), format!("{module}/mod.rs")];
    let mut files = places.iter().map(|place| folder.join(place));
    files.find(|file| file.exists())
}

fn language_of(file: &Path) -> Option<Language> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => Some(Language::Rust),
        Some("c" | "h") => Some(Language::C),
        Some("sh") | None => Some(Language::Shell),
        Some(_) => None,
    }
}

/// Every file of the tests but recordings, this one, and the list.
fn files_of_tests() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root().join("tests"), &mut files);
    let is_recorded = |file: &Path| {
        let data = file.starts_with("tests/data") && file.extension().is_none();
        data || file.starts_with("tests/hosts") || file.ends_with("tests/contract/clocks.rs")
    };
    files.retain(|file| {
        let file = file.strip_prefix(root()).expect("below it");
        !is_recorded(file) && file != Path::new(LIST)
    });
    files
}

/// The text of a file, unless it is not UTF-8.
fn text_of(file: &Path) -> Option<String> {
    String::from_utf8(fs::read(file).expect("readable")).ok()
}

fn add(found: &mut Found, file: &Path, language: Language, lines: Lines) {
    let file = file.strip_prefix(root()).expect("below it");
    for (number, line) in lines {
        if reads_a_clock(language, &line) {
            let key = (file.display().to_string(), shortened(&line));
            found.entry(key).or_default().push(number);
        }
    }
}

fn shortened(line: &str) -> String {
    let text = line.trim().replace('\t', " ");
    text.chars().take(COMPARED).collect::<String>()
}

/// Numbers of lines, by file and text.
type Found = BTreeMap<(String, String), Vec<usize>>;

fn found() -> Found {
    let mut found = Found::new();
    for file in files_of_tests() {
        if let (Some(language), Some(text)) = (language_of(&file), text_of(&file)) {
            add(&mut found, &file, language, numbered(&text));
        }
    }
    let mut sources = Vec::new();
    collect(&root().join("src"), &mut sources);
    let mut whole: Vec<PathBuf> = sources
        .iter()
        .filter(|file| file.ends_with("tests.rs") || file.iter().any(|part| part == "tests"))
        .cloned()
        .collect();
    for file in &sources {
        let Some(text) = text_of(file).filter(|_| language_of(file) == Some(Language::Rust)) else {
            continue;
        };
        let (lines, modules) = only_for_tests(&text);
        whole.extend(modules.iter().filter_map(|module| file_of(file, module)));
        if !whole.contains(file) {
            add(&mut found, file, Language::Rust, lines);
        }
    }
    whole.sort();
    whole.dedup();
    for file in whole {
        let text = text_of(&file).expect("Rust");
        add(&mut found, &file, Language::Rust, numbered(&text));
    }
    found
}

/// How often each line is listed, and what is wrong with the list itself.
fn listed(list: &str) -> (BTreeMap<(String, String), usize>, Vec<String>) {
    let (mut listed, mut wrong) = (BTreeMap::new(), Vec::new());
    for (number, line) in numbered(list) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let columns: Vec<_> = line.split('\t').collect();
        match columns[..] {
            [file, text, reason] if !reason.trim().is_empty() => {
                *listed
                    .entry((file.to_owned(), text.to_owned()))
                    .or_default() += 1;
            }
            [_, _, _] => wrong.push(format!("{LIST}:{number}: gives no reason")),
            _ => wrong.push(format!(
                "{LIST}:{number}: needs three columns between tabs: file, line, reason"
            )),
        }
    }
    (listed, wrong)
}

/// What is not listed, and what is listed but no longer there.
fn differences(found: &Found, list: &str) -> Vec<String> {
    let (listed, mut wrong) = listed(list);
    for (key @ (file, text), numbers) in found {
        let allowed = listed.get(key).copied().unwrap_or(0);
        for number in numbers.iter().skip(allowed) {
            wrong.push(format!("{file}:{number}: {text}\n    {ADVICE}"));
        }
    }
    for (key @ (file, text), times) in &listed {
        let there = found.get(key).map_or(0, Vec::len);
        if *times > there {
            wrong.push(format!("{LIST}: no such line in {file} any more: {text}"));
        }
    }
    wrong
}

#[test]
fn no_test_depends_on_how_fast_the_machine_is() {
    let list = fs::read_to_string(root().join(LIST)).expect("the list");
    let wrong = differences(&found(), &list);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

#[test]
fn a_line_is_listed_once_for_each_time_it_is_there() {
    let key = ("tests/a.rs".to_owned(), "sleep(1);".to_owned());
    let twice = Found::from([(key, vec![3, 9])]);
    let line = "tests/a.rs\tsleep(1);\tthe reason\n";
    assert_eq!(differences(&twice, &line.repeat(2)), Vec::<String>::new());
    let missing = differences(&twice, line);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(
        missing[0].starts_with("tests/a.rs:9: sleep(1);"),
        "{missing:?}"
    );
    assert!(missing[0].contains("support::wait"), "{missing:?}");
    let gone = differences(&twice, &line.repeat(3));
    assert_eq!(
        gone,
        ["tests/clocks: no such line in tests/a.rs any more: sleep(1);"]
    );
    let unreasoned = differences(&Found::new(), "# a comment\n\ntests/a.rs\tsleep(1);\t \n");
    assert_eq!(unreasoned, ["tests/clocks:3: gives no reason"]);
}

#[test]
fn of_a_source_only_what_is_for_tests_counts() {
    let source = "use a;\n#[cfg(test)]\nuse b;\nfn c() {\n    d();\n}\n#[cfg(test)]\nmod e;\n\
        #[cfg(test)]\n#[path = \"x\"]\npub mod tests {\n    fn f() {\n    }\n    g();\n}\nfn h() {}\n";
    let (lines, modules) = only_for_tests(source);
    let numbers: Vec<_> = lines.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [3, 11, 12, 13, 14, 15]);
    assert_eq!(modules, ["e"]);
    let found = found();
    let mutations = file_of(&root().join("src/facts/object/mod.rs"), "mutations");
    assert!(mutations.is_some_and(|file| file.ends_with("src/facts/object/mutations.rs")));
    let of_support = |(file, _): &(String, String)| file == "tests/support/wait.rs";
    assert!(found.keys().any(of_support), "{found:?}");
    assert!(!found.keys().any(|(file, _)| file.starts_with("benches")));
}
