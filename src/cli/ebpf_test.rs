//! The command line of `ebpf_test`.

use std::path::PathBuf;

use clap::Parser;

use super::STYLES;
use super::color::Color;
use crate::decode::syscalls::harmless::Harmless;
use crate::facts::kernel_types::VMLINUX;
use crate::smoke::Options;

const AFTER_HELP: &str = "\
Exit status: 0 every stage is ok; 1 a stage failed, and the finding says why and what mends it; \
64 wrong usage; 70 ebpf_test itself failed or could not write its output.

Examples:
  sudo ebpf_test
  sudo ebpf_test --syscall openat --json";

/// Does eBPF work here? Loads, attaches, triggers, observes and detaches one small program
#[derive(Debug, Parser)]
#[command(name = "ebpf_test", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 100)]
pub struct EbpfTest {
    /// The syscall that is made, with arguments that make it do nothing, and counted
    #[arg(long, value_name = "NAME", default_value = "getpid", value_parser = Harmless::named)]
    pub(crate) syscall: Harmless,
    /// One JSON object instead of a table
    #[arg(short, long)]
    pub(crate) json: bool,
    /// Say on stderr what is loaded and attached, and what was refused (or set RUST_LOG)
    #[arg(long)]
    pub debug: bool,
    /// Whether text is coloured.
    #[command(flatten)]
    pub color: Color,
    /// Look here for the kernel's types, to test what happens without
    #[cfg_attr(feature = "test-hooks", arg(long, hide = true, default_value = VMLINUX))]
    #[cfg_attr(not(feature = "test-hooks"), arg(skip = VMLINUX))]
    pub(crate) btf: PathBuf,
}

impl EbpfTest {
    /// Plain options, and whether JSON is asked for.
    pub fn into_parts(self) -> (Options, bool) {
        let options = Options {
            call: self.syscall,
            btf: self.btf,
        };
        (options, self.json)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_parser_is_consistent() {
        EbpfTest::command().debug_assert();
    }

    #[test]
    fn getpid_unless_another_is_named() {
        let parse = |words: &[&str]| EbpfTest::try_parse_from(words).unwrap().into_parts();
        let (options, json) = parse(&["ebpf_test"]);
        assert_eq!((options.call.name(), json), ("getpid", false));
        let (options, json) = parse(&["ebpf_test", "--json", "--syscall", "openat"]);
        assert_eq!((options.call.name(), json), ("openat", true));
    }
}
