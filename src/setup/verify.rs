//! Whether it works: the doctor and the smoke test, run as the user that it was set up for.

use std::path::Path;

use crate::sys::login::run_as;

/// A command that was to end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// As it would be typed.
    pub(crate) command: String,
    /// It ended well.
    pub(crate) ok: bool,
    /// What it said, its last lines.
    pub(crate) said: Vec<String>,
}

/// What a profile takes.
const GOAL: &str = "syscall-profiling";
/// From Linux 7.0 on without classic tracepoints: it profiles, with what is missed counted.
const DEGRADED: i32 = 2;

/// Runs both as the user, after a login of now.
pub(crate) fn verify(user: &str, prefix: &Path) -> Vec<Proof> {
    let commands: [(&str, &[&str], &[i32]); 2] = [
        ("ebpf_diag", &["--only", GOAL], &[0, DEGRADED]),
        ("ebpf_test", &[], &[0]),
    ];
    let run = |(name, arguments, fine): (&str, &[&str], &[i32])| {
        let program = prefix.join("bin").join(name);
        let command = format!("{name} {}", arguments.join(" ")).trim().to_owned();
        match run_as(user, &program, arguments) {
            Ok(output) => Proof {
                command,
                ok: output
                    .status
                    .code()
                    .is_some_and(|code| fine.contains(&code)),
                said: last_lines(&output.stdout, &output.stderr),
            },
            Err(error) => Proof {
                command,
                ok: false,
                said: vec![format!("{}: {error}", program.display())],
            },
        }
    };
    commands.into_iter().map(run).collect()
}

fn last_lines(stdout: &[u8], stderr: &[u8]) -> Vec<String> {
    let text = [stdout, stderr].map(String::from_utf8_lossy).concat();
    text.lines().map(str::to_owned).collect()
}
