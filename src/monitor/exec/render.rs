//! Executions as lines and records.

use std::time::Duration;

use serde_json::{Value, json};

use super::model::{By, Execution, Path};
use crate::output::escape::escaped;
use crate::output::exact::{Text, put, put_list};
use crate::output::layout::{self, grouped, shortened};
use crate::output::shell::quoted_bytes;
use crate::sys::epoch::TimeOfDay;

/// In narrower lines, the columns that identify the process are omitted.
const NARROW: usize = 110;

/// One execution, shortened to this width.
pub(crate) fn line(it: &Execution, time: &TimeOfDay, columns: usize) -> String {
    let result = it.errno.map_or_else(|| "ok".to_owned(), errno_name);
    let by = escaped(&it.command[0]);
    let front = if columns < NARROW {
        format!("{time}  {:>7}  {result:<8}  ", it.pid)
    } else {
        format!(
            "{time}  {:>7}  {:>7}  {:>5}  {result:<10}  {by:<16}  ",
            it.pid, it.ppid, it.uid
        )
    };
    let room = columns.saturating_sub(front.chars().count());
    format!("{front}{}\n", shortened(&what(it), room))
}

/// The header of the lines at this width.
pub(crate) fn header(columns: usize) -> &'static str {
    if columns < NARROW {
        "TIME                 PID  RESULT    WHAT\n"
    } else {
        "TIME                 PID     PPID    UID  RESULT      BY                WHAT\n"
    }
}

