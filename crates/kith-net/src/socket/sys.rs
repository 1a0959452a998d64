//! System calls on `libc`.
#![expect(
    unsafe_code,
    reason = "the system calls themselves; each block argues its own safety"
)]
#![warn(clippy::undocumented_unsafe_blocks)]

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Messages per system call. The cost of a call is spread thin enough by then; the arrays live on the stack.
const MAX_PER_CALL: usize = 64;

/// One message of a slab.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) destination: SocketAddr,
    pub(super) source: Option<IpAddr>,
    /// First byte in the slab.
    pub(super) offset: usize,
    /// All datagrams together.
    pub(super) len: usize,
    /// Length of each datagram but the last, which may be shorter. Never 0.
    pub(super) segment: usize,
}

impl Message {
    pub(super) fn datagrams(&self) -> usize {
        self.len.div_ceil(self.segment.max(1))
    }
}

/// Room for a segment size and an address of either family: CMSG_SPACE is 24 for the former, 32 or 40 for the latter on 64-bit
/// systems.
const CONTROL_LEN: usize = 64;

/// A control buffer with the alignment of `cmsghdr`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([MaybeUninit<u8>; CONTROL_LEN]);

const _: () = {
    assert!(align_of::<Control>() >= align_of::<libc::cmsghdr>());
    // SAFETY: CMSG_SPACE is arithmetic on its argument.
    let (segment, v6) = unsafe {
        (
            libc::CMSG_SPACE(size_of::<u16>() as u32),
            libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as u32),
        )
    };
    assert!(segment as usize + v6 as usize <= CONTROL_LEN);
    assert!(size_of::<libc::in_pktinfo>() <= size_of::<libc::in6_pktinfo>());
};

/// Socket addresses of both families.
#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Sends the first messages of `messages` out of `slab`, at most [`MAX_PER_CALL`], and returns how many the kernel took: at least
/// one. The error is about the first message. Without `mmsg`, one message with `sendmsg`.
pub(super) fn send_messages(
    fd: BorrowedFd<'_>,
    slab: &[u8],
    messages: &[Message],
    mmsg: bool,
) -> io::Result<usize> {
    let mut names = [const { MaybeUninit::<Name>::uninit() }; MAX_PER_CALL];
    let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; MAX_PER_CALL];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; MAX_PER_CALL];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MAX_PER_CALL];

    let mut count = 0;
    let slots = names
        .iter_mut()
        .zip(&mut vectors)
        .zip(&mut controls)
        .zip(&mut headers);
    for (message, (((name, vector), control), header)) in messages.iter().zip(slots) {
        let Some(bytes) = slab.get(message.offset..message.offset + message.len) else {
            break;
        };
        let (name, name_len) = write_name(name, message.destination);
        let vector = vector.write(libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        });
        let control = control.write(Control([MaybeUninit::uninit(); CONTROL_LEN]));
        let control_len = write_control(control, message);
        // SAFETY: mmsghdr is a plain C structure for which all zeroes are a valid value.
        let zeroed: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let header = header.write(zeroed);
        header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
        header.msg_hdr.msg_namelen = name_len;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        if control_len > 0 {
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control_len as _;
        }
        count += 1;
        if !mmsg {
            break;
        }
    }
    if count == 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let result = if mmsg {
        // SAFETY: the first `count` headers were written above. Their names, vectors and controls live in arrays of this frame that
        // outlive the call, and the vectors point into `slab`, which is borrowed for as long. The kernel reads them only; the cast
        // to a mutable pointer is owed to iovec serving both directions.
        unsafe {
            libc::sendmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                count as libc::c_uint,
                0,
            ) as isize
        }
    } else {
        // SAFETY: as above, for the first header, of which `msg_hdr` is the first member.
        unsafe { libc::sendmsg(fd.as_raw_fd(), headers.as_ptr().cast(), 0) }
    };
    match result {
        0.. if mmsg => Ok(result.unsigned_abs()),
        0.. => Ok(1),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Writes `address` as the kernel wants it; returns it with its length.
fn write_name(slot: &mut MaybeUninit<Name>, address: SocketAddr) -> (&mut Name, libc::socklen_t) {
    match address {
        SocketAddr::V4(address) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(address.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            (
                slot.write(Name { v4 }),
                size_of::<libc::sockaddr_in>() as libc::socklen_t,
            )
        }
        SocketAddr::V6(address) => {
            let v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: address.ip().octets(),
                },
                sin6_scope_id: address.scope_id(),
            };
            (
                slot.write(Name { v6 }),
                size_of::<libc::sockaddr_in6>() as libc::socklen_t,
            )
        }
    }
}

