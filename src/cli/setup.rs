//! The options of `denet setup`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::commands::setup::{Operation, Options};
use crate::setup::plan::{PlanOptions, Profile};

/// What setup is to do.
#[derive(Args, Debug)]
pub(crate) struct Setup {
    /// Make the changes; without a verb they are only listed
    #[arg(long)]
    pub(crate) apply: bool,
    /// Undo what --apply changed, to the byte
    #[arg(long, conflicts_with = "apply")]
    pub(crate) rollback: bool,
    /// Say whether all still holds
    #[arg(long, conflicts_with_all = ["apply", "rollback"])]
    pub(crate) status: bool,
    /// `least`: what is needed and no more; `documented`: what classic guides ask for as well, with what
    /// each step exposes
    #[arg(long, value_enum, default_value = "least", hide_possible_values = true)]
    pub(crate) profile: ProfileName,
    /// Who is to profile: added to the group `tracing` (the user behind sudo)
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// More than profiling the user's own processes: xdp (cap_net_admin), kernel-symbols (cap_syslog), scope=any
    /// (processes of all users), sysctl=KEY=VALUE
    #[arg(long, value_name = "WHAT", value_parser = with)]
    pub(crate) with: Vec<With>,
    /// Where the binaries go, into bin below
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    pub(crate) prefix: PathBuf,
    /// Set up the system in this directory instead, an image
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Do not ask before changing anything
    #[arg(long)]
    pub(crate) yes: bool,
    /// End at this boundary between two acts, to test what is then found
    #[cfg_attr(feature = "test-hooks", arg(long, hide = true, value_name = "N"))]
    #[cfg_attr(not(feature = "test-hooks"), arg(skip))]
    pub(crate) die_at: Option<u32>,
}

/// How much is opened.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ProfileName {
    /// What is needed and no more.
    Least,
    /// What the classic guides ask for as well.
    Documented,
}

/// Something that is asked for besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum With {
    /// Counters on network interfaces.
    Xdp,
    /// Names of kernel functions.
    KernelSymbols,
    /// Processes of all users.
    AnyScope,
    /// A setting.
    Sysctl(String, String),
}

fn with(text: &str) -> Result<With, String> {
    match text {
        "xdp" => Ok(With::Xdp),
        "kernel-symbols" => Ok(With::KernelSymbols),
        "scope=any" => Ok(With::AnyScope),
        _ => {
            let setting = text.strip_prefix("sysctl=");
            let pair = setting.and_then(|setting| setting.split_once('='));
            let (key, value) =
                pair.ok_or("there are xdp, kernel-symbols, scope=any and sysctl=KEY=VALUE")?;
            Ok(With::Sysctl(key.to_owned(), value.to_owned()))
        }
    }
}

impl Setup {
    pub(crate) fn into_parts(self, json: bool) -> Options {
        let operation = match (self.apply, self.rollback, self.status) {
            (true, ..) => Operation::Apply,
            (_, true, _) => Operation::Rollback,
            (.., true) => Operation::Status,
            _ => Operation::Plan,
        };
        let sysctls = self.with.iter().filter_map(|with| match with {
            With::Sysctl(key, value) => Some((key.clone(), value.clone())),
            With::Xdp | With::KernelSymbols | With::AnyScope => None,
        });
        Options {
            operation,
            plan: PlanOptions {
                profile: match self.profile {
                    ProfileName::Least => Profile::Least,
                    ProfileName::Documented => Profile::Documented,
                },
                user: self.user,
                xdp: self.with.contains(&With::Xdp),
                kernel_symbols: self.with.contains(&With::KernelSymbols),
                any_scope: self.with.contains(&With::AnyScope),
                sysctls: sysctls.collect(),
                prefix: self.prefix,
            },
            root: self.root,
            json,
            yes: self.yes,
            die_at: self.die_at,
        }
    }
}
