//! The addresses of this host.

use std::io;
use std::net::IpAddr;

use super::sys;

/// One address of one interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) loopback: bool,
}

/// Lists the addresses of all interfaces that are up, in the system's order. Link-local IPv6 addresses are left out: they mean
/// nothing without an interface, and candidates carry none.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let raw = sys::list_interfaces()?;
    Ok(raw
        .into_iter()
        .filter(|raw| raw.flags & libc::IFF_UP as libc::c_uint != 0)
        .filter(|raw| match raw.address {
            IpAddr::V4(address) => !address.is_unspecified(),
            IpAddr::V6(address) => !address.is_unspecified() && !address.is_unicast_link_local(),
        })
        .map(|raw| Interface {
            loopback: raw.flags & libc::IFF_LOOPBACK as libc::c_uint != 0
                || raw.address.is_loopback(),
            name: raw.name,
            address: raw.address,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed() {
        let found = interfaces().unwrap();
        let loopback = found
            .iter()
            .find(|i| i.address == IpAddr::from([127, 0, 0, 1]))
            .unwrap();
        assert!(loopback.loopback);
        assert_eq!(loopback.name, "lo");
    }
}
