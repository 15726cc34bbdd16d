use super::*;

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = (MESSAGE_HEADER + body.len()) as u32;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend([kind, flags].into_iter().flat_map(u16::to_ne_bytes));
    bytes.extend([SEQUENCE, 7].into_iter().flat_map(u32::to_ne_bytes));
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn taken(datagram: &[u8]) -> io::Result<(bool, Vec<Vec<u8>>)> {
    let mut found = Vec::new();
    let done = take(datagram, &|body| Some(body.to_vec()), &mut found)?;
    Ok((done, found))
}

const DONE: u16 = libc::NLMSG_DONE as u16;
const ERROR: u16 = libc::NLMSG_ERROR as u16;

#[test]
fn a_list_ends_where_the_kernel_says_so() {
    let two = [
        message(libc::RTM_NEWLINK, 2, b"one"),
        message(libc::RTM_NEWLINK, 2, b"four"),
    ]
    .concat();
    let bodies = vec![b"one".to_vec(), b"four".to_vec()];
    assert_eq!(taken(&two).unwrap(), (false, bodies.clone()));
    let done = message(DONE, 2, &[0; 4]);
    assert_eq!(
        taken(&[two.clone(), done].concat()).unwrap(),
        (true, bodies)
    );
    assert_eq!(taken(&[]).unwrap(), (false, Vec::new()));
    assert_eq!(
        taken(&message(ERROR, 0, &[0; 20])).unwrap(),
        (true, Vec::new())
    );
}

#[test]
fn what_is_another_request_s_is_not_ours() {
    let mut other = message(libc::RTM_NEWLINK, 2, b"other");
    other[8] ^= 0x80;
    assert_eq!(taken(&other).unwrap(), (false, Vec::new()));
}

#[test]
fn an_error_is_the_kernel_s() {
    for kind in [DONE, ERROR] {
        let refused = message(kind, 0, &(-libc::EPERM).to_ne_bytes());
        let error = taken(&refused).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        let error = taken(&message(kind, 0, b"?")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let strange = message(kind, 0, &i32::MIN.to_ne_bytes());
        assert!(taken(&strange).is_err());
    }
    let flags = libc::NLM_F_DUMP_INTR as u16;
    let error = taken(&message(libc::RTM_NEWLINK, flags, b"one")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    let parse = |_: &[u8]| None::<()>;
    let one = message(libc::RTM_NEWLINK, 2, b"one");
    assert!(take(&one, &parse, &mut Vec::new()).is_err());
}

#[test]
fn no_length_leads_out() {
    let whole = [
        message(libc::RTM_NEWLINK, 2, b"one"),
        message(DONE, 2, &[0; 4]),
    ]
    .concat();
    for end in 0..whole.len() {
        let _ = taken(&whole[..end]);
        for value in [0, 1, 3, 15, 16, 17, 0x7f, 0xff] {
            let mut broken = whole.clone();
            broken[end] = value;
            let _ = taken(&broken);
        }
    }
    for length in [0, 15, u32::MAX, 24] {
        let mut broken = message(DONE, 0, &[0; 4]);
        broken[..4].copy_from_slice(&length.to_ne_bytes());
        assert!(taken(&broken).is_err(), "{length}");
    }
    assert_eq!(attributes(&[3, 0, 0, 0]), None);
    assert_eq!(attributes(&[5, 0, 0, 0]), None);
    assert_eq!(attributes(&[4, 0, 0]), None);
}

#[test]
fn what_is_written_is_read_again() {
    let nested = [attribute(3, &[1; 4]), attribute(4, &[2; 8])].concat();
    let outer = attribute(IFLA_XDP | NESTED, &nested);
    let read = attributes(&outer).unwrap();
    assert_eq!(read, [(IFLA_XDP, nested.as_slice())]);
    let inner = attributes(read[0].1).unwrap();
    assert_eq!(inner, [(3, [1; 4].as_slice()), (4, [2; 8].as_slice())]);
    let body = message_body(5, 1, &outer);
    assert_eq!((u32_at(&body, 4), u32_at(&body, 12)), (Some(5), Some(1)));
    assert_eq!(&body[INTERFACE_HEADER..], outer);
}

/// Anybody may list, and every network namespace has its own `lo`.
#[test]
fn this_machine_has_a_loopback() {
    let indices = interfaces(|body| u32_at(body, 4)).unwrap();
    assert!(indices.contains(&LOOPBACK), "{indices:?}");
    assert!(interfaces(|_| None::<()>).is_err());
    let error = raise(u32::MAX >> 1).unwrap_err();
    assert!(matches!(
        error.raw_os_error(),
        Some(libc::ENODEV | libc::EPERM)
    ));
}
