use super::*;

const STRUCT: u32 = 4 << 24;
const UNION: u32 = 5 << 24;
const TYPEDEF: u32 = 8 << 24;
const BITFIELDS: u32 = 1 << 31;

/// BTF of these words of types, and strings without their zeros.
pub(crate) fn blob(types: &[u32], strings: &[&str]) -> Vec<u8> {
    let text: Vec<u8> = std::iter::once(0)
        .chain(strings.iter().flat_map(|s| s.bytes().chain([0])))
        .collect();
    let length = |bytes: usize| u32::try_from(bytes).unwrap();
    let end = length(types.len() * 4);
    let header = [24, 0, end, end, length(text.len())];
    let mut data = 0xeb9f_u16.to_ne_bytes().to_vec();
    data.extend([1, 0]);
    data.extend(
        header
            .iter()
            .chain(types)
            .flat_map(|word| word.to_ne_bytes()),
    );
    data.extend(text);
    data
}

/// `struct task { int pid; struct { union { long a; int flag:3; }; }; typed word; }`
fn task() -> Vec<u8> {
    // 1 "int", 5 "long", 10 "pid", 14 "a", 16 "flag", 21 "task", 26 "typed", 32 "word", 37 "inner"
    let names = [
        "int", "long", "pid", "a", "flag", "task", "typed", "word", "inner",
    ];
    #[rustfmt::skip]
    let types = [
        1, 1 << 24, 4, 32,                                   // [1] int
        5, 1 << 24, 8, 64,                                   // [2] long
        0, UNION | BITFIELDS | 2, 8, 14, 2, 0, 16, 1, 3 << 24 | 5, // [3] union { a; flag:3 }
        0, STRUCT | 1, 8, 0, 3, 0,                           // [4] struct { [3] }
        37, STRUCT | 1, 8, 14, 2, 0,                         // [5] struct inner { long a; }
        26, TYPEDEF, 5,                                      // [6] typedef struct inner typed
        21, STRUCT | 3, 24, 10, 1, 0, 0, 4, 64, 32, 6, 128,  // [7] struct task
        0, 3 << 24, 0, 1, 1, 10,                             // [8] int[10]
    ];
    blob(&types, &names)
}

#[test]
fn finds_types_and_members() {
    let btf = Btf::parse(task()).unwrap();
    let task = btf.find(Kind::Struct, "task").unwrap();
    assert_eq!((btf.len(), task, btf.size(task)), (8, TypeId(7), Some(24)));
    assert_eq!(btf.find(Kind::Struct, "tas"), None);
    assert_eq!(btf.find(Kind::Union, "task"), None);
    assert_eq!(btf.find(Kind::Typedef, "typed"), Some(TypeId(6)));
    let at = |name| {
        btf.member(task, name)
            .map(|m| (m.bit_offset, m.bit_size, m.type_id.0))
    };
    assert_eq!(at("pid"), Some((0, 0, 1)));
    assert_eq!(at("flag"), Some((64 + 5, 3, 1)));
    assert_eq!(at("word"), Some((128, 0, 6)));
    assert_eq!(at("nothing"), None);
    assert_eq!(btf.member_path("task", &["a"]), Some(8));
    assert_eq!(btf.member_path("task", &["word", "a"]), Some(16));
    assert_eq!(btf.member_path("task", &["flag"]), None, "within a byte");
    assert_eq!(btf.size(TypeId(8)), Some(40));
    assert_eq!((btf.size(TypeId(0)), btf.size(TypeId(99))), (None, None));
    assert_eq!(btf.resolve(TypeId(6)), Some(TypeId(5)));
}

#[test]
fn says_what_is_wrong() {
    let good = task();
    let mut other = good.clone();
    other[..2].reverse();
    assert_eq!(Btf::parse(other).map(|_| ()), Err(BtfError::Foreign));
    assert_eq!(
        Btf::parse(b"text".as_slice()).map(|_| ()),
        Err(BtfError::Magic(u16::from_ne_bytes(*b"te")))
    );
    let mut newer = good.clone();
    newer[2] = 2;
    assert_eq!(Btf::parse(newer).map(|_| ()), Err(BtfError::Version(2)));
    let kind = blob(&[0, 31 << 24, 0], &[]);
    assert_eq!(
        Btf::parse(kind).map(|_| ()),
        Err(BtfError::Kind { id: 1, kind: 31 })
    );
    for length in 0..good.len() {
        assert!(Btf::parse(&good[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn ends_in_circles() {
    // [1] typedef of itself; [2] struct { [2] }, twice; [3] int[][3] of itself
    #[rustfmt::skip]
    let types = [
        0, TYPEDEF, 1,
        0, STRUCT | 2, 8, 0, 2, 0, 0, 2, 0,
        0, 3 << 24, 0, 3, 1, u32::MAX,
    ];
    let btf = Btf::parse(blob(&types, &[])).unwrap();
    assert_eq!((btf.resolve(TypeId(1)), btf.size(TypeId(1))), (None, None));
    assert_eq!(btf.member(TypeId(2), "a"), None);
    assert_eq!(btf.size(TypeId(3)), None);
}

#[test]
#[expect(clippy::print_stdout, reason = "who skips says so")]
fn reads_the_running_kernel() {
    let Ok(data) = std::fs::read("/sys/kernel/btf/vmlinux") else {
        println!("skipped: this kernel has no BTF");
        return;
    };
    let btf = Btf::parse(data).unwrap();
    let task = btf.find(Kind::Struct, "task_struct").unwrap();
    assert!(btf.len() > 10_000 && btf.size(task).is_some_and(|size| size > 1024));
    assert!(btf.find(Kind::Typedef, "pid_t").is_some());
    let pid = btf.member_path("task_struct", &["pid"]).unwrap();
    let tgid = btf.member_path("task_struct", &["tgid"]).unwrap();
    assert_eq!(tgid, pid + 4);
    if cfg!(target_arch = "x86_64") {
        // thread_info is a task's first member, { unsigned long flags; unsigned long syscall_work;
        // u32 status; … } since 5.11.
        let status = btf.member_path("task_struct", &["thread_info", "status"]);
        assert!(status.is_some_and(|at| at <= 16));
    }
    // Within an anonymous struct of an anonymous union.
    let page = btf.find(Kind::Struct, "page").unwrap();
    assert!(btf.member(page, "mapping").is_some());
}
