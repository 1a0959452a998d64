//! The operating system's sockets. The only place of the workspace with `unsafe`: the few system calls that the standard library
//! and socket2 do not offer (sendmmsg with control messages, forced buffer sizes, the list of interfaces).

mod interfaces;
mod outbox;
mod sys;
mod udp;

pub(crate) use interfaces::{Interface, interfaces};
pub(crate) use outbox::{Flush, MAX_DATAGRAM};
pub(crate) use udp::{BindOptions, ReceiveBuffers, UdpPort, listen_tcp};
