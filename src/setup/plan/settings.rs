//! Which sysctls are set, in which file, and what each exposes.

use super::{Action, PlanOptions, Profile, asset, file, install};
use crate::checks::step::Step;
use crate::setup::assets;

/// The file of settings, where some are asked for.
pub(super) fn settings(options: &PlanOptions) -> Vec<Action> {
    let documented = assets::SYSCTLS;
    let lines: Vec<String> = options.sysctls.iter().map(line).collect();
    match (options.profile, lines.is_empty()) {
        (Profile::Least, true) => Vec::new(),
        (Profile::Documented, true) => asset(documented),
        (Profile::Least, false) => {
            let head = "# Asked for with denet setup --with sysctl=KEY=VALUE".to_owned();
            let lines: Vec<String> = [head].into_iter().chain(lines).collect();
            let (bytes, why) = (text(&lines), "asked for with --with sysctl");
            let steps = vec![write(options, lines, false)];
            file(documented.to, bytes, steps, why)
        }
        (Profile::Documented, false) => {
            let bytes = [documented.bytes, &text(&lines)].concat();
            let steps = vec![install(documented), write(options, lines, true)];
            let why = "asked for by classic guides, and with --with sysctl";
            file(documented.to, bytes, steps, why)
        }
    }
}

fn line((key, value): &(String, String)) -> String {
    format!("{key} = {value}")
}

fn text(lines: &[String]) -> Vec<u8> {
    let ended = lines.iter().map(|line| format!("{line}\n"));
    ended.collect::<String>().into_bytes()
}

/// The lines of what is asked for by name, with what each setting exposes.
fn write(options: &PlanOptions, lines: Vec<String>, append: bool) -> Step {
    let told = options.sysctls.iter().filter_map(|setting| {
        let risk = exposed(&setting.0, &setting.1);
        (!risk.is_empty()).then(|| format!("{}: {risk}", line(setting)))
    });
    Step::WriteLines {
        to: assets::SYSCTLS.to.into(),
        lines,
        append,
        risk: told.collect::<Vec<_>>().join("; "),
    }
}

/// What the documented profile sets.
const DOCUMENTED: [(&str, &str); 2] = [
    ("kernel.unprivileged_bpf_disabled", "0"),
    ("kernel.kptr_restrict", "0"),
];

/// What others gain by a setting; empty if nothing.
pub(super) fn exposed(key: &str, value: &str) -> &'static str {
    let number: i64 = value.parse().unwrap_or_default();
    match (key.replace('/', ".").as_str(), number) {
        ("kernel.unprivileged_bpf_disabled", 0) => {
            "every user reaches bpf(2): its verifier has had holes through which users became root"
        }
        ("kernel.kptr_restrict", 0) => {
            "addresses of the kernel are shown, which make attacks on it easier"
        }
        ("kernel.kptr_restrict", 1) => {
            "programs with CAP_SYSLOG see addresses of the kernel, which make attacks on it easier"
        }
        // kernel/events/core.c: perf_allow_kernel, perf_allow_cpu, perf_allow_tracepoint.
        ("kernel.perf_event_paranoid", ..0) => {
            "every user can measure the kernel and whole CPUs, and read what tracepoints say of everyone"
        }
        ("kernel.perf_event_paranoid", 0) => {
            "every user can measure the kernel and whole CPUs, and with that the programs of others"
        }
        ("kernel.perf_event_paranoid", 1) => {
            "every user can measure the kernel while it works for them: its addresses are seen, and \
             kernel.kptr_restrict = 0 shows them all"
        }
        ("kernel.perf_event_paranoid", 2) => {
            "users without privileges may measure their own processes with perf_event_open"
        }
        (
            "kernel.unprivileged_bpf_disabled"
            | "kernel.kptr_restrict"
            | "kernel.perf_event_paranoid",
            _,
        ) => "",
        _ => "what this setting exposes is not known to denet",
    }
}

/// All settings that are asked for, with what each exposes. Of one that is there twice the last counts,
/// as it does in the file.
pub(crate) fn wanted_sysctls(options: &PlanOptions) -> Vec<(String, String, &'static str)> {
    let documented = DOCUMENTED
        .iter()
        .filter(|_| options.profile == Profile::Documented)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let all: Vec<_> = documented.chain(options.sysctls.iter().cloned()).collect();
    let again = |at: usize| all[at + 1..].iter().any(|(key, _)| *key == all[at].0);
    let last = (0..all.len()).filter(|at| !again(*at)).map(|at| &all[at]);
    last.map(|(key, value)| (key.clone(), value.clone(), exposed(key, value)))
        .collect()
}
