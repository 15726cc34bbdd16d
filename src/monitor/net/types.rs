//! Offsets in the types of this kernel: from a descriptor to its socket, and to the addresses.

use crate::decode::btf::Btf;

/// A constant of `ebpf/net_socket.h`, and the struct member whose offset it is.
type Row = (&'static str, &'static str, &'static [&'static str]);

/// Without these no socket is found.
const NEEDED: [Row; 20] = [
    ("task_files_offset", "task_struct", &["files"]),
    ("files_fdt_offset", "files_struct", &["fdt"]),
    ("fdt_max_fds_offset", "fdtable", &["max_fds"]),
    ("fdt_fd_offset", "fdtable", &["fd"]),
    ("file_inode_offset", "file", &["f_inode"]),
    ("file_private_data_offset", "file", &["private_data"]),
    ("inode_mode_offset", "inode", &["i_mode"]),
    ("inode_number_offset", "inode", &["i_ino"]),
    ("socket_sk_offset", "socket", &["sk"]),
    ("socket_file_offset", "socket", &["file"]),
    ("sock_family_offset", "sock", &["__sk_common", "skc_family"]),
    ("sock_type_offset", "sock", &["sk_type"]),
    ("sock_protocol_offset", "sock", &["sk_protocol"]),
    ("sock_socket_offset", "sock", &["sk_socket"]),
    ("sock_err_offset", "sock", &["sk_err"]),
    ("sock_state_offset", "sock", &["__sk_common", "skc_state"]),
    ("sock_dport_offset", "sock", &["__sk_common", "skc_dport"]),
    ("sock_daddr_offset", "sock", &["__sk_common", "skc_daddr"]),
    (
        "sock_rcv_saddr_offset",
        "sock",
        &["__sk_common", "skc_rcv_saddr"],
    ),
    ("inet_sport_offset", "inet_sock", &["inet_sport"]),
];

/// Optional: a kernel may lack these, or have Unix sockets in a module, whose types are not among its own.
const OPTIONAL: [&[Row]; 2] = [
    &[
        (
            "sock_v6_daddr_offset",
            "sock",
            &["__sk_common", "skc_v6_daddr"],
        ),
        (
            "sock_v6_rcv_saddr_offset",
            "sock",
            &["__sk_common", "skc_v6_rcv_saddr"],
        ),
    ],
    &[
        ("unix_addr_offset", "unix_sock", &["addr"]),
        ("unix_peer_offset", "unix_sock", &["peer"]),
        ("unix_address_len_offset", "unix_address", &["len"]),
        ("unix_address_name_offset", "unix_address", &["name"]),
    ],
];

/// The constants of `ebpf/net.bpf.c`, in bytes.
///
/// # Errors
/// The missing member, as `struct.member`.
pub(crate) fn offsets(btf: &Btf<'_>) -> Result<Vec<(&'static str, u32)>, String> {
    let offset = |(constant, structure, path): &Row| {
        btf.member_path(structure, path)
            .map(|offset| (*constant, offset))
            .ok_or_else(|| format!("{structure}.{}", path.join(".")))
    };
    let mut found: Vec<_> = NEEDED.iter().map(offset).collect::<Result<_, _>>()?;
    for group in OPTIONAL {
        // All of them or none.
        if let Ok(group) = group.iter().map(offset).collect::<Result<Vec<_>, _>>() {
            found.extend(group);
        }
    }
    Ok(found)
}
