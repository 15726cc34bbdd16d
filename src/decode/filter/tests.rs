//! Expressions, good and bad.

use super::*;
use crate::decode::call::Piece;

fn parse(expressions: &[&str]) -> Filter {
    Filter::parse(expressions.iter().copied()).unwrap()
}

fn error(expression: &str) -> String {
    Filter::parse([expression]).unwrap_err().to_string()
}

fn number(name: &str) -> i32 {
    let mut all = Table::of(Abi::Native).entries();
    all.find(|(_, known, _)| *known == name).unwrap().0
}

fn kept(filter: &Filter, names: &[&str]) -> Vec<bool> {
    let keeps = |name: &&str| filter.keeps_number(Abi::Native, number(name));
    names.iter().map(keeps).collect()
}

#[test]
fn names_and_groups() {
    let names = ["openat", "close", "mmap", "getpid"];
    assert_eq!(kept(&parse(&[]), &names), [true; 4]);
    for expressions in [
        &["openat,close"][..],
        &["trace=openat,close"],
        &["trace=openat", "t=close"],
    ] {
        assert_eq!(
            kept(&parse(expressions), &names),
            [true, true, false, false]
        );
    }
    assert_eq!(
        kept(&parse(&["%file,getpid"]), &names),
        [true, false, false, true]
    );
    assert_eq!(
        kept(&parse(&["!%memory"]), &names),
        [true, true, false, true]
    );
    assert_eq!(
        kept(&parse(&["%desc", "trace=!mmap"]), &names),
        [true, true, false, false]
    );
    assert_eq!(kept(&parse(&["trace=none"]), &names), [false; 4]);
    assert_eq!(
        kept(&parse(&["?nosuchcall,close"]), &names),
        [false, true, false, false]
    );
    assert!(parse(&["!close"]).keeps_number(Abi::Native, 9999));
    assert!(!parse(&["all"]).keeps_number(Abi::Native, 9999));
}

#[test]
fn each_abi_has_its_own_numbers() {
    let only = |abi| -> Vec<i32> {
        let filter = parse(&["openat"]);
        (0..1024)
            .filter(|nr| filter.keeps_number(abi, *nr))
            .collect()
    };
    let expected = |abi| {
        Table::of(abi)
            .entries()
            .find(|(_, name, _)| *name == "openat")
            .unwrap()
            .0
    };
    assert_eq!(only(Abi::Native), [expected(Abi::Native)]);
    assert_eq!(only(Abi::Compat), [expected(Abi::Compat)]);
}

#[test]
fn how_calls_end() {
    let failed = parse(&["status=failed"]);
    assert!(failed.keeps_end(Some(-2), None) && !failed.keeps_end(Some(0), None));
    assert!(!failed.keeps_end(None, None));
    let denied = parse(&["errno=EACCES,EPERM"]);
    assert!(denied.keeps_end(Some(-13), None) && !denied.keeps_end(Some(-2), None));
    let slow = parse(&["duration>1.5ms"]);
    assert_eq!(slow.longer_than_ns, Some(1_500_000));
    assert!(slow.keeps_end(Some(0), Some(1_500_001)) && !slow.keeps_end(Some(0), Some(1_500_000)));
    assert!(!slow.keeps_end(None, None));
    let both = parse(&["status=failed", "duration>1s"]);
    assert!(!both.keeps_end(Some(-2), Some(5)) && both.asks_for_the_end());
}

#[test]
fn paths_begin_as_asked_for() {
    let etc = parse(&["path=/etc", "path=/usr"]);
    let keeps = |name: &str, data: PieceData<'_>| {
        let pieces = [Piece {
            arg: 1,
            when: When::Enter,
            data,
        }];
        etc.keeps(
            &Call {
                abi: Abi::Native,
                nr: number(name),
                args: [1; 6],
                result: Some(0),
                pieces: &pieces,
            },
            None,
        )
    };
    let bytes = |data| PieceData::Bytes { data, whole: true };
    assert!(keeps("openat", bytes(b"/etc/passwd")) && keeps("openat", bytes(b"/usr")));
    assert!(!keeps("openat", bytes(b"/var/etc")) && !keeps("openat", PieceData::Fault));
    assert!(
        !keeps("write", bytes(b"/etc")),
        "what is written is no path"
    );
}

#[test]
fn mistakes_are_pointed_at() {
    assert_eq!(
        error("trace=opne,close"),
        "unknown syscall \"opne\"; did you mean open?\n  -e trace=opne,close\n           ^^^^"
    );
    assert_eq!(
        error("%netwrok"),
        "unknown group \"netwrok\"; did you mean network?; known are %file, %network, %process, \
         %memory, %signal, %ipc and %desc\n  -e %netwrok\n      ^^^^^^^"
    );
    assert!(error("file").starts_with("unknown syscall \"file\"; the group is %file\n"));
    assert!(error("/^open").starts_with("regular expressions are not supported"));
    assert!(error("errno=ENOENTT").starts_with("unknown errno \"ENOENTT\"; did you mean ENOENT?"));
    assert!(error("status=fail").starts_with("unknown status \"fail\"; did you mean failed?"));
    assert!(error("inject=open").starts_with("inject= is strace's"));
    assert!(error("tracee=open").starts_with("unknown word \"tracee\"; did you mean trace?"));
    assert_eq!(
        error("open,,close"),
        "a name is missing\n  -e open,,close\n          ^"
    );
    assert!(error("duration>1m").starts_with("the unit is one of"));
    assert!(error("duration=1ms").starts_with("a duration is asked for with >"));
    assert!(error("duration>x").starts_with("a duration is a number and a unit"));
    assert!(error("duration>1e400s").starts_with("the unit"));
    assert!(
        error(&format!("duration>{}s", "9".repeat(400))).starts_with("no call lasts that long")
    );
    for empty in ["", "trace=", "!", "path=", "errno=", "status=>", "="] {
        error(empty);
    }
}

#[test]
fn hostile_expressions_are_escaped() {
    let told = error("trace=\u{1b}[31mopen\n,close");
    assert!(
        told.contains(r#"unknown syscall "\33[31mopen\n""#),
        "{told}"
    );
    assert!(
        told.chars().all(|c| c == '\n' || !c.is_control()),
        "{told:?}"
    );
    assert_eq!(told.lines().count(), 3);
}