/// Writes segment size and source address; returns the length of what was written.
fn write_control(control: &mut Control, message: &Message) -> usize {
    let mut at = 0;
    if message.segment < message.len {
        at += append(
            control,
            at,
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            message.segment as u16,
        );
    }
    match (message.source, message.destination) {
        (Some(IpAddr::V4(source)), SocketAddr::V4(_)) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(source.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            at += append(control, at, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        (Some(IpAddr::V6(source)), SocketAddr::V6(_)) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: source.octets(),
                },
                ipi6_ifindex: 0,
            };
            at += append(control, at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
        _ => {}
    }
    at
}

/// Writes one control message at `at` and returns its padded length.
fn append<T: Copy>(
    control: &mut Control,
    at: usize,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) -> usize {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: both are arithmetic on their argument.
    let (len, space, data) = unsafe {
        (
            libc::CMSG_LEN(size) as usize,
            libc::CMSG_SPACE(size) as usize,
            libc::CMSG_LEN(0) as usize,
        )
    };
    let Some(place) = control.0.get_mut(at..at + space) else {
        debug_assert!(false, "CONTROL_LEN has room for both control messages");
        return 0;
    };
    place.fill(MaybeUninit::new(0));
    // SAFETY: cmsghdr is a plain C structure for which all zeroes are a valid value.
    let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
    header.cmsg_len = len as _;
    header.cmsg_level = level;
    header.cmsg_type = kind;
    let start: *mut u8 = place.as_mut_ptr().cast();
    // SAFETY: `place` has CMSG_SPACE(size) bytes: a header, and after CMSG_LEN(0) bytes the value. Both fit, and unaligned writes
    // need no more.
    unsafe {
        start.cast::<libc::cmsghdr>().write_unaligned(header);
        start.add(data).cast::<T>().write_unaligned(value);
    }
    space
}

/// Sets the kernel's buffer of one direction: beyond `net.core.{r,w}mem_max` when we may, as much as is allowed otherwise.
pub(super) fn set_buffer(fd: BorrowedFd<'_>, receive: bool, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let (forced, plain) = if receive {
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)
    } else {
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)
    };
    set_option(fd, libc::SOL_SOCKET, forced, bytes)
        .or_else(|_| set_option(fd, libc::SOL_SOCKET, plain, bytes))
}

/// Whether the kernel knows segmentation offload for UDP.
pub(super) fn knows_gso(fd: BorrowedFd<'_>) -> bool {
    // A segment size of 0 is the default: no segmentation unless a message asks for it.
    set_option(fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

fn set_option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of `value`, which lives across the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// An address of an interface, as the system lists it.
pub(super) struct RawInterface {
    pub(super) name: String,
    pub(super) address: IpAddr,
    pub(super) flags: libc::c_uint,
}

/// Lists every IPv4 and IPv6 address of every interface.
pub(super) fn list_interfaces() -> io::Result<Vec<RawInterface>> {
    let mut head: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `head` is a valid place for the result.
    if unsafe { libc::getifaddrs(&mut head) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut at = head;
    while !at.is_null() {
        // SAFETY: `at` is the head of the list or the `ifa_next` of an entry, not null, and the list is freed only below.
        let entry = unsafe { &*at };
        at = entry.ifa_next;
        if entry.ifa_addr.is_null() || entry.ifa_name.is_null() {
            continue;
        }
        // SAFETY: `ifa_addr` is not null and points to a socket address; every one begins with its family.
        let family = i32::from(unsafe { (*entry.ifa_addr).sa_family });
        let address = match family {
            libc::AF_INET => {
                // SAFETY: an address of this family is a sockaddr_in. It may be less aligned than Rust wants.
                let v4 = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
                IpAddr::from(v4.sin_addr.s_addr.to_ne_bytes())
            }
            libc::AF_INET6 => {
                // SAFETY: an address of this family is a sockaddr_in6. It may be less aligned than Rust wants.
                let v6 = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
                IpAddr::from(v6.sin6_addr.s6_addr)
            }
            _ => continue,
        };
        // SAFETY: `ifa_name` is not null and a C string that lives as long as the list.
        let name = unsafe { std::ffi::CStr::from_ptr(entry.ifa_name) };
        found.push(RawInterface {
            name: name.to_string_lossy().into_owned(),
            address,
            flags: entry.ifa_flags,
        });
    }
    // SAFETY: `head` came from getifaddrs, is freed once, and nothing points into the list any more.
    unsafe { libc::freeifaddrs(head) };
    Ok(found)
}
