//! What the files of `/proc/PID` say, parsed. Pure.

use crate::output::exact::Text;

/// `/proc/PID/stat` or `/proc/PID/task/TID/stat`: what denet takes of it (proc_pid_stat(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Process (or thread) id.
    pub(crate) pid: u32,
    /// Its name: any bytes but NUL, spaces, parentheses and newlines among them.
    pub(crate) command: Text,
    /// `R`, `S`, … `Z` for one that has ended and waits for its parent to ask.
    pub(crate) state: char,
    /// Its parent.
    pub(crate) parent: u32,
    /// `PF_*` of `include/linux/sched.h`.
    pub(crate) flags: u32,
    /// Page faults without I/O.
    pub(crate) minor_faults: u64,
    /// Those of ended children that it waited for, and of theirs.
    pub(crate) children_minor_faults: u64,
    /// Page faults with I/O.
    pub(crate) major_faults: u64,
    /// Those of ended children.
    pub(crate) children_major_faults: u64,
    /// CPU time of ended children that it waited for, and of theirs, in ticks.
    pub(crate) children_ticks: Ticks,
    /// Own CPU time in ticks.
    pub(crate) ticks: Ticks,
    /// Threads, a leader that ended before the others among them.
    pub(crate) threads: u64,
    /// When it started, in ticks since boot: with the id, its identity. Below 0 where the reader's time namespace
    /// shows the machine as started later.
    pub(crate) start_ticks: i64,
    /// Address space in bytes.
    pub(crate) virtual_bytes: u64,
    /// Resident memory in pages.
    pub(crate) resident_pages: u64,
    /// The CPU that it ran on last.
    pub(crate) cpu: u32,
    /// Its wait status, once it has ended, to who may know.
    pub(crate) exit_status: i32,
}

/// CPU time in ticks, as a rule hundredths of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// In user mode.
    pub(crate) user: u64,
    /// In the kernel.
    pub(crate) system: u64,
}

impl Ticks {
    /// In both modes.
    pub(crate) fn sum(self) -> u64 {
        self.user + self.system
    }
}

impl Stat {
    /// The process has ended, and not only its leader.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread_has_ended() && self.threads <= 1
    }

    /// This thread has; of a leader, others may live on.
    pub(crate) fn thread_has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// A thread of the kernel's own, which no program runs in (`PF_KTHREAD`).
    pub(crate) fn is_kernel_thread(&self) -> bool {
        self.flags & 0x0020_0000 != 0
    }

    /// It has begun to exit (`PF_EXITING`), and makes no more calls.
    pub(crate) fn is_exiting(&self) -> bool {
        self.flags & 0x4 != 0
    }

    /// Parses the file. `None` if it is none of the kernel's.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        // pid (comm) state …: the name may hold anything, so it ends at the last parenthesis.
        let opens = bytes.iter().position(|byte| *byte == b'(')?;
        let closes = bytes.iter().rposition(|byte| *byte == b')')?;
        let command = bytes.get(opens + 1..closes)?.into();
        let pid = text(bytes.get(..opens)?)?.trim().parse().ok()?;
        let rest = text(bytes.get(closes + 1..)?)?;
        // From here on the third field of the manual page is the first.
        let mut fields = [""; 50];
        let mut count = 0;
        for (place, field) in fields.iter_mut().zip(rest.split_ascii_whitespace()) {
            *place = field;
            count += 1;
        }
        let fields = &fields[..count];
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            pid,
            command,
            state: fields.first()?.chars().next()?,
            parent: number(4)? as u32,
            flags: number(9)? as u32,
            minor_faults: number(10)?,
            children_minor_faults: number(11)?,
            major_faults: number(12)?,
            children_major_faults: number(13)?,
            ticks: Ticks {
                user: number(14)?,
                system: number(15)?,
            },
            children_ticks: Ticks {
                user: number(16)?,
                system: number(17)?,
            },
            threads: number(20)?,
            start_ticks: signed_ticks(number(22)?),
            virtual_bytes: number(23)?,
            // Signed, and below zero for moments on some kernels.
            resident_pages: fields.get(21)?.parse::<i64>().ok()?.max(0) as u64,
            cpu: number(39)? as u32,
            exit_status: number(52).unwrap_or(0) as i32,
        })
    }
}

/// The kernel divides nanoseconds below 0 as if they were unsigned (`nsec_to_clock_t`).
fn signed_ticks(ticks: u64) -> i64 {
    // USER_HZ is 100 on every architecture that denet runs on.
    const NS: u64 = 10_000_000;
    (ticks.wrapping_mul(NS) as i64).div_euclid(NS as i64)
}

/// `/proc/PID/io`: of the process, its ended threads and its ended children that it waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Io {
    /// Bytes that reading calls returned.
    pub(crate) read_by_calls: u64,
    /// Bytes that writing calls took.
    pub(crate) written_by_calls: u64,
    /// Bytes fetched from storage.
    pub(crate) read_from_storage: u64,
    /// Bytes that will be, or were, sent to storage.
    pub(crate) written_to_storage: u64,
}

