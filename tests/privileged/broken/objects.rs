//! Rows: eBPF objects that no loader takes.

use super::{ROW, Row, run};

const OBJECT: Row<'static> = Row {
    needs: "[ -e $OBJECTS/smoke.bpf.o ]",
    asks: "--object object",
    // What is advised is another file.
    mend: "cp $OBJECTS/smoke.bpf.o object",
    stops: false,
    ..ROW
};

#[test]
fn cut_short() {
    run(&Row {
        name: "a truncated object",
        breaks: "head -c 1500 $OBJECTS/smoke.bpf.o >object",
        cause: "object-broken",
        ..OBJECT
    });
}

/// As `include_bytes!` embeds it; the same at a multiple of eight is the fix.
#[test]
fn misaligned() {
    run(&Row {
        name: "a misaligned object, within the program that loads it",
        needs: "[ -e $OBJECTS/smoke.bpf.o ] && command -v cc >/dev/null",
        breaks: "embed() { printf '.section .rodata\\n.balign 8\\n%s\\n.incbin \"%s\"\\n' \"$1\" $OBJECTS/smoke.bpf.o >object.s; \
                 echo 'int main(void) { return 0; }' >main.c; cc -o object main.c object.s; }; embed '.byte 0'",
        cause: "object-misaligned",
        mend: "embed ''",
        ..OBJECT
    });
}

#[test]
fn for_another_machine() {
    run(&Row {
        name: "wrong architecture",
        breaks: "cp $OBJECTS/smoke.bpf.o object; printf '\\267' | dd of=object bs=1 seek=18 conv=notrunc 2>/dev/null",
        cause: "object-broken",
        ..OBJECT
    });
}
