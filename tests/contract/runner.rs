//! tests/run and what it calls, with fake commands in place of cargo, apt and qemu: it never reports a pass
//! that did not happen, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::root;
use crate::support::Scratch;
use crate::support::processes::{has_ended, pid_in};
use crate::support::wait::wait_until;

const SETTING: &str = "sys/kernel/kptr_restrict";

/// Held by each test: a run reports what another one leaves behind.
static ALONE: Mutex<()> = Mutex::new(());

/// A repository of which only the runner is real.
struct Sandbox {
    scratch: Scratch,
    _alone: MutexGuard<'static, ()>,
}

impl Sandbox {
    fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let sandbox = Self {
            scratch: Scratch::new(),
            _alone: alone,
        };
        for file in ["vm.sh", "kernels/guest", "kernels/results.awk"] {
            sandbox.write(&format!("tests/{file}"), &real(file));
        }
        // The test must not change the machine's settings.
        let own = sandbox.path("sys").display().to_string();
        let machine = real("machine.sh")
            .replace("/proc/sys ", &format!("{own} "))
            .replace("/proc/sys/", &format!("{own}/"))
            .replace("/sys/kernel/tracing", "/nothing")
            .replace("tries=50", "tries=3");
        assert_eq!(machine.matches(&own).count(), 3);
        sandbox.write("tests/machine.sh", &machine);
        sandbox.write("sys/kernel/random/boot_id", "this-boot\n");
        sandbox.write(SETTING, "1\n");
        sandbox.write("bin/id", "#!/bin/sh\necho 0\n");
        // Programs of others come and go.
        sandbox.write("bin/bpftool", "#!/bin/sh\n");
        // Nothing is installed.
        let own = "packages_for() {\n    return\n";
        let run = real("run").replace("packages_for() {\n", own);
        assert!(run.contains(own));
        sandbox.write("tests/run", &run);
        sandbox.write(
            "bin/cargo",
            "#!/bin/sh\necho 'test result: ok. 3 passed;'\n",
        );
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("our own folder");
        fs::write(&path, text).expect("our own folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    }

    /// Its own cache and commands before those of the machine.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let path = std::env::var("PATH").expect("PATH");
        command
            .current_dir(&self.scratch.0)
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env_remove("DENET_TEST_CACHE")
            .env_remove("DENET_TEST_KEEP")
            .env("DENET_GUEST_SILENT_S", "0")
            .env_remove("CI")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        output(self.command(self.path("tests/run")).args(arguments))
    }

    /// A script that has tests/vm.sh's functions.
    fn vm(&self, script: &str) -> Output {
        let script = format!(". tests/vm.sh; vm_open_cache || exit 9; {script}");
        output(self.command("/bin/bash").args(["-c", &script]))
    }
}

fn real(file: &str) -> String {
    fs::read_to_string(root().join("tests").join(file)).expect("our own file")
}

fn output(command: &mut Command) -> Output {
    command.output().expect("it starts")
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Its exit code, and all that it printed.
fn ended(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), text(output))
}

