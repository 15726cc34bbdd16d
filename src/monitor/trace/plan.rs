//! Which programs are loaded, and what they report about each call.

use super::abi::{
    CALL_NRS, CALL_PIECE_BYTES, CALL_PIECES, CallFilter, CallSpec, PIECE_BY_ARG, PIECE_BY_INT_AT,
    PIECE_BY_RESULT, PIECE_BYTES, PIECE_STRING, PIECE_STRINGS, PieceSpec, SPEC_NEVER_RETURNS,
    SPEC_NEW_MEMORY, SPEC_ONE_PATH, SPEC_SILENT, SPEC_WANTED,
};
use crate::backends::stream::{AttachPoint, Earlier, Plan};
use crate::backends::table::{self, Hooking, TRACE_RING_BYTES, TRACE_SLOTS};
use crate::bpf::TRACE;
use crate::bpf::object::MapSetting;
use crate::decode::arguments::Detail;
use crate::decode::call::{Capture, What, When};
use crate::decode::descriptors::calls;
use crate::decode::filter::Filter;
use crate::decode::syscalls::{Abi, Table};
use crate::decode::table::Entry;

/// Paths are reported whole, up to the length of a piece.
const WHOLE: u16 = CALL_PIECE_BYTES as u16;

/// Attached in this order: the exit of a thread is seen before the thread is removed, and every call whose beginning
/// is seen has its end seen too.
#[rustfmt::skip]
const HOOKS: [AttachPoint; 5] = [
    AttachPoint::new("denet_call_end", "denet_call_e_t", "sched", c"sched_process_exit").before_following(),
    AttachPoint::new("denet_call_exec", "denet_call_x_t", "sched", c"sched_process_exec"),
    AttachPoint::new("denet_signal", "denet_signal_t", "signal", c"signal_deliver"),
    AttachPoint::new("denet_call_out", "denet_call_o_t", "raw_syscalls", c"sys_exit"),
    AttachPoint::new("denet_call_in", "denet_call_in_t", "raw_syscalls", c"sys_enter"),
];

pub(super) fn plan(hooking: Hooking, detail: Detail, shown: usize, filter: &Filter) -> Plan {
    let others = reports_others(filter);
    Plan {
        object: TRACE,
        backends: table::TRACE,
        hooking,
        hooks: &HOOKS,
        functions: &[],
        constants: vec![("others", if others { SPEC_WANTED } else { 0 })],
        typed: |btf| {
            let filename = btf.member_path("linux_binprm", &["filename"]);
            let constant = |offset| ("binprm_filename_offset", offset);
            filename.map(constant).into_iter().collect()
        },
        ring_bytes: TRACE_RING_BYTES,
        slots: Some(TRACE_SLOTS),
        reports_forks: true,
        earlier: Some(match reads_memory(detail, filter) {
            true => Earlier::Memory(shown),
            false => Earlier::Registers,
        }),
        settings: vec![MapSetting {
            name: "denet_calls",
            max_entries: Some(TRACE_SLOTS),
            extra_flags: 0,
        }],
    }
}

fn reads_memory(detail: Detail, filter: &Filter) -> bool {
    detail == Detail::Full || !filter.paths.is_empty()
}

/// What to report for each syscall number of both entries.
pub(super) fn specs(detail: Detail, shown: u16, filter: &Filter) -> Vec<(u32, CallSpec)> {
    let reads_memory = reads_memory(detail, filter);
    let mut specs = Vec::new();
    for (abi, first) in [(Abi::Native, 0), (Abi::Compat, CALL_NRS as u32)] {
        for nr in 0..CALL_NRS as i32 {
            let wanted = filter.keeps_number(abi, nr) && filter.may_keep_paths_of(abi, nr);
            let spec = spec(abi, nr, wanted, reads_memory, shown);
            if spec.flags & (SPEC_WANTED | SPEC_SILENT) != 0 {
                specs.push((first + nr as u32, spec));
            }
        }
    }
    specs
}

/// Whether calls with unknown numbers are reported.
pub(super) fn reports_others(filter: &Filter) -> bool {
    filter.keeps_number(Abi::Native, -1) && filter.paths.is_empty()
}

/// The part of the filter that the eBPF program can evaluate. It excludes nothing that [`Filter::keeps`].
pub(super) fn conditions(filter: &Filter) -> CallFilter {
    let mut conditions = CallFilter::NONE;
    if let Some(longer_than_ns) = filter.longer_than_ns {
        conditions.least_ns = longer_than_ns.saturating_add(1);
    }
    if !filter.statuses.is_empty() || !filter.errnos.is_empty() {
        conditions.by_errno = 1;
        for errno in 0..256 {
            // Numbers of 255 and above share a bit.
            let above = filter.errnos.iter().any(|errno| *errno >= 255);
            let is_kept = match errno {
                0 => filter.keeps_end(Some(0), Some(u64::MAX)),
                255 if !filter.errnos.is_empty() => above,
                errno => filter.keeps_end(Some(-errno), Some(u64::MAX)),
            };
            if is_kept {
                conditions.errnos[errno as usize / 64] |= 1 << (errno % 64);
            }
        }
    }
    if let [path] = filter.paths.as_slice()
        && !path.is_empty()
        && path.len() <= conditions.path.len()
    {
        conditions.by_path = 1;
        conditions.path[..path.len()].copy_from_slice(path);
        conditions.path_mask[..path.len()].fill(u8::MAX);
    }
    conditions
}

