use super::*;
use crate::sys::root::tests::Tree;

const CPU: &str = "/sys/devices/system/cpu";

/// Two sockets of two threads each.
fn machine() -> Tree {
    let kernel = "/proc/sys/kernel";
    let tree = Tree::with(&[
        (&*format!("{kernel}/hostname"), "box\n"),
        (&*format!("{kernel}/osrelease"), "6.12.1-test\n"),
        (&*format!("{kernel}/version"), "#1 SMP\n"),
        (&*format!("{kernel}/arch"), "x86_64\n"),
        (&*format!("{kernel}/perf_event_paranoid"), "-1\n"),
        ("/etc/os-release", "ID=debian\nVERSION_ID=\"13\"\n"),
        (
            "/proc/stat",
            "cpu  1 2 3 4\nctxt 5\nbtime 1700000000\nprocesses 3\n",
        ),
        (
            "/proc/cpuinfo",
            "processor\t: 0\nmodel name\t: Fast CPU\nflags\t\t: fpu\n",
        ),
        (
            "/proc/self/status",
            "Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t0-1,3\n",
        ),
        ("/proc/self/cgroup", "0::/a/b\n"),
        (
            "/proc/self/mountinfo",
            "1 0 0:9 / /sys/fs/cgroup rw - cgroup2 x rw\n",
        ),
        ("/sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
        ("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
        ("/sys/fs/cgroup/a/memory.max", "max\n"),
        ("/sys/fs/cgroup/a/b/memory.max", "1048576\n"),
        (
            "/proc/self/limits",
            "Max stack size 8388608 unlimited bytes\nMax processes 7 8 processes\nMax open files 1024 4096 files\n",
        ),
        (
            "/proc/meminfo",
            "MemTotal:  16000 kB\nMemFree: 1 kB\nSwapTotal:       0 kB\n",
        ),
        ("/proc/pressure/memory", "some avg10=0.00\n"),
        ("/proc/1/environ", "PATH=/bin\0"),
        (
            "/sys/kernel/mm/transparent_hugepage/enabled",
            "always [madvise] never\n",
        ),
        (
            "/sys/devices/system/clocksource/clocksource0/current_clocksource",
            "tsc\n",
        ),
        ("/sys/devices/system/node/online", "0-1\n"),
        (&*format!("{CPU}/online"), "0-3\n"),
        (&*format!("{CPU}/present"), "0-7\n"),
        (&*format!("{CPU}/smt/active"), "1\n"),
    ]);
    let auxv: Vec<u8> = [3_u64, 64, 6, 4096, 0, 0]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    tree.write("/proc/self/auxv", &auxv);
    for cpu in 0..4 {
        let topology = format!("{CPU}/cpu{cpu}/topology");
        let (siblings, package) = if cpu < 2 { ("0-1", "0") } else { ("2-3", "1") };
        tree.write(
            &format!("{topology}/thread_siblings_list"),
            siblings.as_bytes(),
        );
        tree.write(
            &format!("{topology}/physical_package_id"),
            package.as_bytes(),
        );
        let policy = format!("{CPU}/cpufreq/policy{cpu}");
        let governor = ["powersave\n", "performance\n"][cpu % 2];
        tree.write(&format!("{policy}/scaling_governor"), governor.as_bytes());
        tree.write(
            &format!("{policy}/cpuinfo_min_freq"),
            format!("{}\n", 800_000 + cpu).as_bytes(),
        );
        tree.write(
            &format!("{policy}/cpuinfo_max_freq"),
            format!("{}\n", 3_000_000 + cpu).as_bytes(),
        );
    }
    // Switched off: no topology.
    tree.write(&format!("{CPU}/cpu4/online"), b"0\n");
    tree
}

#[test]
fn a_machine_is_told_whole() {
    let record = env_record(&machine().root());
    let expected = json!({
        "kind": "env", "hostname": "box", "kernel_release": "6.12.1-test", "kernel_version": "#1 SMP",
        "architecture": "x86_64", "distribution": {"id": "debian", "version": "13"},
        "boot_time_secs": 1_700_000_000_u64, "cpu_model": "Fast CPU", "cpus_online": 4, "cpus_present": 8,
        "cpu_cores": 2, "cpu_sockets": 2, "smt_active": true, "numa_nodes": 2, "cpu_affinity": "0-1,3",
        "cpu_governors": ["performance", "powersave"], "cpu_min_khz": 800_000, "cpu_max_khz": 3_000_003,
        "thp": "madvise", "memory_total_kb": 16000, "swap_total_kb": 0, "page_size_bytes": 4096,
        "clocksource": "tsc", "cgroup_path": "/a/b", "cgroup_version": 2, "cgroup_cpu_max": 1.5,
        "cgroup_memory_max_bytes": 1_048_576, "virtual_machine": false,
        "limit_nofile": {"soft": 1024, "hard": 4096}, "limit_nproc": {"soft": 7, "hard": 8},
        "limit_stack_bytes": {"soft": 8_388_608, "hard": null}, "psi_available": true,
        "perf_event_paranoid": -1,
    });
    assert_eq!(record, expected);
}

#[test]
fn of_an_empty_machine_nothing_is_claimed() {
    let record = env_record(&Tree::with::<&str>(&[]).root());
    let record = record.as_object().unwrap();
    // That files of pressure are not there is an answer.
    let known: Vec<_> = record.keys().map(String::as_str).collect();
    assert_eq!(known, ["kind", "psi_available", "unread"]);
    assert_eq!(record["psi_available"], false);
    let unread = record["unread"].as_object().unwrap();
    let whole = env_record(&machine().root());
    let silent = ["kind", "psi_available", "cgroup_version"];
    for (name, _) in whole.as_object().unwrap() {
        if !silent.contains(&name.as_str()) {
            let why = unread[name].as_str().unwrap();
            assert!(why.contains("No such file or directory"), "{name}: {why}");
        }
    }
}

fn changed(files: &[(&str, &str)]) -> Value {
    let tree = machine();
    for (path, content) in files {
        tree.write(path, content.as_bytes());
    }
    env_record(&tree.root())
}

#[test]
fn garbage_is_unread_not_zero() {
    for (path, name) in [
        ("/proc/sys/kernel/hostname", "hostname"),
        ("/proc/stat", "boot_time_secs"),
        ("/proc/cpuinfo", "cpu_model"),
        ("/proc/self/status", "cpu_affinity"),
        ("/proc/meminfo", "memory_total_kb"),
        ("/proc/self/auxv", "page_size_bytes"),
        ("/proc/self/limits", "limit_nproc"),
        ("/proc/self/cgroup", "cgroup_path"),
        ("/sys/fs/cgroup/a/b/memory.max", "cgroup_memory_max_bytes"),
        ("/sys/fs/cgroup/a/cpu.max", "cgroup_cpu_max"),
        ("/sys/devices/system/cpu/smt/active", "smt_active"),
        (
            "/sys/devices/system/cpu/cpu1/topology/physical_package_id",
            "cpu_sockets",
        ),
        ("/sys/kernel/mm/transparent_hugepage/enabled", "thp"),
    ] {
        for garbage in ["\n", "-\u{fffd}\n"] {
            if garbage.starts_with('-') && name == "hostname" {
                continue;
            }
            let record = changed(&[(path, garbage)]);
            assert_eq!(record.get(name), None, "{name} of {garbage:?}");
            // An empty list of groups is malformed for nobody: there is none.
            assert!(
                record["unread"][name].is_string(),
                "{name} of {garbage:?}: {record}"
            );
        }
    }
}

#[test]
fn the_old_hierarchy() {
    let record = changed(&[
        ("/proc/self/cgroup", "4:cpu,cpuacct:/c\n3:memory:/m\n0::/\n"),
        (
            "/proc/self/mountinfo",
            "1 0 0:9 / /cg/cpu rw - cgroup x rw,cpu,cpuacct\n2 0 0:8 / /cg/memory rw - cgroup x rw,memory\n",
        ),
        ("/cg/cpu/c/cpu.cfs_quota_us", "50000\n"),
        ("/cg/cpu/c/cpu.cfs_period_us", "100000\n"),
        ("/cg/cpu/cpu.cfs_quota_us", "-1\n"),
        (
            "/cg/memory/m/memory.limit_in_bytes",
            "9223372036854771712\n",
        ),
        ("/cg/memory/memory.limit_in_bytes", "4096\n"),
    ]);
    assert_eq!(
        (&record["cgroup_path"], &record["cgroup_version"]),
        (&json!("/c"), &json!(1))
    );
    assert_eq!(record["cgroup_cpu_max"], 0.5);
    assert_eq!(record["cgroup_memory_max_bytes"], 4096);
}

#[test]
fn containers_and_virtual_machines() {
    let record = changed(&[
        ("/.dockerenv", ""),
        ("/proc/cpuinfo", "model name: x\nflags: hypervisor\n"),
        ("/sys/class/dmi/id/sys_vendor", "VMware, Inc.\n"),
    ]);
    assert_eq!(record["container"], "docker");
    assert_eq!(
        (&record["virtual_machine"], &record["hypervisor"]),
        (&json!(true), &json!("vmware"))
    );
    let nameless = changed(&[("/proc/cpuinfo", "model name: x\nflags: hypervisor\n")]);
    assert_eq!(
        (nameless.get("hypervisor"), nameless.get("container")),
        (None, None)
    );
    assert!(nameless["unread"]["hypervisor"].is_string());
}

#[test]
fn this_machine_keeps_its_secrets() {
    let record = env_record(&Root::default());
    assert!(
        record["cpus_online"].as_u64().is_some_and(|cpus| cpus > 0),
        "{record}"
    );
    assert!(
        record["page_size_bytes"]
            .as_u64()
            .is_some_and(|size| size >= 4096),
        "{record}"
    );
    let text = record.to_string();
    if let Some(path) = std::env::var_os("PATH") {
        assert!(!text.contains(&*path.to_string_lossy()), "{text}");
    }
}

#[test]
fn why_memory_is_not_read_by_procfs_core() {
    use procfs_core::{FromRead as _, Meminfo};
    let known = |text: &str| {
        let record = changed(&[("/proc/meminfo", text)]);
        record["memory_total_kb"].as_u64()
    };
    // The first and the last line of gVisor's, which has no SwapCached, Slab, Committed_AS nor Vmalloc….
    let some = "MemTotal: 8 kB\nShmem: 0 kB\n";
    assert_eq!(known(some), Some(8));
    assert!(Meminfo::from_read(some.as_bytes()).is_err());
    let odd = "MemTotal: 8 kB\n\u{fffd} 1\n";
    assert_eq!(known(odd), Some(8));
    assert!(std::panic::catch_unwind(|| Meminfo::from_read(odd.as_bytes()).is_ok()).is_err());
}