#[test]
fn counts_are_summed_and_a_run_of_nothing_fails() {
    let sandbox = Sandbox::new();
    let (code, text) = ended(&sandbox.run(&["cli"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("time: cli "), "{text}");
    assert!(
        text.ends_with("\n3 passed, 0 failed, 0 skipped\n"),
        "{text}"
    );
    sandbox.write("bin/cargo", "#!/bin/sh\nexit 0\n");
    let (code, text) = ended(&sandbox.run(&["cli"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.ends_with("\n0 passed, 1 failed, 0 skipped\n"),
        "{text}"
    );
    for arguments in [&["lint", "stress"][..], &["stress", "0"], &["nothing"]] {
        let (code, text) = ended(&sandbox.run(arguments));
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("usage: tests/run"), "{text}");
    }
}

#[test]
fn without_a_folder_for_its_lock_it_says_what_to_set() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(sandbox.path("tests/run"));
    command.arg("cli").env("XDG_CACHE_HOME", "/dev/null");
    let (code, text) = ended(&output(&mut command));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("tests/run: set XDG_CACHE_HOME"), "{text}");
}

#[test]
fn flaky_tests_are_no_passes_and_few_are_tolerated() {
    let sandbox = Sandbox::new();
    let executable = "#!/bin/sh\necho '  Executable tests/x (/x/deps/privileged)'\n";
    sandbox.write("bin/cargo", executable);
    for (counts, code, failed) in [("7 0 1 2", 0, 0), ("7 0 0 3", 1, 1), ("0 0 0 0", 1, 1)] {
        let tier = format!("#!/bin/sh\necho {counts} >&3\n");
        sandbox.write("tests/kernels/run", &tier);
        let (ended, text) = ended(&sandbox.run(&["kernels"]));
        assert_eq!(ended, Some(code), "{counts}: {text}");
        let mut counts = counts.split(' ');
        let (passed, skipped) = (counts.next().expect("4"), counts.nth(1).expect("4"));
        let line = format!("\n{passed} passed, {failed} failed, {skipped} skipped\n");
        assert!(text.ends_with(&line), "{text}");
    }
}

#[test]
fn in_a_guest_only_tests_that_count_nothing_are_repeated() {
    let sandbox = Sandbox::new();
    // Each of `once` fails the first time; each of `always`, always.
    sandbox.write(
        "bin/tests",
        "#!/bin/sh\nshift 3\nfor name; do result=ok\ncase $name in\n\
         *::always) result=FAILED ;;\n\
         *::once) [ -e done.$name ] || result=FAILED; : >done.$name ;;\nesac\n\
         echo \"test $name ... $result\"\n[ $result = ok ] || code=101\ndone\nexit ${code:-0}\n",
    );
    let names = "exact::once\nexact::fine\nother::always\nother::fine\nother::once\n";
    sandbox.write("names", names);
    let script = "sh tests/kernels/guest bin/tests names 'exact::|counts::' | \
                  awk -f tests/kernels/results.awk";
    let (_, text) = ended(&output(sandbox.command("/bin/sh").args(["-c", script])));
    let expected = "exact::once FAILED\nexact::fine ok\nother::always FAILED\n\
                    other::fine ok\nother::once flaky\n";
    assert_eq!(text, expected);
}

#[test]
fn what_a_tier_leaves_behind_fails_it_and_is_removed() {
    let sandbox = Sandbox::new();
    let left = sandbox.path("left");
    // A folder of a process that has exited, and a process of its own session.
    let script = format!(
        "#!/bin/sh\nsh -c 'mkdir /tmp/denet-test-$$-left; echo $$ >{0}'\n\
         setsid sh -c 'echo $$ >>{0}; exec cat {0}.fifo' </dev/null >/dev/null 2>&1 &\n\
         until [ $(wc -l <{0}) = 2 ]; do :; done\n\
         echo 'test result: ok. 3 passed;'\n",
        left.display()
    );
    let fifo = left.with_extension("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("our own folder");
    sandbox.write("bin/cargo", &script);
    let (code, text) = ended(&sandbox.run(&["cli"]));
    assert_eq!(code, Some(1), "{text}");
    let pids = fs::read_to_string(&left).expect("it ran");
    let (folder, process) = pids.trim().split_once('\n').expect("two");
    let folder = format!("/tmp/denet-test-{folder}-left");
    for named in [
        format!("> folder {folder}"),
        format!("> process {process} "),
    ] {
        assert!(text.contains(&named), "{named}: {text}");
    }
    assert!(!Path::new(&folder).exists(), "{text}");
    let process = process.parse().expect("a number");
    wait_until("the process has ended", || has_ended(process));
}

#[test]
fn a_signal_ends_it_with_all_that_it_started() {
    let sandbox = Sandbox::new();
    let (pid, fifo) = (sandbox.path("pid"), sandbox.path("fifo"));
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("our own folder");
    // The second one does not end with the signal.
    let script = format!(
        "#!/bin/sh\nsetsid sh -c \"trap '' TERM; echo \\$\\$ >{0}; exec cat {1}\" &\ncat {1}\n",
        pid.display(),
        fifo.display()
    );
    sandbox.write("bin/cargo", &script);
    let mut command = sandbox.command(sandbox.path("tests/run"));
    command.args(["cli", "unit"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = command.spawn().expect("it starts");
    let process = pid_in(&pid);
    // Another run is refused meanwhile.
    let (code, text) = ended(&sandbox.run(&["cli"]));
    assert_eq!(code, Some(1), "{text}");
    let refusal = format!("another run is under way (process {}", run.id());
    assert!(text.contains(&refusal), "{text}");
    let id = nix::unistd::Pid::from_raw(run.id() as i32);
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).expect("it runs");
    let (code, text) = ended(&run.wait_with_output().expect("it ends"));
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("tests/run: interrupted"), "{text}");
    assert!(!text.contains(" passed, "), "{text}");
    wait_until("the process has ended", || has_ended(process));
}

#[test]
fn settings_that_a_run_changed_are_restored() {
    let sandbox = Sandbox::new();
    let setting = sandbox.path(SETTING);
    let change = format!("#!/bin/sh\necho 2 >{}\n", setting.display());
    sandbox.write(
        "bin/cargo",
        &format!("{change}echo 'test result: ok. 3 passed;'\n"),
    );
    let (code, text) = ended(&sandbox.run(&["cli"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("> setting kernel/kptr_restrict 2"), "{text}");
    assert_eq!(fs::read_to_string(&setting).expect("our own file"), "1\n");
    // A run that is killed restores nothing; the next one does.
    sandbox.write(
        "bin/cargo",
        &format!("{change}kill -KILL $DENET_TEST_RUN\n"),
    );
    let (code, text) = ended(&sandbox.run(&["cli"]));
    assert_eq!(code, None, "{text}");
    assert_eq!(fs::read_to_string(&setting).expect("our own file"), "2\n");
    let pass = "#!/bin/sh\necho 'test result: ok. 3 passed;'\n";
    sandbox.write("bin/cargo", pass);
    let (code, text) = ended(&sandbox.run(&["cli"]));
    let restored =
        "left by an interrupted run and removed: setting kernel/kptr_restrict, restored to 1";
    assert!(code == Some(0) && text.contains(restored), "{text}");
    assert_eq!(fs::read_to_string(&setting).expect("our own file"), "1\n");
}

#[test]
fn guests_that_hang_or_panic_fail() {
    let sandbox = Sandbox::new();
    for (qemu, reason) in [
        ("exec tail -f /dev/null", "the guest x hangs"),
        ("echo 'Kernel panic' >\"$console\"", "the guest x panicked"),
        ("exit 3", "qemu ended with 3"),
    ] {
        // The first -serial is the console.
        let script = format!(
            "#!/bin/bash\nwhile [ \"$1\" != -serial ]; do shift; done\nconsole=${{2#file:}}\n{qemu}\n"
        );
        sandbox.write("bin/qemu-system-x86_64", &script);
        let (code, text) = ended(&sandbox.vm("vm_boot x kernel initramfs ''"));
        assert!(code == Some(1) && text.contains(reason), "{reason}: {text}");
    }
}

#[test]
fn a_kernel_is_taken_from_the_cache_only_if_it_is_whole() {
    let sandbox = Sandbox::new();
    for tool in ["apt-get", "apt-cache"] {
        sandbox.write(
            &format!("bin/{tool}"),
            "#!/bin/sh\necho 'E: no network' >&2; exit 100\n",
        );
    }
    let kernel = "cache/denet-tests/kernels/6.12";
    let has = |newest: &str| {
        let done = sandbox.vm(&format!("VM_NEWEST={newest}; vm_kernel 6.12"));
        (done.status.code() == Some(0), text(&done))
    };
    assert!(!has("").0);
    for file in ["vmlinuz", "modules/lib/modules/6.12-x/modules.dep"] {
        sandbox.write(&format!("{kernel}/{file}"), "x");
    }
    sandbox.write(&format!("{kernel}/release"), "6.12-x\n");
    // Without a network, and also where a newer one is wanted.
    for newest in ["", "1"] {
        let (has, text) = has(newest);
        assert!(has, "{text}");
    }
    sandbox.write(&format!("{kernel}/vmlinuz"), "");
    assert!(!has("").0, "half a kernel");
}