impl Io {
    /// Parses the file. `None` if it is none of the kernel's.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut io = Self::default();
        let mut found = 0;
        for line in text(bytes)?.lines() {
            let (name, number) = line.split_once(": ")?;
            let field = match name {
                "rchar" => &mut io.read_by_calls,
                "wchar" => &mut io.written_by_calls,
                "read_bytes" => &mut io.read_from_storage,
                "write_bytes" => &mut io.written_to_storage,
                _ => continue,
            };
            *field = number.trim().parse().ok()?;
            found += 1;
        }
        (found == 4).then_some(io)
    }
}

/// Received and sent bytes of all interfaces but the loopback, of `/proc/PID/net/dev`. Not by procfs-core, which
/// divides a name at a space of Unicode's and then reads nothing: the kernel forbids those of ASCII only.
pub(crate) fn network_bytes(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut sum = (0, 0);
    for line in text(bytes)?.lines().skip(2) {
        let (name, numbers) = line.split_once(':')?;
        if name.trim() == "lo" {
            continue;
        }
        let numbers: Vec<&str> = numbers.split_ascii_whitespace().collect();
        sum.0 += numbers.first()?.parse::<u64>().ok()?;
        sum.1 += numbers.get(8)?.parse::<u64>().ok()?;
    }
    Some(sum)
}

/// `some` and `full` of the last ten seconds, of a pressure file. Not by procfs-core, whose `f32` makes 0.1 into
/// 0.10000000149011612, and which panics on a line `some`.
pub(crate) fn pressure(bytes: &[u8]) -> Option<super::model::Pressure> {
    let avg10 = |kind: &str| -> Option<f64> {
        let line = text(bytes)?
            .lines()
            .find_map(|line| line.strip_prefix(kind))?;
        let word = line
            .split_ascii_whitespace()
            .find_map(|word| word.strip_prefix("avg10="))?;
        word.parse().ok()
    };
    Some(super::model::Pressure {
        some_avg10: avg10("some ")?,
        full_avg10: avg10("full ")?,
    })
}