fn spec(abi: Abi, nr: i32, wanted: bool, reads_memory: bool, shown: u16) -> CallSpec {
    let name = Table::of(abi).lookup(nr).map_or("", |(name, _)| name);
    let mut spec = CallSpec::default();
    if wanted {
        spec.flags |= SPEC_WANTED;
    }
    let executes = matches!(name, "execve" | "execveat");
    if executes || reads_memory && calls::changes(name) {
        spec.flags |= SPEC_SILENT;
    }
    if matches!(name, "exit" | "exit_group") {
        spec.flags |= SPEC_NEVER_RETURNS;
    }
    if executes {
        spec.flags |= SPEC_NEW_MEMORY;
    }
    let entry = Entry::of(abi, nr).filter(|_| executes || reads_memory);
    let captures = entry.map_or_else(Vec::new, |entry| entry.captures(abi));
    let strings = captures.iter().filter(|one| one.what == What::String);
    if strings.count() == 1 && captures[0].what == What::String {
        spec.flags |= SPEC_ONE_PATH;
    }
    for (place, capture) in spec
        .pieces
        .iter_mut()
        .zip(captures.iter().take(CALL_PIECES))
    {
        *place = piece(capture, shown);
    }
    spec
}

fn piece(capture: &Capture, shown: u16) -> PieceSpec {
    let of = |what, by, unit, max| PieceSpec {
        arg: capture.arg,
        at_exit: (capture.when == When::Exit).into(),
        what,
        by,
        unit,
        max,
    };
    // Of buffers only the bytes that are shown, of structures as many as fit.
    let most = |unit: u16| {
        if capture.is_buffer {
            shown
        } else {
            WHOLE / unit * unit
        }
    };
    match capture.what {
        What::String => of(PIECE_STRING, 0, 1, WHOLE),
        What::Bytes(bytes) => of(PIECE_BYTES, 0, 1, bytes.min(WHOLE)),
        What::BytesByArg { arg, unit } => of(PIECE_BY_ARG, arg, unit, most(unit)),
        // A buffer is followed by the argument with its size.
        What::BytesByResult { unit } if capture.is_buffer => {
            of(PIECE_BY_RESULT, capture.arg + 1, unit, most(unit))
        }
        What::BytesByResult { unit } => of(PIECE_BY_RESULT, 0, unit, most(unit)),
        What::BytesByIntAt { arg } => of(PIECE_BY_INT_AT, arg, 1, WHOLE),
        What::Strings => of(PIECE_STRINGS, 0, 1, WHOLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_captured_follows_from_the_table() {
        let number = |wanted: &str| {
            let mut entries = Table::of(Abi::Native).entries();
            entries.find(|(_, name, _)| *name == wanted).unwrap().0
        };
        let of = |name, reads_memory| spec(Abi::Native, number(name), true, reads_memory, 32);
        let openat = of("openat", true);
        assert_eq!(
            (openat.pieces[0].arg, openat.pieces[0].what),
            (1, PIECE_STRING)
        );
        assert_eq!(openat.pieces[1].what, 0);
        let write = of("write", true).pieces[0];
        assert_eq!(
            (write.what, write.by, write.max, write.at_exit),
            (PIECE_BY_ARG, 2, 32, 0)
        );
        let read = of("read", true).pieces[0];
        assert_eq!((read.what, read.at_exit), (PIECE_BY_RESULT, 1));
        assert_eq!(of("openat", false).pieces[0].what, 0);
        assert_ne!(of("exit_group", true).flags & SPEC_NEVER_RETURNS, 0);
    }

    #[test]
    fn what_the_kernel_judges_leaves_nothing_out_that_is_kept() {
        let of = |expressions: &[&str]| {
            let filter = Filter::parse(expressions.iter().copied()).unwrap();
            conditions(&filter)
        };
        assert_eq!(of(&[]).by_errno, 0);
        let failed = of(&["status=failed"]);
        assert_eq!((failed.by_errno, failed.errnos[0] & 1), (1, 0));
        assert_eq!(failed.errnos[1..], [u64::MAX; 3]);
        let absent = of(&["errno=ENOENT"]);
        assert_eq!(absent.errnos, [1 << libc::ENOENT, 0, 0, 0]);
        assert_eq!(of(&["duration>1us"]).least_ns, 1001);
        let path = of(&["path=/etc"]);
        assert_eq!((path.by_path, &path.path[..5]), (1, &b"/etc\0"[..]));
        assert_eq!(path.path_mask[..5], [255, 255, 255, 255, 0]);
        assert_eq!(of(&["path=/etc", "path=/usr"]).by_path, 0);
    }
}
