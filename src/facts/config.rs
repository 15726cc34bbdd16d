//! How the kernel was built, as far as eBPF and tracing depend on it.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use super::fact::Fact;
use super::fact::malformed;
use super::kernel::Kernel;
use crate::sys::root::Root;

/// Options that are kept of the five to ten thousand, without `CONFIG_`.
pub(crate) const KEPT: &[&str] = &[
    "BPF",
    "BPFILTER",
    "BPF_EVENTS",
    "BPF_JIT",
    "BPF_JIT_ALWAYS_ON",
    "BPF_JIT_DEFAULT_ON",
    "BPF_KPROBE_OVERRIDE",
    "BPF_LSM",
    "BPF_STREAM_PARSER",
    "BPF_SYSCALL",
    "BPF_UNPRIV_DEFAULT_OFF",
    "CGROUPS",
    "CGROUP_BPF",
    "CPU_MITIGATIONS",
    "DEBUG_FS",
    "DEBUG_FS_ALLOW_ALL",
    "DEBUG_FS_ALLOW_NONE",
    "DEBUG_FS_DISALLOW_MOUNT",
    "DEBUG_INFO",
    "DEBUG_INFO_BTF",
    "DEBUG_INFO_BTF_MODULES",
    "DYNAMIC_FTRACE",
    "DYNAMIC_FTRACE_WITH_ARGS",
    "DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    "DYNAMIC_FTRACE_WITH_REGS",
    "FTRACE",
    "FTRACE_SYSCALLS",
    "FUNCTION_ERROR_INJECTION",
    "FUNCTION_TRACER",
    "HAVE_EBPF_JIT",
    "HAVE_SYSCALL_TRACEPOINTS",
    "IKCONFIG",
    "IKCONFIG_PROC",
    "KALLSYMS",
    "KALLSYMS_ALL",
    "KPROBES",
    "KPROBE_EVENTS",
    "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY",
    "LOCK_DOWN_KERNEL_FORCE_INTEGRITY",
    "LSM",
    "MEMCG",
    "MODULES",
    "NET",
    "NET_ACT_BPF",
    "NET_CLS_ACT",
    "NET_CLS_BPF",
    "NET_SCH_INGRESS",
    "PERF_EVENTS",
    "PREEMPT",
    "PREEMPT_DYNAMIC",
    "PREEMPT_LAZY",
    "PREEMPT_NONE",
    "PREEMPT_RCU",
    "PREEMPT_RT",
    "PREEMPT_VOLUNTARY",
    "SECCOMP",
    "SECCOMP_FILTER",
    "SECURITY",
    "SECURITYFS",
    "SECURITY_APPARMOR",
    "SECURITY_LOCKDOWN_LSM",
    "SECURITY_LOCKDOWN_LSM_EARLY",
    "SECURITY_PERF_EVENTS_RESTRICT",
    "SECURITY_SELINUX",
    "STACKTRACE",
    "TRACEPOINTS",
    "TRACING",
    "UPROBES",
    "UPROBE_EVENTS",
    "USER_NS",
    "XDP_SOCKETS",
];

/// What an option is set to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Setting {
    /// Built in.
    #[serde(rename = "y")]
    Yes,
    /// A module, loaded or not.
    #[serde(rename = "m")]
    Module,
    /// Not built.
    #[serde(rename = "n")]
    No,
    /// A number or a text, as it is written.
    Value(String),
}

/// The options of [`KEPT`] that a kernel's configuration names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    /// The file that says so.
    pub(crate) source: String,
    /// By name, without `CONFIG_`.
    pub(crate) options: BTreeMap<String, Setting>,
}

impl Config {
    /// From `/proc/config.gz`, which is the running kernel's own, else from the files that a
    /// distribution installs beside it. `Absent` where none exists; otherwise what stood in the way
    /// of the first.
    pub(crate) fn probe(root: &Root, kernel: &Kernel) -> Fact<Self> {
        let mut obstacle = Fact::Absent;
        let mut sources = vec!["/proc/config.gz".to_owned()];
        if let Some(version) = kernel.version.known() {
            // A release is no way out of its folder.
            let release = version.text.replace('/', "_");
            sources.push(format!("/boot/config-{release}"));
            sources.push(format!("/lib/modules/{release}/config"));
        }
        for source in sources {
            match read(root, &source) {
                Fact::Known(options) => return Fact::Known(Self { source, options }),
                Fact::Absent => {}
                other if obstacle == Fact::Absent => {
                    obstacle = other.map(|options| Self { source, options });
                }
                _ => {}
            }
        }
        obstacle
    }

    /// What an option is set to, by its name with or without `CONFIG_`. `Absent`: this kernel does not
    /// know it, or what it depends on is not built. `Failed`: it is not among those that are kept.
    pub(crate) fn get(&self, option: &str) -> Fact<Setting> {
        let name = option.strip_prefix("CONFIG_").unwrap_or(option);
        if KEPT.binary_search(&name).is_err() {
            return Fact::Failed(format!("CONFIG_{name} is not recorded"));
        }
        let setting = self.options.get(name);
        setting.map_or(Fact::Absent, |setting| Fact::Known(setting.clone()))
    }
}

