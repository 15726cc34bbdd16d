use super::*;
use crate::facts::object::samples::{self, Sample};
use crate::facts::object::{Program, inspect};

fn capabilities(found: &Requirements) -> Vec<Cap> {
    found.capabilities.iter().map(|one| one.cap).collect()
}

fn since(found: &Requirements, what: &str) -> Option<Release> {
    let demand = found.demands.iter().find(|demand| demand.what == what);
    demand.and_then(|demand| demand.since.known()).copied()
}

/// The oldest kernel that has all that is asked for, in any case or not.
fn kernel_for_all_code(found: &Requirements) -> Option<Release> {
    let known = found.demands.iter();
    known
        .filter_map(|demand| demand.since.known())
        .max()
        .copied()
}

fn ids(object: &ObjectFacts) -> Vec<&'static str> {
    findings(object).iter().map(|finding| finding.id).collect()
}

fn read(sample: &Sample) -> ObjectFacts {
    let mut object = inspect(&sample.build()).unwrap();
    // A vector lies where the allocator put it.
    object.misaligned_by = 0;
    object
}

/// One of denet's own, with the programs that it attaches where the kernel has raw tracepoints.
fn own(bytes: &[u8]) -> ObjectFacts {
    let mut object = inspect(bytes).unwrap();
    let is_raw = |program: &Program| program.hook == Fact::Known(Hook::RawTracepoint);
    object.programs.retain(is_raw);
    assert!(!object.programs.is_empty());
    object
}

#[test]
fn the_syscall_profile_takes_two_capabilities_and_no_tracefs() {
    for bytes in [
        samples::calibrate(),
        samples::lifecycle(),
        samples::syscalls(),
    ] {
        let object = own(bytes);
        assert_eq!(findings(&object), []);
        let found = requirements(&object);
        assert_eq!(capabilities(&found), [Cap::Bpf, Cap::Perfmon]);
        assert!(!found.needs_tracefs());
        for attachment in &found.attachments {
            assert_eq!(attachment.mechanism, "BPF_RAW_TRACEPOINT_OPEN");
        }
    }
}

#[test]
fn the_syscall_profile_takes_the_kernel_of_its_ring_buffer() {
    let found = requirements(&own(samples::lifecycle()));
    assert_eq!(
        since(&found, "maps of the type ringbuf"),
        Some(Release(5, 8))
    );
    assert_eq!(since(&found, "BPF_F_MMAPABLE"), Some(Release(5, 5)));
    assert_eq!(
        since(&found, "programs in sections raw_tp"),
        Some(Release(4, 17))
    );
    // One of the two helpers for the current task is not used if the kernel lacks it.
    for bytes in [samples::lifecycle(), samples::syscalls()] {
        let found = requirements(&own(bytes));
        assert_eq!(found.minimum_kernel(), Some(Release(5, 8)));
        assert_eq!(kernel_for_all_code(&found), Some(Release(5, 11)));
        assert_eq!(found.demands[0].what, "helper bpf_get_current_task_btf");
        assert!(!found.demands[0].certain);
        assert!(found.kernel_btf.iter().all(|one| !one.certain));
    }
}

#[test]
fn hooks_say_what_they_take() {
    let of = |section| requirements(&read(&Sample::default().program("main", section, &[])));
    let found = of("tp/syscalls/sys_enter_openat");
    assert!(found.needs_tracefs());
    assert_eq!(capabilities(&found), [Cap::Bpf, Cap::Perfmon]);
    let found = of("xdp");
    assert_eq!(capabilities(&found), [Cap::Bpf, Cap::NetAdmin]);
    assert_eq!(found.minimum_kernel(), Some(Release(4, 8)));
    let found = of("fentry/tcp_connect");
    assert_eq!(found.kernel_btf.len(), 1);
    assert_eq!(found.minimum_kernel(), Some(Release(5, 5)));
    assert_eq!(
        found.attachments[0].target,
        Fact::Known("tcp_connect".to_owned())
    );
    let found = of("cgroup_skb/egress");
    assert_eq!(capabilities(&found), [Cap::Bpf, Cap::NetAdmin]);
    assert_eq!(capabilities(&of("socket")), [Cap::Bpf]);
    let found = of("iter.s/task");
    assert_eq!((found.minimum_kernel(), found.demands.len()), (None, 1));
    assert_eq!(of("mine"), Requirements::default());
    // Not loaded unless asked for.
    let found = of("?fentry.s/tcp_connect");
    assert_eq!(
        (found.minimum_kernel(), found.kernel_btf[0].certain),
        (None, false)
    );
    assert_eq!(kernel_for_all_code(&found), Some(Release(5, 10)));
}

