//! The command line of `ebpf_diag`.

use std::path::PathBuf;

use clap::Parser;

use super::STYLES;
use super::color::Color;
use crate::checks::report::Selection;
use crate::commands::diagnose::{Options, Source};
use crate::facts::Target;

const AFTER_HELP: &str = "\
Goals: syscall-profiling (denet run, denet attach), exec-monitor, network-monitor, xdp-counters (denet
monitor exec, net, xdp), syscall-trace (denet trace), kernel-stacks, hardware-counters,
classic-tracepoints, other-processes. --only and --skip take goals and checks; the report names the checks.

Exit status: 0 every goal that was asked for is ready; 1 one is blocked; 2 one is degraded, or could not
be looked at; 64 wrong usage; 70 ebpf_diag itself failed.

Examples:
  ebpf_diag                                     this user, this binary, this machine
  ebpf_diag --only syscall-profiling            one goal
  ebpf_diag --as-user alice --binary /usr/local/bin/denet
  ebpf_diag --object filter.bpf.o               what an object asks for, and whether it gets it
  ebpf_diag --explain nosuid-mount
  ebpf_diag --save-facts host.json && ebpf_diag --facts host.json";

/// A page is the same on every machine.
const NOT_WITH_A_PAGE: [&str; 10] = [
    "debug",
    "json",
    "only",
    "skip",
    "as_user",
    "binary",
    "object",
    "sysroot",
    "save_facts",
    "facts",
];

/// What can eBPF do here, why not where it cannot, and what is the least that mends it?
#[derive(Debug, Parser)]
#[command(name = "ebpf_diag", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 100)]
pub struct EbpfDiag {
    /// Every check and every question to the kernel, with its errno and the verifier's words
    #[arg(long)]
    pub debug: bool,
    /// One JSON object instead of text
    #[arg(short, long)]
    pub(crate) json: bool,
    /// These goals and checks only
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = known)]
    pub(crate) only: Vec<String>,
    /// Not these goals and checks
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = known)]
    pub(crate) skip: Vec<String>,
    /// Judge for this user, by name or number, after a login of theirs
    #[arg(long, value_name = "NAME", conflicts_with = "facts")]
    pub(crate) as_user: Option<String>,
    /// Judge for a process that executes this file
    #[arg(long, value_name = "FILE", conflicts_with = "facts")]
    pub(crate) binary: Option<PathBuf>,
    /// Also say what this eBPF object asks for; a program that has one within will do
    #[arg(long, value_name = "FILE")]
    pub(crate) object: Option<PathBuf>,
    /// Read /proc, /sys, /etc and /boot under this directory, and try nothing
    #[arg(long, value_name = "DIR", conflicts_with = "facts")]
    pub(crate) sysroot: Option<PathBuf>,
    /// Write what was found to this file, and judge it
    #[arg(long, value_name = "FILE", conflicts_with = "facts")]
    pub(crate) save_facts: Option<PathBuf>,
    /// Judge what --save-facts wrote, on any machine
    #[arg(long, value_name = "FILE")]
    pub(crate) facts: Option<PathBuf>,
    /// Print the page about a finding
    #[arg(long, value_name = "ID", value_parser = page, conflicts_with_all = NOT_WITH_A_PAGE)]
    pub explain: Option<String>,
    /// Whether text is coloured.
    #[command(flatten)]
    pub color: Color,
}

fn known(id: &str) -> Result<String, String> {
    named(
        id,
        &crate::checks::report::ids().collect::<Vec<_>>(),
        "check or goal",
    )
}

fn page(id: &str) -> Result<String, String> {
    let pages = crate::checks::pages::all();
    let ids: Vec<&str> = pages.iter().map(|(id, _)| *id).collect();
    named(id, &ids, "page")
}

fn named(id: &str, ids: &[&str], what: &str) -> Result<String, String> {
    if ids.contains(&id) {
        return Ok(id.to_owned());
    }
    let nearest = ids
        .iter()
        .map(|known| (strsim::jaro_winkler(id, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((near, known)) if near > 0.75 => {
            Err(format!("no {what} has this id; did you mean {known}?"))
        }
        _ => Err(format!(
            "no {what} has this id; there are: {}",
            ids.join(", ")
        )),
    }
}

impl EbpfDiag {
    /// Plain options.
    pub fn into_parts(self) -> Options {
        let source = match (self.facts, self.sysroot) {
            (Some(file), _) => Source::Saved(file),
            (None, Some(root)) => Source::Tree(root),
            (None, None) => Source::Live,
        };
        Options {
            source,
            target: Target {
                user: self.as_user,
                binary: self.binary,
            },
            selection: Selection {
                only: self.only,
                skip: self.skip,
            },
            object: self.object,
            save: self.save_facts,
            json: self.json,
            verbose: self.debug,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_parser_is_consistent() {
        EbpfDiag::command().debug_assert();
    }

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let parse = |words: &[&str]| EbpfDiag::try_parse_from(words);
        let error = parse(&["ebpf_diag", "--only", "nosuid-mout"]).unwrap_err();
        assert!(error.to_string().contains("nosuid-mount"), "{error}");
        let options = parse(&["ebpf_diag", "--only", "xdp-counters,seccomp"]).unwrap();
        let selection = options.into_parts().selection;
        assert_eq!(selection.only, ["xdp-counters", "seccomp"]);
    }

    #[test]
    fn every_goal_stands_in_the_help() {
        for goal in crate::backends::table::GOALS {
            assert!(AFTER_HELP.contains(goal.id), "{}", goal.id);
        }
    }
}
