//! What the kernel holds for single TCP connections, asked one by one through sock_diag: reading
//! `/proc/net/tcp` walks every socket of the machine, for milliseconds in which nothing is sent.

use std::net::{SocketAddr, SocketAddrV4};

use anyhow::{Context as _, bail};
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG, recv,
        send, socket_with,
    },
};

/// linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h.
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_SKMEMINFO: u16 = 7;
const AF_INET: u8 = 2;
const IPPROTO_TCP: u8 = 6;
const REQUEST_BYTES: u32 = 72;
/// Header of the answer, then `inet_diag_msg`; attributes follow.
const ATTRIBUTES_AT: usize = 16 + 72;
const RECEIVE_QUEUE_AT: usize = 16 + 56;
const SEND_QUEUE_AT: usize = 16 + 60;
/// `wmem_queued` is the sixth number of the memory attribute.
const SEND_MEMORY_AT: usize = 5 * 4;

/// Bytes in the queues of one end of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Queues {
    /// Arrived and not read.
    pub(super) receive: u64,
    /// Not sent yet, or not acknowledged.
    pub(super) send: u64,
    /// Memory that the send queue takes, with its overhead.
    pub(super) send_memory: u64,
}

impl Queues {
    /// The larger of each.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            receive: self.receive.max(other.receive),
            send: self.send.max(other.send),
            send_memory: self.send_memory.max(other.send_memory),
        }
    }
}

#[derive(Debug)]
pub(super) struct Inspector {
    socket: OwnedFd,
}

impl Inspector {
    pub(super) fn try_new() -> anyhow::Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            Some(SOCK_DIAG),
        )
        .context("open a sock_diag socket")?;
        Ok(Self { socket })
    }

    /// The queues of the end of a connection on this machine that has address `local`. Empty when
    /// there is none (any more); IPv6 is not looked up.
    pub(super) fn queues(&self, local: SocketAddr, remote: SocketAddr) -> anyhow::Result<Queues> {
        let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else {
            return Ok(Queues::default());
        };
        send(&self.socket, &request(local, remote), SendFlags::empty()).context("ask sock_diag")?;
        let mut answer = [0; 1024];
        let (length, _) = recv(&self.socket, &mut answer, RecvFlags::empty())
            .context("read the answer of sock_diag")?;
        parse(&answer[..length])
    }
}

fn request(local: SocketAddrV4, remote: SocketAddrV4) -> Vec<u8> {
    let mut out = Vec::with_capacity(REQUEST_BYTES as usize);
    out.extend(REQUEST_BYTES.to_ne_bytes());
    out.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port id: there is one question at a time.
    out.extend([0; 8]);
    out.extend([AF_INET, IPPROTO_TCP, 1 << (INET_DIAG_SKMEMINFO - 1), 0]);
    // Any state.
    out.extend(u32::MAX.to_ne_bytes());
    out.extend(local.port().to_be_bytes());
    out.extend(remote.port().to_be_bytes());
    for address in [local.ip(), remote.ip()] {
        out.extend(address.octets());
        out.extend([0; 12]);
    }
    // Any interface, no cookie.
    out.extend([0; 4]);
    out.extend([0xff; 8]);
    out
}

fn parse(answer: &[u8]) -> anyhow::Result<Queues> {
    let kind = answer.get(4..6).map_or(0, |kind| u16::from_ne_bytes([kind[0], kind[1]]));
    match kind {
        SOCK_DIAG_BY_FAMILY => Ok(Queues {
            receive: number(answer, RECEIVE_QUEUE_AT)?,
            send: number(answer, SEND_QUEUE_AT)?,
            send_memory: send_memory(answer)?,
        }),
        // A negated errno: no such socket is an answer.
        NLMSG_ERROR => match number(answer, 16).map(|code| code as i32) {
            Ok(code) if Errno::from_raw_os_error(-code) == Errno::NOENT => Ok(Queues::default()),
            Ok(code) => bail!("sock_diag refused: {}", Errno::from_raw_os_error(-code)),
            Err(error) => Err(error),
        },
        _ => bail!("sock_diag answered with a message of type {kind}"),
    }
}

fn send_memory(answer: &[u8]) -> anyhow::Result<u64> {
    let mut rest = answer.get(ATTRIBUTES_AT..).unwrap_or_default();
    while let [a, b, c, d, ..] = *rest {
        let (length, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]));
        if kind == INET_DIAG_SKMEMINFO {
            return number(rest, 4 + SEND_MEMORY_AT);
        }
        // Attributes begin at multiples of four.
        rest = rest.get(length.max(4).next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(0)
}

fn number(bytes: &[u8], at: usize) -> anyhow::Result<u64> {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).context("sock_diag was brief")?;
    Ok(u64::from(u32::from_ne_bytes(*bytes)))
}
