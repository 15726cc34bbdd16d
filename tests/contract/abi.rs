//! The ABI of the eBPF side: `ebpf/*.h` and their Rust mirrors.

use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use denet::bpf::abi::{
    self, Birth, Control, Event, Exec, ExecBy, ExecCounts, Sample, Smoke, SpillKey, Task,
};
use denet::bpf::abi_net::{self, NetControl, NetEndpoint, NetError, NetEvent, NetKey, NetLocal};
use denet::bpf::abi_trace::{self, CallFilter, CallSpec, Delivered, PieceHead, PieceSpec, RawCall};
use denet::bpf::abi_xdp;

use super::{root, run};

/// `_Static_assert`s that hold if Rust's sizes and offsets are C's.
macro_rules! layout {
    ($to:expr, $c:literal, $rust:ty, $($field:ident),+) => {{
        let _ = writeln!($to, "_Static_assert(sizeof(struct {}) == {}, \"size\");", $c, size_of::<$rust>());
        // Every field is named here and none overlap, so C has no field that Rust lacks.
        let mut covered = 0;
        $(
            covered += size_of_field(|it: &$rust| &it.$field);
            let _ = writeln!(
                $to,
                "_Static_assert(offsetof(struct {}, {}) == {}, \"{}\");",
                $c, stringify!($field), offset_of!($rust, $field), stringify!($field)
            );
        )+
        assert_eq!(covered, size_of::<$rust>(), "{} has padding", $c);
    }};
}

fn size_of_field<T, F>(_: impl Fn(&T) -> &F) -> usize {
    size_of::<F>()
}