/// A configuration has some 300 KB.
const LONGEST: u64 = 16 << 20;

fn read(root: &Root, source: &str) -> Fact<BTreeMap<String, Setting>> {
    Fact::of(source, root.read(source)).and_then(|bytes| {
        let mut text = bytes;
        if source.ends_with(".gz") {
            let packed = std::mem::take(&mut text);
            let unpacked = MultiGzDecoder::new(packed.as_slice())
                .take(LONGEST)
                .read_to_end(&mut text);
            if let Err(error) = unpacked {
                return Fact::Failed(format!("{source}: {error}"));
            }
        }
        let text = String::from_utf8_lossy(&text);
        match parse(&text) {
            Ok(options) => Fact::Known(options),
            Err(line) => Fact::Failed(malformed(source, line)),
        }
    })
}

/// `CONFIG_X=y` and `# CONFIG_X is not set`; an error is the first line that is neither nor a
/// comment, or everything if no option is named at all.
fn parse(text: &str) -> Result<BTreeMap<String, Setting>, &str> {
    let mut options = BTreeMap::new();
    let mut named = 0;
    for line in text.lines().map(str::trim) {
        let unset = line
            .strip_prefix("# CONFIG_")
            .and_then(|rest| rest.strip_suffix(" is not set"));
        let (name, setting) = match (unset, line.strip_prefix("CONFIG_")) {
            (Some(name), _) => (name, Setting::No),
            (None, Some(option)) => {
                let (name, value) = option.split_once('=').ok_or(line)?;
                (name, setting(value))
            }
            (None, None) if line.is_empty() || line.starts_with('#') => continue,
            (None, None) => return Err(line),
        };
        named += 1;
        if KEPT.binary_search(&name).is_ok() {
            options.insert(name.to_owned(), setting);
        }
    }
    if named == 0 { Err(text) } else { Ok(options) }
}

fn setting(value: &str) -> Setting {
    match value {
        "y" => Setting::Yes,
        "m" => Setting::Module,
        "n" => Setting::No,
        text => Setting::Value(text.trim_matches('"').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::kernel::Kernel;
    use super::*;
    use crate::sys::root::tests::Tree;

    const TEXT: &str = "#\n# Linux/x86 6.1\n#\nCONFIG_BPF_SYSCALL=y\nCONFIG_NET_CLS_BPF=m\n\
        # CONFIG_DEBUG_INFO_BTF is not set\nCONFIG_LSM=\"lockdown,bpf\"\nCONFIG_HZ=250\n";

    fn packed(text: &str) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    }

    fn probe(tree: &Tree) -> Fact<Config> {
        let root = tree.root();
        Config::probe(&root, &Kernel::probe(&root))
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(KEPT.is_sorted());
    }

    #[test]
    fn an_option_is_set_unset_unknown_or_not_kept() {
        let tree = Tree::with(&[("/proc/config.gz", packed(TEXT))]);
        let config = probe(&tree);
        let config = config.known().unwrap();
        assert_eq!(config.source, "/proc/config.gz");
        assert_eq!(config.get("CONFIG_BPF_SYSCALL"), Fact::Known(Setting::Yes));
        assert_eq!(config.get("NET_CLS_BPF"), Fact::Known(Setting::Module));
        assert_eq!(config.get("DEBUG_INFO_BTF"), Fact::Known(Setting::No));
        let lsm = Setting::Value("lockdown,bpf".into());
        assert_eq!(config.get("LSM"), Fact::Known(lsm));
        assert_eq!(config.get("KPROBES"), Fact::Absent);
        assert!(matches!(config.get("HZ"), Fact::Failed(_)));
    }

    #[test]
    fn other_files_are_asked_in_order() {
        let tree = Tree::with(&[
            ("/proc/sys/kernel/osrelease", "6.1.0-50-amd64\n"),
            ("/lib/modules/6.1.0-50-amd64/config", TEXT),
        ]);
        let source = |tree: &Tree| probe(tree).map(|config| config.source);
        let of_modules = "/lib/modules/6.1.0-50-amd64/config";
        assert_eq!(source(&tree), Fact::Known(of_modules.into()));
        tree.write("/boot/config-6.1.0-50-amd64", TEXT.as_bytes());
        let of_boot = Fact::Known("/boot/config-6.1.0-50-amd64".into());
        assert_eq!(source(&tree), of_boot);
        // A broken one does not hide a whole one, and is not passed over in silence without.
        tree.write("/proc/config.gz", b"\x1f\x8b garbage");
        assert_eq!(source(&tree), of_boot);
        let alone = Tree::with(&[("/proc/config.gz", "garbage")]);
        assert!(matches!(probe(&alone), Fact::Failed(_)));
        assert_eq!(probe(&Tree::with(&[("/x", "")])), Fact::Absent);
    }

    #[test]
    fn garbage_is_no_configuration() {
        for text in ["", "# only a comment", "CONFIG_BPF", "<html>", "\u{fffd}"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
