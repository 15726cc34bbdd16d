//! What the probe did, by the names of the README's table.

use denet::checks::predict::{Event, Link, Operation, PerfEvent, Program, Symbol, TracefsFile};
use denet::decode::uapi::maps::{MapType, map_type};
use denet::decode::uapi::sections::ProgramKind;
use denet::sys::release::Release;

const SMALL: u64 = 1024;

fn map(name: &str, bytes: u64) -> Operation {
    let mut types = (1..).map_while(map_type);
    let map: Option<MapType> = types.find(|it| it.name == name);
    let map = map.unwrap_or_else(|| panic!("no such map: {name}"));
    Operation::MapCreate { map, bytes }
}

fn load(kind: ProgramKind) -> Operation {
    Operation::ProgLoad(Program::minimal(kind))
}

/// A raw tracepoint's program that calls a helper. The probe gives each the same arguments: an address,
/// a length, an address. They are wrong for bpf_probe_write_user.
fn calls(helper: u32, valid: bool) -> Operation {
    Operation::ProgLoad(Program {
        calls: Some(helper),
        valid,
        ..Program::minimal(ProgramKind::RawTracepoint)
    })
}

const EVENT: PerfEvent = PerfEvent {
    event: Event::Tracepoint,
    everywhere: true,
    kernel: true,
    raw: false,
};

const fn kprobe(symbol: Symbol) -> PerfEvent {
    PerfEvent {
        event: Event::Kprobe(symbol),
        ..EVENT
    }
}

/// `btf_trace_…`, the types of tracepoints, came with 5.5.
const TRACEPOINT_TYPE: Operation = Operation::KernelType {
    since: Release(5, 5),
};
/// Functions are described since there is a BTF of the kernel.
const FUNCTION_TYPE: Operation = Operation::KernelType {
    since: Release(5, 2),
};

