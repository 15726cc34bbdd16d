use super::*;

// Linux 6.18: `lo` with a generic program, a veth with a native one, both of number 15065. Statistics
// and the settings of address families are left out.

const LOOPBACK: &str = "\
    00000403010000004900010000000000070003006c6f000008000d00e803000005001000000000000500110000000000\
    050043000100000008000400000001000800320000000000080033000000000008001b000000000008001e0000000000\
    08003d000000000008001f000100000008002800ffff0000080029000000010008003a000000010008003f0000000100\
    080040000000010008003b00f8ff070008003c00ffff0000080042000000000008002000010000000500210001000000\
    080023000000000008002f00000000000800300000000000060044000000000006004500000000000500270000000000\
    0a00010000000000000000000a00020000000000000000001c002b0008000600d93a0000050002000200000008000400\
    d93a00000c0006006e6f71756575650024000e0000000000000000000000000000000000000000000000000000000000\
    0000000004003e8004004180";

const VETH: &str = "\
    00000100030000000210000000000000070003007630000008000d00e803000005001000020000000500110000000000\
    050043000000000008000400dc050000080032004400000008003300b20d000008001b000000000008001e0000000000\
    08003d000000000008001f000200000008002800ffff0000080029000000010008003a000000010008003f0000000100\
    080040000000010008003b00f8ff070008003c00ffff0000080042000000000008002000020000000500210000000000\
    080023000100000008002f00000000000800300001000000060044000000000006004500000000000500270000000000\
    0a000100a6881061882000000a000200ffffffffffff00001c002b0008000500d93a0000050002000100000008000400\
    d93a0000100012000900010076657468000000000800050002000000090006006e6f6f700000000024000e0000000000\
    0000000000000000000000000000000000000000000000000000000004003e8004004180";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn one(mode: XdpMode) -> Fact<Vec<XdpProgram>> {
    let program = 15065;
    Fact::Known(vec![XdpProgram { mode, program }])
}

#[test]
fn a_generic_and_a_native_program() {
    let loopback = Interface {
        index: 1,
        name: "lo".into(),
        up: true,
        xdp: one(XdpMode::Generic),
    };
    assert_eq!(Interface::parse(&bytes(LOOPBACK)), Some(loopback));
    let veth = Interface {
        index: 3,
        name: "v0".into(),
        up: false,
        xdp: one(XdpMode::Native),
    };
    assert_eq!(Interface::parse(&bytes(VETH)), Some(veth));
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length, kind].map(u16::to_ne_bytes).concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn number(kind: u16, program: u32) -> Vec<u8> {
    attribute(kind, &program.to_ne_bytes())
}

#[test]
fn every_kernel_s_way_to_say_it() {
    let attached = |how: u8| attribute(IFLA_XDP_ATTACHED, &[how]);
    assert_eq!(programs(&attached(0)), Fact::Known(Vec::new()));
    // 4.13 to 4.18: one number, the mode beside it.
    let old = [attached(2), number(IFLA_XDP_PROG_ID, 15065)].concat();
    assert_eq!(programs(&old), one(XdpMode::Generic));
    // Native and offloaded at once.
    let two = [number(5, 4), number(7, 6), attached(4)].concat();
    let two = programs(&two);
    let two: Vec<_> = two.known().unwrap().iter().collect();
    assert_eq!((two[0].mode, two[0].program), (XdpMode::Native, 4));
    assert_eq!((two[1].mode, two[1].program), (XdpMode::Offloaded, 6));
    // 4.8 to 4.12: that there is one.
    assert!(matches!(programs(&attached(1)), Fact::Failed(why) if why.contains("4.13")));
    for strange in [
        Vec::new(),
        vec![1],
        attribute(IFLA_XDP_ATTACHED, &[]),
        [attached(9), number(IFLA_XDP_PROG_ID, 1)].concat(),
    ] {
        assert!(matches!(programs(&strange), Fact::Failed(_)), "{strange:?}");
    }
    let without = [vec![0; INTERFACE_HEADER], attribute(IFLA_IFNAME, b"lo\0")].concat();
    assert_eq!(Interface::parse(&without).unwrap().xdp, Fact::Absent);
    assert_eq!(Interface::parse(&[0; INTERFACE_HEADER]), None);
    let unreadable = [vec![0; INTERFACE_HEADER], attribute(IFLA_IFNAME, b"\xff")].concat();
    assert_eq!(Interface::parse(&unreadable).unwrap().name, "\u{fffd}");
}

#[test]
fn no_broken_message_stops_the_reader() {
    for whole in [bytes(LOOPBACK), bytes(VETH)] {
        for at in 0..whole.len() {
            let _ = Interface::parse(&whole[..at]);
            for value in [0, 1, 2, 3, 4, 5, 7, 0x7f, 0x80, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                let _ = Interface::parse(&broken);
                broken.truncate(whole.len() - at);
                let _ = Interface::parse(&broken);
            }
        }
    }
}

#[test]
fn saved_in_the_field_s_words() {
    let interface = Interface::parse(&bytes(VETH)).unwrap();
    let text = serde_json::to_string(&interface).unwrap();
    let expected =
        r#"{"index":3,"name":"v0","up":false,"xdp":{"known":[{"mode":"drv","program":15065}]}}"#;
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<Interface>(&text).unwrap(), interface);
}

#[test]
fn only_this_machine_has_interfaces() {
    let recorded = Interface::probe_all(&Root::new("/proc/self/no-such-tree"));
    let why = "interfaces are in no file".to_owned();
    assert_eq!(recorded, Fact::Failed(why));
    let live = Interface::probe_all(&Root::default());
    let live = live.known().unwrap();
    assert!(live.iter().any(|interface| interface.name == "lo"));
}