#[test]
fn rust_and_c_lay_out_the_abi_alike() {
    let mut c = String::from(
        "#include <stddef.h>\n#include \"abi.h\"\n#include \"net.h\"\n#include \"trace.h\"\n#include \"xdp.h\"\n",
    );
    layout!(
        c,
        "denet_task",
        Task,
        regs,
        tid,
        tgid,
        start_ns,
        process_start_ns,
        end_ns,
        exit_status,
        exit_flags,
        comm,
        events,
        call,
        displaced,
        cells
    );
    layout!(
        c,
        "denet_spill_key",
        SpillKey,
        process_start_ns,
        tgid,
        nr,
        compat,
        _pad
    );
    layout!(
        c,
        "denet_control",
        Control,
        tasks_started,
        tasks_ended,
        lost_calls,
        tasks_without_memory,
        spill_full,
        records_lost,
        tasks_unfollowed,
        tasks_walked,
        wake_on_exit,
        events_lost,
        calls_unmatched,
        tables_full
    );
    layout!(
        c,
        "denet_event",
        Event,
        kind,
        seq,
        thread_start_ns,
        start_ns,
        end_ns,
        tid,
        tgid
    );
    layout!(
        c,
        "denet_birth",
        Birth,
        head,
        child_start_ns,
        child_tid,
        child_tgid,
        files,
        _pad,
        comm
    );
    layout!(
        c,
        "denet_exec",
        Exec,
        head,
        cgroup,
        path_address,
        args_bytes,
        result,
        flags,
        ppid,
        uid,
        gid,
        dirfd,
        path_len,
        args_len,
        comm_before,
        comm_after,
        data
    );
    layout!(
        c,
        "denet_piece_spec",
        PieceSpec,
        arg,
        at_exit,
        what,
        by,
        unit,
        max
    );
    layout!(c, "denet_call_spec", CallSpec, flags, _pad, pieces);
    layout!(
        c,
        "denet_call_filter",
        CallFilter,
        least_ns,
        errnos,
        by_errno,
        by_path,
        path,
        path_mask
    );
    layout!(c, "denet_piece", PieceHead, arg, at_exit, flags, _pad, len);
    layout!(
        c,
        "denet_call",
        RawCall,
        head,
        regs,
        args,
        result,
        nr,
        flags,
        used,
        faulted,
        data
    );
    layout!(
        c,
        "denet_signal",
        Delivered,
        head,
        signal,
        code,
        sender,
        uid,
        status,
        known
    );
    layout!(c, "denet_exec_by", ExecBy, uid, comm);
    layout!(c, "denet_exec_counts", ExecCounts, succeeded, failed);
    layout!(
        c,
        "denet_net_key",
        NetKey,
        process_start_ns,
        inode,
        tgid,
        family,
        port,
        bytes,
        flags,
        _pad,
        address
    );
    layout!(
        c,
        "denet_net_local",
        NetLocal,
        kind,
        protocol,
        port,
        bytes,
        address
    );
    layout!(
        c,
        "denet_net_endpoint",
        NetEndpoint,
        first_ns,
        last_ns,
        bytes_in,
        bytes_out,
        calls,
        errors,
        looks,
        connected,
        connect_ns,
        connect_max_ns,
        accepted,
        peer_inode,
        local,
        comm
    );
    layout!(c, "denet_net_error", NetError, key, kind, error);
    layout!(
        c,
        "denet_net_event",
        NetEvent,
        head,
        result,
        bytes,
        kind,
        fd,
        nr,
        compat,
        peer_inode,
        comm,
        key,
        local
    );
    layout!(
        c,
        "denet_net_control",
        NetControl,
        begun,
        ended,
        connects_left,
        connects_settled,
        untracked_bytes,
        lengths_unknown,
        untracked_calls,
        unread_calls
    );
    layout!(c, "denet_sample", Sample, pid_tgid, regs, task);
    layout!(c, "denet_smoke", Smoke, caller, calls);
    layout!(c, "denet_xdp_count", abi_xdp::Count, packets, bytes);
    layout!(
        c,
        "denet_xdp",
        abi_xdp::Counts,
        ipv4,
        ipv6,
        arp,
        other,
        tcp,
        udp,
        icmp,
        other_transport,
        later_fragment,
        vlan,
        qinq,
        truncated,
        malformed
    );
    let constants = [
        ("DENET_CELLS", abi::CELLS as u64),
        ("DENET_CELL_KEY_BITS", u64::from(abi::CELL_KEY_BITS)),
        ("DENET_CELL_NR_LIMIT", u64::from(abi::CELL_NR_LIMIT)),
        ("DENET_CELL_COMPAT", u64::from(abi::CELL_COMPAT)),
        ("DENET_SAMPLE_BYTES", abi::SAMPLE_BYTES as u64),
        ("DENET_SAMPLE_COOKIE", abi::SAMPLE_COOKIE),
        ("DENET_NET_NUMBERS", abi_net::NUMBERS.into()),
        ("DENET_NET_KINDS", abi_net::KINDS as u64),
        ("DENET_NET_ADDRESS_BYTES", abi_net::ADDRESS_BYTES as u64),
        ("DENET_NET_SHORT_BYTES", abi_net::SHORT_BYTES as u64),
        ("DENET_NET_OTHERS", abi_net::OTHERS.into()),
        ("DENET_NET_PRIVATE", abi_net::PRIVATE.into()),
        ("DENET_NET_SEVERAL", abi_net::SEVERAL.into()),
        ("DENET_SAMPLES", abi::SAMPLES as u64),
        ("DENET_RECORD_LOOK", abi::RECORD_LOOK),
        ("DENET_RECORD_EXEC", abi::RECORD_EXEC),
        ("DENET_RECORD_CALL", abi::RECORD_CALL),
        ("DENET_RECORD_SOCKET", abi::RECORD_SOCKET),
        ("DENET_RECORD_BIRTH", abi::RECORD_BIRTH),
        ("DENET_FILES_COPIED", abi::FILES_COPIED.into()),
        ("DENET_FILES_SHARED", abi::FILES_SHARED.into()),
        ("DENET_RECORD_KINDS", abi::RECORD_KINDS),
        ("DENET_RECORD_SIGNAL", abi_trace::RECORD_SIGNAL),
        ("DENET_CALL_NRS", abi_trace::CALL_NRS as u64),
        ("DENET_CALL_PIECES", abi_trace::CALL_PIECES as u64),
        ("DENET_CALL_PIECE_BYTES", abi_trace::CALL_PIECE_BYTES as u64),
        ("DENET_CALL_DATA_BYTES", abi_trace::CALL_DATA_BYTES as u64),
        ("DENET_SPEC_WANTED", abi_trace::SPEC_WANTED.into()),
        (
            "DENET_SPEC_NEVER_RETURNS",
            abi_trace::SPEC_NEVER_RETURNS.into(),
        ),
        ("DENET_SIGNAL_CODE", abi_trace::SIGNAL_CODE.into()),
        ("DENET_SIGNAL_WHOLE", abi_trace::SIGNAL_WHOLE.into()),
        ("DENET_SPEC_SILENT", abi_trace::SPEC_SILENT.into()),
        ("DENET_SPEC_NEW_MEMORY", abi_trace::SPEC_NEW_MEMORY.into()),
        ("DENET_SPEC_ONE_PATH", abi_trace::SPEC_ONE_PATH.into()),
        ("DENET_PIECE_STRING", abi_trace::PIECE_STRING.into()),
        ("DENET_PIECE_BYTES", abi_trace::PIECE_BYTES.into()),
        ("DENET_PIECE_BY_ARG", abi_trace::PIECE_BY_ARG.into()),
        ("DENET_PIECE_BY_RESULT", abi_trace::PIECE_BY_RESULT.into()),
        ("DENET_PIECE_BY_INT_AT", abi_trace::PIECE_BY_INT_AT.into()),
        ("DENET_PIECE_STRINGS", abi_trace::PIECE_STRINGS.into()),
        ("DENET_PIECE_FAULT", abi_trace::PIECE_FAULT.into()),
        ("DENET_PIECE_CUT", abi_trace::PIECE_CUT.into()),
        ("DENET_PIECE_LIST", abi_trace::PIECE_LIST.into()),
        ("DENET_CALL_COMPAT", abi_trace::CALL_COMPAT.into()),
        ("DENET_CALL_UNFINISHED", abi_trace::CALL_UNFINISHED.into()),
        ("DENET_CALL_UNSHOWN", abi_trace::CALL_UNSHOWN.into()),
        ("DENET_CALL_PRIVATE", abi_trace::CALL_PRIVATE.into()),
        ("DENET_EXEC_COMPAT", abi::EXEC_COMPAT.into()),
        ("DENET_EXEC_AT", abi::EXEC_AT.into()),
        ("DENET_EXEC_PATH_FAULT", abi::EXEC_PATH_FAULT.into()),
        ("DENET_EXEC_PATH_CUT", abi::EXEC_PATH_CUT.into()),
        ("DENET_EXEC_ARGS_FAULT", abi::EXEC_ARGS_FAULT.into()),
        ("DENET_EXEC_ARGS_CUT", abi::EXEC_ARGS_CUT.into()),
        ("DENET_EXEC_PATH_KERNELS", abi::EXEC_PATH_KERNELS.into()),
        ("DENET_EXEC_PRIVATE", abi::EXEC_PRIVATE.into()),
        ("DENET_EXIT_PRIVATE", abi::EXIT_PRIVATE.into()),
        ("DENET_EXIT_WAITING", abi::EXIT_WAITING.into()),
    ];
    for (name, value) in constants {
        let _ = writeln!(c, "_Static_assert({name} == {value}, \"{name}\");");
    }
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi-check.c");
    std::fs::write(&source, c).expect("room in the target folder");
    let mut clang = Command::new("clang-16");
    clang
        .args(["-fsyntax-only", "-I"])
        .arg(root().join("ebpf"))
        .arg(&source);
    run(&mut clang);
}