/// The steps of an operation of the README's table, each with what its failure is marked with.
pub fn steps(operation: &str) -> Vec<(Operation, &'static str)> {
    use Operation as Op;
    use ProgramKind as Kind;
    let loaded = |kind, then| vec![(load(kind), "load"), (then, "")];
    let opened = |kind, event, then| {
        vec![
            (load(kind), "load"),
            (Op::PerfEventOpen(event), "open"),
            (then, ""),
        ]
    };
    let one = |operation| vec![(operation, "")];
    let open = |event| one(Op::PerfEventOpen(event));
    let file = |file| one(Op::Tracefs(file));
    let (on_self, present) = (
        PerfEvent {
            everywhere: false,
            ..EVENT
        },
        kprobe(Symbol::Present),
    );
    let raw_open = Op::RawTracepointOpen { exists: true };
    match operation {
        "map_array" => one(map("array", SMALL)),
        "map_hash" => one(map("hash", SMALL)),
        "map_pchash" => one(map("percpu_hash", SMALL)),
        "map_lru" => one(map("lru_hash", SMALL)),
        "map_stack" => one(map("stack_trace", SMALL)),
        "map_ringbuf" => one(map("ringbuf", SMALL)),
        "map_devmap" => one(map("devmap", SMALL)),
        "map_1M" => one(map("array", 1 << 20)),
        "map_64M" => one(map("array", 64 << 20)),
        "map_lookup" => vec![(map("array", SMALL), "load"), (Op::MapLookup, "")],
        "btf_load" => one(Op::BtfLoad),
        "ld_sock" => one(load(Kind::SocketFilter)),
        "ld_cgskb" => one(load(Kind::CgroupSkb)),
        "ld_cgsock" => one(load(Kind::CgroupSock)),
        "ld_cgdev" => one(load(Kind::CgroupDevice)),
        "ld_xdp" => one(load(Kind::Xdp)),
        "ld_tc" => one(load(Kind::SchedCls)),
        "ld_rawtp" => one(load(Kind::RawTracepoint)),
        "ld_tp" => one(load(Kind::Tracepoint)),
        "ld_kp" => one(load(Kind::Kprobe)),
        "ld_perf" => one(load(Kind::PerfEvent)),
        "ld_tpbtf" => vec![(TRACEPOINT_TYPE, ""), (load(Kind::Tracing), "")],
        "ld_fentry" => vec![(FUNCTION_TYPE, ""), (load(Kind::Tracing), "")],
        "ld_rtp_get_pid" => one(calls(14, true)),
        "ld_rtp_probe_read" => one(calls(4, true)),
        "ld_rtp_probe_read_kernel" => one(calls(113, true)),
        "ld_rtp_probe_read_user" => one(calls(112, true)),
        "ld_rtp_write_user" => one(calls(36, false)),
        "ld_5000insn" => one(Op::ProgLoad(Program {
            instructions: 5000,
            ..Program::minimal(Kind::SocketFilter)
        })),
        "ld_bad" => one(Op::ProgLoad(Program {
            valid: false,
            ..Program::minimal(Kind::SocketFilter)
        })),
        "at_rawtp" => loaded(Kind::RawTracepoint, raw_open),
        "at_rawtp_bogus" => loaded(Kind::RawTracepoint, Op::RawTracepointOpen { exists: false }),
        "at_tpbtf" => vec![
            (TRACEPOINT_TYPE, "load"),
            (load(Kind::Tracing), "load"),
            (raw_open, ""),
        ],
        "at_fentry" => vec![
            (FUNCTION_TYPE, "load"),
            (load(Kind::Tracing), "load"),
            (raw_open, ""),
        ],
        "at_tp_ioctl" => opened(Kind::Tracepoint, EVENT, Op::SetBpf),
        "at_tp_link" => opened(Kind::Tracepoint, EVENT, Op::LinkCreate(Link::PerfEvent)),
        "at_kp_pmu" => opened(Kind::Kprobe, present, Op::SetBpf),
        "at_xdp_link" => loaded(Kind::Xdp, Op::LinkCreate(Link::Xdp)),
        "at_xdp_nl" => loaded(Kind::Xdp, Op::XdpNetlink),
        "at_cg_attach" => loaded(Kind::CgroupSkb, Op::CgroupAttach(Kind::CgroupSkb)),
        "at_cg_link" => loaded(
            Kind::CgroupSkb,
            Op::LinkCreate(Link::Cgroup(Kind::CgroupSkb)),
        ),
        "pe_tp_sys" => open(EVENT),
        "pe_tp_self" => open(on_self),
        "pe_tp_raw" => open(PerfEvent {
            raw: true,
            ..on_self
        }),
        "pe_tp_exk" => open(PerfEvent {
            kernel: false,
            ..EVENT
        }),
        "pe_cyc_self_u" => open(PerfEvent {
            event: Event::SoftwareClock,
            kernel: false,
            ..on_self
        }),
        "pe_swclk_sys" => open(PerfEvent {
            event: Event::SoftwareClock,
            ..EVENT
        }),
        "kp_pmu_open" => open(present),
        "kp_bogus" => open(kprobe(Symbol::Absent)),
        "kp_blacklist" => open(kprobe(Symbol::Blacklisted)),
        "kp_events_w" => file(TracefsFile::KprobeEvents),
        // The probe holds a program of its own, and no map.
        "prog_next_id" => one(Op::NextId { exists: true }),
        "map_next_id" => one(Op::NextId { exists: false }),
        "btf_vmlinux" => one(Op::ReadKernelBtf),
        "kallsyms" => one(Op::ReadKallsyms),
        "info_xlated" => loaded(Kind::SocketFilter, Op::ReadInstructions),
        "pin" => vec![(map("array", SMALL), "load"), (Op::Pin, "")],
        // It is `events` that was listed: where the root is 0755, others may not list it on 5.4 to 6.1,
        // which make directories 0750, although they may open `trace` beside it on 5.4 and 5.10.
        "tr_root" => file(TracefsFile::Events),
        "tr_trace_r" => file(TracefsFile::Trace),
        "tr_enable_w" => file(TracefsFile::Enable),
        "tr_marker_w" => file(TracefsFile::TraceMarker),
        "tp_id" => file(TracefsFile::Id { syscall: false }),
        "tp_id_sys" => file(TracefsFile::Id { syscall: true }),
        "tp_format" => file(TracefsFile::Format),
        "dbg_root" => one(Op::ListDebugfs),
        _ => panic!("no such operation: {operation}"),
    }
}