fn what(it: &Execution) -> String {
    let path = match &it.path {
        Path::Given(path) | Path::Kernels(path) => quoted_bytes(path),
        Path::Cut(path) => format!("{}…", quoted_bytes(path)),
        Path::Fault(address) => format!("{address:#x}"),
        Path::Private => String::new(),
    };
    let mut words = vec![path];
    // The kernel's path already contains the directory.
    let is_given = !matches!(it.path, Path::Kernels(_));
    if let Some(dirfd) = it
        .dirfd
        .filter(|dirfd| is_given && *dirfd != libc::AT_FDCWD)
    {
        words[0] = match &it.path {
            // The descriptor is the program (AT_EMPTY_PATH).
            Path::Given(path) if path.is_empty() => format!("<fd {dirfd}>"),
            _ => format!("<fd {dirfd}>/{}", words[0]),
        };
    }
    // The first argument is the program's name for itself.
    words.extend(
        it.args
            .iter()
            .skip(1)
            .map(|argument| quoted_bytes(argument)),
    );
    if it.private {
        words.push("<private>".to_owned());
    }
    if it.args_fault {
        words.push("(arguments unreadable)".to_owned());
    }
    if it.args_cut {
        words.push("…".to_owned());
    }
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

pub(crate) fn errno_name(errno: i32) -> String {
    match nix::errno::Errno::from_raw(errno) {
        nix::errno::Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}

/// One execution as a record.
pub(crate) fn record(it: &Execution, since_1970: Duration, cgroup: Option<&Text>) -> Value {
    let mut record = json!({
        "kind": "exec",
        "ts_ms": since_1970.as_secs_f64() * 1e3,
        "seq": it.seq,
        "pid": it.pid,
        "tid": it.tid,
        "ppid": it.ppid,
        "uid": it.uid,
        "gid": it.gid,
        "command": null,
        "command_after": null,
        "path": null,
        "argv": null,
        "errno": it.errno.map(errno_name),
        "duration_us": it.took.as_secs_f64() * 1e6,
    });
    for (name, command) in ["command", "command_after"].into_iter().zip(&it.command) {
        put(&mut record, name, &command[..]);
    }
    if let Path::Given(path) | Path::Kernels(path) | Path::Cut(path) = &it.path {
        put(&mut record, "path", &path[..]);
    }
    put_list(&mut record, "argv", it.args.iter().map(Vec::as_slice));
    match &it.path {
        Path::Given(_) | Path::Private => {}
        Path::Cut(_) => record["path_truncated"] = true.into(),
        Path::Kernels(_) => record["path_resolved"] = true.into(),
        Path::Fault(address) => record["path_address"] = format!("{address:#x}").into(),
    }
    if it.ppid == 0 {
        record["ppid"] = Value::Null;
    }
    if let Some(dirfd) = it.dirfd {
        record["dirfd"] = dirfd.into();
    }
    if it.args_cut {
        record["argv_truncated"] = true.into();
    }
    if let Some(bytes) = it.args_bytes {
        record["argv_bytes"] = bytes.into();
    }
    if it.args_fault {
        record["argv_unreadable"] = true.into();
    }
    if it.private {
        record["private"] = true.into();
    }
    if it.compat {
        record["abi"] = crate::decode::syscalls::Table::of(crate::decode::syscalls::Abi::Compat)
            .name()
            .into();
    }
    if it.cgroup != 0 {
        record["cgroup_id"] = it.cgroup.into();
        record["cgroup"] = Value::Null;
        if let Some(cgroup) = cgroup {
            put(&mut record, "cgroup", cgroup.clone());
        }
    }
    record
}

/// The part of the summary about executions.
pub(crate) fn summary(by: &[By]) -> Value {
    let sum = |of: fn(&By) -> u64| by.iter().map(of).sum::<u64>();
    let rows: Vec<_> = by
        .iter()
        .map(|by| {
            let mut row = json!({
                "uid": by.uid,
                "command": null,
                "succeeded": by.succeeded,
                "failed": by.failed,
            });
            put(&mut row, "command", &by.command[..]);
            row
        })
        .collect();
    json!({
        "succeeded": sum(|by| by.succeeded),
        "failed": sum(|by| by.failed),
        "by": rows,
    })
}

/// How often each user executed each program.
pub(crate) fn table(by: &[By], top: usize) -> String {
    if by.is_empty() {
        return "no execution was seen\n".to_owned();
    }
    let shown = if top == 0 { by.len() } else { top };
    let rows: Vec<_> = by
        .iter()
        .take(shown)
        .map(|by| {
            vec![
                grouped(by.succeeded),
                grouped(by.failed),
                by.uid.to_string(),
                escaped(&by.command),
            ]
        })
        .collect();
    let mut out = format!(
        "\n{}",
        layout::table(&["SUCCEEDED", "FAILED", "UID", "BY"], &rows, 3)
    );
    if by.len() > shown {
        out += &format!("and {} more (--top 0 shows all)\n", by.len() - shown);
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution() -> Execution {
        Execution {
            start_ns: 0,
            took: Duration::from_micros(250),
            seq: 1,
            pid: 42,
            tid: 43,
            ppid: 1,
            uid: 0,
            gid: 0,
            cgroup: 0,
            command: [b"sh\x1b[2J".to_vec(), b"ls".to_vec()],
            path: Path::Given(b"/bin/ls".to_vec()),
            dirfd: None,
            args: vec![b"ls".to_vec(), b"a\nb".to_vec()],
            args_cut: true,
            args_fault: false,
            private: false,
            args_bytes: Some(2 << 20),
            errno: None,
            compat: false,
        }
    }

    #[test]
    fn hostile_words_reach_no_terminal() {
        let time = TimeOfDay {
            hour: 8,
            minute: 5,
            second: 1,
            micros: 42,
        };
        assert_eq!(
            line(&execution(), &time, 120),
            "08:05:01.000042       42        1      0  ok          sh\\x1b[2J         /bin/ls $'a\\nb' …\n"
        );
        assert!(line(&execution(), &time, 60).lines().count() == 1);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_exact() {
        let hostile = Execution {
            command: [b"\xff".to_vec(), b"ls".to_vec()],
            path: Path::Given(b"/\xfe".to_vec()),
            args: vec![b"ls".to_vec(), b"\xfd".to_vec()],
            cgroup: 1,
            ..execution()
        };
        let cgroup = Text::from(&b"/\xfc"[..]);
        let record = record(&hostile, Duration::ZERO, Some(&cgroup));
        let exact = json!(["/w==", null, "L/4=", [null, "/Q=="], "L/w="]);
        let names = ["command", "command_after", "path", "argv", "cgroup"];
        let told = names.map(|name| record[format!("{name}_bytes_b64")].clone());
        assert_eq!(json!(told), exact);
        assert_eq!(record["argv"], json!(["ls", "\u{fffd}"]));
    }

    #[test]
    fn what_is_cut_off_is_marked() {
        let record = record(&execution(), Duration::ZERO, None);
        assert_eq!(record["argv_truncated"], true);
        assert_eq!(record["argv_bytes"], 2 << 20);
        assert_eq!(record["errno"], Value::Null);
        assert!(record.get("cgroup").is_none() && !record.to_string().contains("b64"));
        let unread = Execution {
            path: Path::Fault(0x10),
            errno: Some(libc::EFAULT),
            ..execution()
        };
        let record = super::record(&unread, Duration::ZERO, None);
        assert_eq!(record["path"], Value::Null);
        assert_eq!(record["path_address"], "0x10");
        assert_eq!(record["errno"], "EFAULT");
    }
}