/// Resident pages, of `/proc/PID/statm`.
pub(crate) fn resident_pages(bytes: &[u8]) -> Option<u64> {
    text(bytes)?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Proportional set size in KiB, of `/proc/PID/smaps_rollup`.
pub(crate) fn proportional_kb(bytes: &[u8]) -> Option<u64> {
    let line = text(bytes)?
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Nanoseconds on a CPU, of `/proc/PID/task/TID/schedstat`.
pub(crate) fn scheduled_ns(bytes: &[u8]) -> Option<u64> {
    text(bytes)?.split_ascii_whitespace().next()?.parse().ok()
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use procfs_core::net::InterfaceDeviceStatus;
    use procfs_core::{FromRead as _, MemoryPressure, process};

    use super::*;

    const LINE: &str = "4242 (a) b (c\n) S 17 4242 4242 34816 4242 4194304 120 3000 4 50 7 8 90 10 20 0 3 0 5000 \
        8192000 512 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 256";

    #[test]
    fn names_may_hold_anything() {
        let stat = Stat::parse(LINE.as_bytes()).unwrap();
        assert_eq!(&*stat.command, "a) b (c\n");
        assert_eq!((stat.pid, stat.parent, stat.state), (4242, 17, 'S'));
        assert_eq!((stat.minor_faults, stat.children_minor_faults), (120, 3000));
        assert_eq!((stat.major_faults, stat.children_major_faults), (4, 50));
        assert_eq!((stat.ticks.sum(), stat.children_ticks.sum()), (15, 100));
        assert_eq!((stat.threads, stat.start_ticks, stat.cpu), (3, 5000, 1));
        // 7 s before the start of a time namespace, less a tick that the division loses.
        let before = LINE.replace(" 5000 ", " 1844674406670 ");
        assert_eq!(Stat::parse(before.as_bytes()).unwrap().start_ticks, -701);
        assert_eq!((stat.virtual_bytes, stat.resident_pages), (8_192_000, 512));
        assert_eq!(stat.exit_status, 256);
        assert!(!stat.is_kernel_thread() && !stat.has_ended());
        let odd = [&b"1 (\xff\xfe) Z"[..], &LINE.as_bytes()[17..]].concat();
        let leaderless = Stat::parse(&odd).unwrap();
        assert!(leaderless.thread_has_ended() && !leaderless.has_ended());
        let last = Stat {
            threads: 1,
            ..leaderless
        };
        assert!(last.has_ended());
    }

    #[test]
    fn the_kernels_own_files_parse() {
        let read = |name: &str| std::fs::read(format!("/proc/self/{name}")).unwrap();
        assert_eq!(Stat::parse(&read("stat")).unwrap().pid, std::process::id());
        assert!(Io::parse(&read("io")).unwrap().read_by_calls > 0);
        assert!(network_bytes(&read("net/dev")).is_some());
    }

    /// The crate is too slow for the sampler, but two parsers rarely have the same fault.
    #[test]
    fn stat_and_io_agree_with_procfs_core() {
        let stat = |name: &str| std::fs::read(format!("/proc/{name}/stat")).unwrap();
        for bytes in [LINE.into(), stat("self"), stat("thread-self")] {
            let (ours, theirs) = (
                Stat::parse(&bytes).unwrap(),
                process::Stat::from_read(&*bytes).unwrap(),
            );
            let state = theirs.state;
            assert_eq!((&*ours.command, ours.state), (&*theirs.comm, state));
            assert_eq!(
                (ours.pid as i32, ours.parent as i32),
                (theirs.pid, theirs.ppid)
            );
            assert_eq!(
                (ours.minor_faults, ours.major_faults),
                (theirs.minflt, theirs.majflt)
            );
            let children = (ours.children_minor_faults, ours.children_major_faults);
            assert_eq!(children, (theirs.cminflt, theirs.cmajflt));
            assert_eq!(
                (ours.ticks.user, ours.ticks.system),
                (theirs.utime, theirs.stime)
            );
            assert_eq!(
                ours.children_ticks.sum() as i64,
                theirs.cutime + theirs.cstime
            );
            assert_eq!(
                (ours.threads as i64, ours.start_ticks as u64),
                (theirs.num_threads, theirs.starttime)
            );
            assert_eq!(
                (ours.virtual_bytes, ours.resident_pages),
                (theirs.vsize, theirs.rss)
            );
            assert_eq!(
                (Some(ours.cpu as i32), Some(ours.exit_status)),
                (theirs.processor, theirs.exit_code)
            );
        }
        let bytes = std::fs::read("/proc/self/io").unwrap();
        let (ours, theirs) = (
            Io::parse(&bytes).unwrap(),
            process::Io::from_read(&*bytes).unwrap(),
        );
        assert_eq!(
            (ours.read_by_calls, ours.written_by_calls),
            (theirs.rchar, theirs.wchar)
        );
        let storage = (ours.read_from_storage, ours.written_to_storage);
        assert_eq!(storage, (theirs.read_bytes, theirs.write_bytes));
    }

    #[test]
    fn why_not_procfs_core() {
        // A name that the kernel accepts (dev_valid_name).
        let dev = "\n\n a\u{3000}b: 100 1 0 0 0 0 0 0 250 1 0 0 0 0 0 0\n";
        assert_eq!(network_bytes(dev.as_bytes()), Some((100, 250)));
        assert!(InterfaceDeviceStatus::from_read(dev.as_bytes()).is_err());
        let psi =
            b"some avg10=0.10 avg60=0 avg300=0 total=0\nfull avg10=0.00 avg60=0 avg300=0 total=0\n";
        assert_eq!(pressure(psi).unwrap().some_avg10, 0.1);
        let theirs = MemoryPressure::from_read(&psi[..]).unwrap();
        assert_ne!(f64::from(theirs.some.avg10), 0.1);
        assert!(
            std::panic::catch_unwind(|| MemoryPressure::from_read(&b"some"[..]).is_ok()).is_err()
        );
    }

    #[test]
    fn cut_off_and_foreign_files_are_none() {
        for end in 0..LINE.len() - 60 {
            let _ = Stat::parse(&LINE.as_bytes()[..end]);
        }
        for text in ["", "1", "1 (x", "1 (x)", "1 (x) S", "x (y) S 1 2 3", ")("] {
            assert_eq!(Stat::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Io::parse(b"rchar: 1\nwchar: x\n"), None);
        assert_eq!(Io::parse(b"rchar: 1\n"), None);
        assert_eq!(network_bytes(b"a\nb\neth0: 1 2\n"), None);
        assert_eq!(pressure(b"some avg10=0.10 avg60=0"), None);
    }

    #[test]
    fn network_and_pressure() {
        let dev = "Inter-|\n face |\n    lo: 9 1 0 0 0 0 0 0 9 1\n  eth0: 100 1 0 0 0 0 0 0 250 1 0\nwl-0:1 0 0 0 0 0 0 0 2 0\n";
        assert_eq!(network_bytes(dev.as_bytes()), Some((101, 252)));
        let psi = "some avg10=1.50 avg60=0.00 avg300=0.00 total=3\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=1\n";
        let found = pressure(psi.as_bytes()).unwrap();
        assert_eq!((found.some_avg10, found.full_avg10), (1.5, 0.25));
        assert_eq!(scheduled_ns(b"123 4 5\n"), Some(123));
        assert_eq!(resident_pages(b"9 7 5 3 0 1 0\n"), Some(7));
        assert_eq!(resident_pages(b"9"), None);
    }
}
