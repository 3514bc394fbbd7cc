//! To which addresses events are sent: checked on the very addresses that are connected to, so that a name
//! which answers differently the next time leads nowhere else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::sieved_resolver::Sieve;

/// Why an address is told nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RefusedAddress {
    /// It is link-local, or one where a cloud tells a machine its secrets.
    #[error("the address is link-local or of a cloud's metadata, which is never told anything")]
    Metadata,
    /// Nobody can be there: unspecified, multicast, broadcast or reserved.
    #[error("the address is not that of one host")]
    NoHost,
    /// It is on this machine or in a private network.
    #[error(
        "the address is of this machine or a private network; webhooks.allow_private allows it"
    )]
    Private,
}

/// Metadata services outside of the link-local networks: AWS and Google over IPv6, Alibaba, Azure, Oracle.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// Decides to which addresses events are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct AddressGuard {
    allow_private: bool,
}

impl AddressGuard {
    pub(super) fn new(allow_private: bool) -> Self {
        Self { allow_private }
    }

    /// Refuses an address that must not be told anything.
    pub(super) fn check(self, address: IpAddr) -> Result<(), RefusedAddress> {
        let verdict = match address {
            IpAddr::V4(address) => check_v4(address),
            IpAddr::V6(address) => check_v6(address),
        };
        match verdict {
            Err(RefusedAddress::Private) if self.allow_private => Ok(()),
            verdict => verdict,
        }
    }
}

fn check_v4(address: Ipv4Addr) -> Result<(), RefusedAddress> {
    let [a, b, c, _] = address.octets();
    if address.is_link_local() || METADATA_V4.contains(&address) {
        return Err(RefusedAddress::Metadata);
    }
    if a == 0 || 224 <= a {
        return Err(RefusedAddress::NoHost);
    }
    let is_shared = a == 100 && b & 0xc0 == 64;
    let is_for_protocols = (a, b, c) == (192, 0, 0);
    let is_for_measurements = a == 198 && b & 0xfe == 18;
    if address.is_loopback()
        || address.is_private()
        || is_shared
        || is_for_protocols
        || is_for_measurements
    {
        return Err(RefusedAddress::Private);
    }
    Ok(())
}

fn check_v6(address: Ipv6Addr) -> Result<(), RefusedAddress> {
    if address.is_unspecified() || address.is_multicast() {
        return Err(RefusedAddress::NoHost);
    }
    if address.is_loopback() {
        return Err(RefusedAddress::Private);
    }
    if address.is_unicast_link_local() || METADATA_V6.contains(&address) {
        return Err(RefusedAddress::Metadata);
    }
    if let Some(inner) = address_within(address) {
        return check_v4(inner);
    }
    let [first, second, ..] = address.segments();
    let is_teredo = first == 0x2001 && second == 0;
    if is_teredo {
        return Err(RefusedAddress::NoHost);
    }
    let is_site_local = first & 0xffc0 == 0xfec0;
    if address.is_unique_local() || is_site_local {
        return Err(RefusedAddress::Private);
    }
    Ok(())
}

/// The IPv4 address that an address of IPv6 leads to, where it is made of one: mapped, compatible, translated
/// (NAT64) or tunnelled (6to4).
fn address_within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let [first, second, third, ..] = segments;
    let joined =
        |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    let last = joined(segments[6], segments[7]);
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..] => Some(last),
        _ if first == 0x2002 => Some(joined(second, third)),
        _ => None,
    }
}

impl Sieve for AddressGuard {
    /// An answer with an address that is refused is refused whole.
    fn sieve(self, addresses: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        for address in &addresses {
            self.check(address.ip()).map_err(io::Error::other)?;
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use tower::Service as _;

    use super::*;
    use crate::sieved_resolver::SievedResolver;

    #[test]
    fn every_form_of_an_address_is_known() {
        use RefusedAddress::{Metadata, NoHost, Private};
        let cases = [
            ("93.184.216.34", None),
            ("2606:2800:220:1:248:1893:25c8:1946", None),
            ("::ffff:93.184.216.34", None),
            ("169.254.169.254", Some(Metadata)),
            ("169.254.0.1", Some(Metadata)),
            ("169.254.170.2", Some(Metadata)),
            ("100.100.100.200", Some(Metadata)),
            ("168.63.129.16", Some(Metadata)),
            ("192.0.0.192", Some(Metadata)),
            ("fe80::1", Some(Metadata)),
            ("febf::1", Some(Metadata)),
            ("fd00:ec2::254", Some(Metadata)),
            ("fd20:ce::254", Some(Metadata)),
            ("::ffff:169.254.169.254", Some(Metadata)),
            ("::ffff:a9fe:a9fe", Some(Metadata)),
            ("::169.254.169.254", Some(Metadata)),
            ("::ffff:0:169.254.169.254", Some(Metadata)),
            ("64:ff9b::169.254.169.254", Some(Metadata)),
            ("64:ff9b:1::169.254.169.254", Some(Metadata)),
            ("2002:a9fe:a9fe::1", Some(Metadata)),
            ("0.0.0.0", Some(NoHost)),
            ("0.1.2.3", Some(NoHost)),
            ("224.0.0.1", Some(NoHost)),
            ("255.255.255.255", Some(NoHost)),
            ("::", Some(NoHost)),
            ("ff02::1", Some(NoHost)),
            ("2001::1", Some(NoHost)),
            ("127.0.0.1", Some(Private)),
            ("127.8.8.8", Some(Private)),
            ("10.1.2.3", Some(Private)),
            ("172.31.0.1", Some(Private)),
            ("192.168.1.1", Some(Private)),
            ("100.64.0.1", Some(Private)),
            ("198.19.0.1", Some(Private)),
            ("::1", Some(Private)),
            ("::ffff:127.0.0.1", Some(Private)),
            ("fd12::1", Some(Private)),
            ("fec0::1", Some(Private)),
        ];
        for (text, expected) in cases {
            let address: IpAddr = text.parse().unwrap();
            let verdict = |allow| AddressGuard::new(allow).check(address).err();
            assert_eq!(verdict(false), expected, "{text}");
            let allowed = expected.filter(|why| *why != Private);
            assert_eq!(verdict(true), allowed, "{text} where private ones are allowed");
        }
    }

    #[test]
    fn one_bad_answer_spoils_all() {
        let good: SocketAddr = "93.184.216.34:80".parse().unwrap();
        let bad: SocketAddr = "169.254.169.254:80".parse().unwrap();
        let guard = AddressGuard::new(true);
        assert_eq!(guard.sieve(vec![good]).unwrap().len(), 1);
        let refused = guard.sieve(vec![good, bad]).unwrap_err();
        let why = refused.get_ref().and_then(|why| why.downcast_ref::<RefusedAddress>());
        assert_eq!(why, Some(&RefusedAddress::Metadata));
    }

    #[tokio::test]
    async fn the_system_reads_numbers_as_addresses_and_they_are_checked() {
        // What is no address to a parser may be one to the system: decimal, octal, hexadecimal.
        for text in ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376"] {
            let mut resolver = SievedResolver::new(AddressGuard::new(true));
            let answer = resolver.call(text.parse().unwrap()).await;
            assert!(answer.is_err(), "{text}");
        }
    }
}