#[test]
fn helpers_bring_their_own_demands() {
    let sample = Sample::default().program("main", "xdp", &[6, 158, 212]);
    let object = read(&sample.data("license", *b"GPL\0"));
    let found = requirements(&object);
    assert_eq!(
        capabilities(&found),
        [Cap::Bpf, Cap::Perfmon, Cap::NetAdmin]
    );
    assert_eq!(found.minimum_kernel(), Some(Release(5, 11)));
    assert_eq!(
        found.demands.last().map(|last| &last.since),
        Some(&Fact::Absent)
    );
    assert_eq!(
        found.kernel_btf[0].reason,
        "the helper bpf_get_current_task_btf"
    );
    assert_eq!(ids(&object), ["object-helper-unknown"]);
}

#[test]
fn licenses_matter_where_the_kernel_asks() {
    let base = |helper| Sample::default().program("main", "raw_tp/sys_enter", &[helper]);
    assert_eq!(ids(&read(&base(113))), ["object-license-missing"]);
    assert_eq!(ids(&read(&base(14))), Vec::<&str>::new());
    let mit = read(&base(113).data("license", *b"MIT\0"));
    assert_eq!(ids(&mit), ["object-license-incompatible"]);
    let evidence = &findings(&mit)[0].evidence;
    assert_eq!(
        evidence,
        &["license: \"MIT\"", "main calls bpf_probe_read_kernel"]
    );
    assert_eq!(
        ids(&read(&base(14).data("license", *b"MIT\0"))),
        Vec::<&str>::new()
    );
    assert_eq!(
        ids(&read(&base(113).data("license", *b"Dual BSD/GPL\0"))),
        Vec::<&str>::new()
    );
    let lsm = Sample::default().program("main", "lsm/file_open", &[]);
    assert_eq!(ids(&read(&lsm)), ["object-license-missing"]);
}

#[test]
fn each_other_problem_is_found() {
    let base = || Sample::default().program("main", "kprobe/do_exit", &[]);
    let mut foreign = base();
    foreign.big_endian = cfg!(target_endian = "little");
    assert_eq!(ids(&read(&foreign)), ["object-endianness"]);

    let mut object = read(&base());
    object.misaligned_by = 4;
    object.class = crate::facts::object::Class::Bits32;
    assert_eq!(ids(&object), ["object-class", "object-misaligned"]);

    assert_eq!(ids(&read(&Sample::default())), ["object-no-programs"]);
    let unknown = Sample::default().program("main", "xdp/mine", &[]);
    let found = findings(&read(&unknown));
    assert_eq!(found[0].id, "object-section-unknown");
    assert!(found[0].evidence[0].contains("libbpf 1.0 takes xdp,"));

    let stripped = base().data(".maps", [0; 32]).variable("counts", 0, 32);
    assert_eq!(ids(&read(&stripped)), ["object-btf-missing"]);
    let broken = base().data(".BTF", *b"text").data(".BTF.ext", *b"text");
    let broken = ids(&read(&broken));
    assert_eq!(broken, ["object-btf-unreadable", "object-core-unreadable"]);

    let words = |words: [u32; 5]| {
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<_>>()
    };
    let legacy = base()
        .data("maps", words([27, 0, 0, 5000, 0]))
        .variable("ring", 0, 20);
    let legacy = ids(&read(&legacy));
    assert_eq!(legacy, ["object-ringbuf-size", "object-maps-legacy"]);

    let large = Sample::default().function("main", "xdp", samples::RETURN_0.repeat(2049));
    let large = read(&large);
    assert_eq!(ids(&large), ["object-program-large"]);
    assert_eq!(requirements(&large).minimum_kernel(), Some(Release(5, 2)));
}
