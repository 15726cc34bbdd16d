//! The ABI of the eBPF side: `ebpf/*.h` and their Rust mirrors.

use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use denet::bpf::abi::{
    self, Control, Event, Fork, Freed, Sample, Smoke, SpillKey, Task, TaskUsage,
};
use denet::monitor::exec::abi::{self as exec, Exec, ExecBy, ExecCounts};
use denet::monitor::net::abi::{
    self as net, NetControl, NetEndpoint, NetError, NetEvent, NetKey, NetLocal,
};
use denet::monitor::trace::abi::{
    self as trace, CallFilter, CallSpec, Delivered, PieceHead, PieceSpec, RawCall,
};
use denet::monitor::xdp::abi as xdp;

use super::{root, run};

/// The layout of a struct in Rust.
struct Layout {
    c: &'static str,
    size: usize,
    /// The fields, each with its offset and size.
    fields: &'static [(&'static str, usize, usize)],
}

/// A row for each struct: its name in C, the mirror, and every field.
macro_rules! layouts {
    ($($c:ident = $rust:path { $($field:ident)+ })+) => {
        const LAYOUTS: &[Layout] = &[$(Layout {
            c: stringify!($c),
            size: size_of::<$rust>(),
            fields: &[$((
                stringify!($field),
                offset_of!($rust, $field),
                size_of_field(|it: &$rust| &it.$field),
            )),+],
        }),+];
    };
}

const fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

layouts! {
    denet_task = Task {
        regs tid tgid start_ns process_start_ns end_ns exit_status exit_flags comm events call displaced
        cells
    }
    denet_spill_key = SpillKey { process_start_ns tgid nr compat _pad }
    denet_control = Control {
        tasks_started tasks_ended lost_calls tasks_without_memory spill_full records_lost tasks_unfollowed
        tasks_walked wake_on_exit events_lost calls_unmatched tables_full usages_reported usages_lost
    }
    denet_event = Event { kind seq thread_start_ns start_ns end_ns tid tgid }
    denet_birth = Fork { head child_start_ns child_tid child_tgid files _pad comm }
    denet_exec = Exec {
        head cgroup path_address args_bytes result flags ppid uid gid dirfd path_len args_len comm_before
        comm_after data
    }
    denet_piece_spec = PieceSpec { arg at_exit what by unit max }
    denet_call_spec = CallSpec { flags _pad pieces }
    denet_call_filter = CallFilter { least_ns errnos by_errno by_path path path_mask }
    denet_piece = PieceHead { arg at_exit flags _pad len }
    denet_call = RawCall { head regs args result nr flags used faulted data }
    denet_signal = Delivered { head signal code sender uid status known }
    denet_exec_by = ExecBy { uid comm }
    denet_exec_counts = ExecCounts { succeeded failed }
    denet_net_key = NetKey { process_start_ns inode tgid family port bytes flags _pad address }
    denet_net_local = NetLocal { kind protocol port bytes address }
    denet_net_endpoint = NetEndpoint {
        first_ns last_ns bytes_in bytes_out calls errors looks connected connect_ns connect_max_ns accepted
        peer_inode local comm
    }
    denet_net_error = NetError { key kind error }
    denet_net_event = NetEvent { head result bytes kind fd nr compat peer_inode comm key local }
    denet_net_control = NetControl {
        begun ended connects_left connects_settled untracked_bytes lengths_unknown untracked_calls
        unread_calls
    }
    denet_usage = TaskUsage {
        cpu_ns user_ns system_ns minor_faults major_faults read_by_calls written_by_calls read_from_storage
        written_to_storage
    }
    denet_freed = Freed { kind process_start_ns tid tgid used before }
    denet_sample = Sample { pid_tgid regs pid_level task }
    denet_smoke = Smoke { caller calls }
    denet_xdp_count = xdp::Count { packets bytes }
    denet_xdp = xdp::Counts {
        ipv4 ipv6 arp other tcp udp icmp other_transport later_fragment vlan qinq truncated malformed
    }
}

/// Constants: the prefix of their names in C, and the module of their mirrors.
macro_rules! constants {
    ($($prefix:literal $module:ident { $($name:ident)+ })+) => {
        const CONSTANTS: &[(&str, u64)] = &[$($((concat!($prefix, stringify!($name)), $module::$name as u64)),+),+];
    };
}

constants! {
    "DENET_" abi {
        CELLS CELL_KEY_BITS CELL_NR_LIMIT CELL_COMPAT SAMPLE_BYTES SAMPLE_COOKIE SAMPLES RECORD_LOOK
        RECORD_BIRTH RECORD_USAGE FILES_COPIED FILES_SHARED RECORD_KINDS EXIT_PRIVATE EXIT_WAITING
    }
    "DENET_" exec {
        RECORD_EXEC EXEC_COMPAT EXEC_AT EXEC_PATH_FAULT EXEC_PATH_CUT EXEC_ARGS_FAULT EXEC_ARGS_CUT
        EXEC_PATH_KERNELS EXEC_PRIVATE
    }
    "DENET_" net {
        RECORD_SOCKET
    }
    "DENET_NET_" net {
        NUMBERS KINDS ADDRESS_BYTES SHORT_BYTES OTHERS PRIVATE SEVERAL
    }
    "DENET_" trace {
        RECORD_CALL RECORD_SIGNAL CALL_NRS CALL_PIECES CALL_PIECE_BYTES CALL_DATA_BYTES SPEC_WANTED SPEC_NEVER_RETURNS
        SIGNAL_CODE SIGNAL_WHOLE SPEC_SILENT SPEC_NEW_MEMORY SPEC_ONE_PATH PIECE_STRING PIECE_BYTES
        PIECE_BY_ARG PIECE_BY_RESULT PIECE_BY_INT_AT PIECE_STRINGS PIECE_FAULT PIECE_CUT PIECE_LIST
        CALL_COMPAT CALL_UNFINISHED CALL_UNSHOWN CALL_PRIVATE
    }
}

/// `_Static_assert`s that pass if Rust's sizes and offsets equal those of C.
fn assertions() -> String {
    let mut c = String::from("#include <stddef.h>\n");
    for header in ["abi.h", "exec.h", "net.h", "trace.h", "xdp.h"] {
        let _ = writeln!(c, "#include \"{header}\"");
    }
    let mut assert = |what: String, is: u64| {
        let _ = writeln!(c, "_Static_assert({what} == {is}, \"Rust has {is}\");");
    };
    for Layout { c, size, fields } in LAYOUTS {
        assert(format!("sizeof(struct {c})"), *size as u64);
        for (field, offset, _) in *fields {
            assert(format!("offsetof(struct {c}, {field})"), *offset as u64);
        }
    }
    for (name, value) in CONSTANTS {
        assert((*name).to_owned(), *value);
    }
    c
}

/// Since the structs in C have the same sizes, they have no field that is not listed.
#[test]
fn every_field_is_listed() {
    for Layout { c, size, fields } in LAYOUTS {
        let covered: usize = fields.iter().map(|(_, _, size)| size).sum();
        assert_eq!(
            covered, *size,
            "struct {c} has padding, or a field that is not listed"
        );
    }
}

#[test]
fn rust_and_c_lay_out_the_abi_alike() {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi-check.c");
    std::fs::write(&source, assertions()).expect("room in the target folder");
    let mut clang = Command::new("clang-16");
    clang
        .args(["-fsyntax-only", "-I"])
        .arg(root().join("ebpf"))
        .arg(&source);
    run(&mut clang);
}
